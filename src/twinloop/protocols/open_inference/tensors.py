"""Tensors of the protocol to Python values and back, as JSON and as raw bytes. Pure.

Values are flat lists in row-major order. A floating-point NaN (raw bytes) and a JSON null both mean "missing" and
become None. BYTES elements are UTF-8 text.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from twinloop.core.errors import InvalidInput, NotOffered


class DataType(NamedTuple):
    """``code`` is numpy's name of the little-endian element; ``low`` and ``high`` bound integers."""

    kind: str
    code: str
    low: int = 0
    high: int = 0


def _signed(bits: int) -> DataType:
    return DataType("int", f"<i{bits // 8}", -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _unsigned(bits: int) -> DataType:
    return DataType("int", f"<u{bits // 8}", 0, 2**bits - 1)


DATA_TYPES = {
    "BOOL": DataType("bool", "?"),
    **{f"UINT{bits}": _unsigned(bits) for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": _signed(bits) for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": DataType("float", f"<f{bits // 8}") for bits in (16, 32, 64)},
    "BYTES": DataType("bytes", ""),
}
_LARGEST_FLOAT = {"FP16": 65504.0, "FP32": 3.4028235677973366e38, "FP64": sys.float_info.max}


def data_type(tensor: str, name: str) -> DataType:
    """Raises InvalidInput when the protocol has no such datatype."""
    found = DATA_TYPES.get(name)
    if found is None:
        raise InvalidInput(f"Input {tensor!r} has the datatype {name[:20]!r}. Use one of: {', '.join(DATA_TYPES)}.")
    return found


def element_count(tensor: str, shape: Sequence[int]) -> int:
    """The number of elements of a shape. Raises InvalidInput for an empty shape or a dimension under 1."""
    if not shape or any(size < 1 for size in shape):
        raise InvalidInput(
            f"Input {tensor!r} has the shape {list(shape)[:8]}. Give at least one dimension, each 1 or more."
        )
    return math.prod(shape)


def from_json(tensor: str, datatype: str, shape: Sequence[int], data: list[Any]) -> list[Any]:
    """Check and flatten ``data``, given flat or nested as ``shape`` says.

    Raises:
        InvalidInput: a wrong number of elements, an uneven nesting, or an element that is not of the datatype.
    """
    expected = element_count(tensor, shape)
    flat = _flatten(tensor, data, shape) if any(isinstance(item, list) for item in data) else data
    if len(flat) != expected:
        raise InvalidInput(f"Input {tensor!r} has {len(flat)} elements, but its shape {list(shape)} needs {expected}.")
    check = _CHECKS[data_type(tensor, datatype).kind]
    return [None if value is None else check(tensor, datatype, value) for value in flat]


def _flatten(tensor: str, data: list[Any], shape: Sequence[int]) -> list[Any]:
    level = data
    if len(level) != shape[0]:
        raise _uneven(tensor, shape)
    for size in shape[1:]:
        following: list[Any] = []
        for item in level:
            if not isinstance(item, list) or len(item) != size:
                raise _uneven(tensor, shape)
            following.extend(item)
        level = following
    if any(isinstance(item, list) for item in level):
        raise _uneven(tensor, shape)
    return level


def _uneven(tensor: str, shape: Sequence[int]) -> InvalidInput:
    return InvalidInput(
        f"The data of input {tensor!r} is not nested as its shape {list(shape)[:8]}. Nest it so, or flatten it."
    )


def _wrong(tensor: str, datatype: str, value: Any) -> InvalidInput:
    return InvalidInput(
        f"Input {tensor!r} holds {str(value)[:40]!r}, which is not a {datatype}. Send values of that type."
    )


def _bool(tensor: str, datatype: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _wrong(tensor, datatype, value)


def _int(tensor: str, datatype: str, value: Any) -> int:
    bounds = DATA_TYPES[datatype]
    if isinstance(value, int) and not isinstance(value, bool) and bounds.low <= value <= bounds.high:
        return value
    raise _wrong(tensor, datatype, value)


def _float(tensor: str, datatype: str, value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST_FLOAT[datatype]:
        return float(value)
    raise _wrong(tensor, datatype, value)


def _text(tensor: str, datatype: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _wrong(tensor, datatype, value)


_CHECKS = {"bool": _bool, "int": _int, "float": _float, "bytes": _text}


def from_bytes(tensor: str, datatype: str, shape: Sequence[int], raw: memoryview) -> list[Any]:
    """Decode raw little-endian elements; BYTES elements each follow their length as 4 bytes.

    Raises:
        InvalidInput: the wrong number of bytes, an infinity, or BYTES that are not UTF-8.
    """
    expected = element_count(tensor, shape)
    kind = data_type(tensor, datatype)
    if kind.kind == "bytes":
        return _texts(tensor, raw, expected)
    import numpy as np

    element = np.dtype(kind.code)
    if len(raw) != expected * element.itemsize:
        raise InvalidInput(
            f"Input {tensor!r} has {len(raw)} bytes, but {expected} elements of {datatype} are {expected * element.itemsize}."
        )
    if kind.kind == "bool":
        return [byte != 0 for byte in raw]
    values = np.frombuffer(raw, element)
    if kind.kind != "float":
        return list(values.tolist())
    if np.isinf(values).any():
        raise InvalidInput(f"Input {tensor!r} holds an infinity. Send finite numbers, or NaN where a value is missing.")
    return [None if value != value else value for value in values.tolist()]


def _texts(tensor: str, raw: memoryview, expected: int) -> list[Any]:
    values: list[Any] = []
    at = 0
    while at < len(raw):
        if at + 4 > len(raw) or at + 4 + (size := struct.unpack_from("<I", raw, at)[0]) > len(raw):
            raise InvalidInput(
                f"The BYTES of input {tensor!r} end within an element. Send 4 bytes of length, then the text."
            )
        try:
            values.append(str(raw[at + 4 : at + 4 + size], "utf-8"))
        except UnicodeDecodeError as error:
            raise InvalidInput(f"Element {len(values)} of input {tensor!r} is not UTF-8 text. Send UTF-8.") from error
        at += 4 + size
    if len(values) != expected:
        raise InvalidInput(f"Input {tensor!r} has {len(values)} BYTES elements, but its shape needs {expected}.")
    return values


def guess(values: Sequence[Any]) -> str:
    """The datatype of an output that the endpoint's metadata does not name: BOOL, INT64, FP64 or BYTES."""
    present = [value for value in values if value is not None]
    if present and all(isinstance(value, bool) for value in present):
        return "BOOL"
    if len(present) == len(values) and all(isinstance(v, int) and not isinstance(v, bool) for v in present):
        return "INT64"
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in present):
        return "FP64"
    return "BYTES"


def to_json(datatype: str, values: Sequence[Any]) -> list[Any]:
    """Elements as JSON; what is not a number of its datatype (NaN, None) is null."""
    if datatype == "BYTES":
        return [None if value is None else str(value) for value in values]
    if datatype.startswith("FP"):
        return [None if value is None or not math.isfinite(value) else float(value) for value in values]
    return list(values)


def to_bytes(output: str, datatype: str, values: Sequence[Any]) -> bytes:
    """Raw little-endian elements. A missing value is NaN in FP and empty in BYTES.

    Raises:
        NotOffered: a missing value where the datatype has no way to say so; ask for JSON.
    """
    if datatype == "BYTES":
        encoded = [b"" if value is None else str(value).encode() for value in values]
        return b"".join(struct.pack("<I", len(value)) + value for value in encoded)
    kind = DATA_TYPES[datatype]
    if kind.kind == "float":
        values = [math.nan if value is None else value for value in values]
    elif any(value is None for value in values):
        raise NotOffered(
            f"Output {output!r} has a missing value, which raw {datatype} cannot hold. Ask for it as JSON."
        )
    import numpy as np

    return np.asarray(values, np.dtype(kind.code)).tobytes()
