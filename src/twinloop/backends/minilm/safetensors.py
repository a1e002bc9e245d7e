"""Read tensors from a safetensors file (format: 8-byte header length, JSON header, little-endian data)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from twinloop.core.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_HEADER_LIMIT = 100 << 20


def read_float32(path: Path) -> dict[str, NDArray[np.float32]]:
    """All float32 tensors of the file by name, memory-mapped; tensors of other types are left out.

    Raises:
        InvalidInput: the file is not safetensors, or a tensor lies outside it.
    """
    import numpy as np

    data = np.memmap(path, dtype=np.uint8, mode="r")
    length = int.from_bytes(data[:8].tobytes(), "little")
    if not 2 <= length <= min(_HEADER_LIMIT, len(data) - 8):
        raise InvalidInput(f"{path.name} is not a safetensors file: its header has no sensible length. Fetch it again.")
    header = msgspec.json.decode(data[8 : 8 + length].tobytes())
    body = data[8 + length :]
    tensors = {}
    for name, about in header.items():
        if name == "__metadata__" or about["dtype"] != "F32":
            continue
        begin, end = about["data_offsets"]
        if not 0 <= begin <= end <= len(body):
            raise InvalidInput(f"{path.name} is damaged: tensor {name} lies outside the file. Fetch it again.")
        tensors[name] = body[begin:end].view("<f4").reshape(about["shape"])
    return tensors
