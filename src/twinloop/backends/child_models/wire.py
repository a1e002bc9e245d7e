"""What a model's process and its parent say to each other: MessagePack, each message behind its length."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from twinloop.ml.training.fields import Field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LENGTH = struct.Struct(">Q")


class Array(msgspec.Struct, frozen=True):
    """``data`` are the raw elements of ``type``, or, for the type ``object``, one text, number, bytes or None for each."""

    type: str
    shape: tuple[int, ...]
    data: bytes | list[Any]


class Load(msgspec.Struct, frozen=True, tag="load"):
    """``predict`` is the method that answers. ``fields`` are the inputs as declared, or None."""

    file: str
    predict: str
    fields: tuple[Field, ...] | None


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    inputs: dict[str, Array]


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    fields: tuple[Field, ...]
    classes: list[Any] | None


class Answered(msgspec.Struct, frozen=True, tag="answered"):
    outputs: dict[str, Array]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """``missing`` names a package that is not installed, in ``message``."""

    kind: Literal["input", "model", "refused", "missing"]
    message: str


Job = Load | Ask
Outcome = Loaded | Answered | Failed

encode = msgspec.msgpack.Encoder().encode
decode_job = msgspec.msgpack.Decoder(Job).decode
decode_outcome = msgspec.msgpack.Decoder(Outcome).decode


def pack(arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, Array]:
    return {name: _packed(values) for name, values in arrays.items()}


def unpack(arrays: Mapping[str, Array]) -> dict[str, NDArray[np.generic]]:
    """Raises ValueError when data, type and shape do not belong together."""
    return {name: _unpacked(array) for name, array in arrays.items()}


def _packed(values: NDArray[np.generic]) -> Array:
    if values.dtype.kind in "biufM":
        # Without dates' units lost: the type is written as NumPy reads it, such as <M8[us].
        return Array(values.dtype.str, values.shape, values.tobytes())
    return Array("object", values.shape, [_plain(value) for value in values.ravel().tolist()])


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bytes | str | bool | int | float) else str(value)


def _unpacked(array: Array) -> NDArray[np.generic]:
    import numpy as np

    if isinstance(array.data, bytes):
        return np.frombuffer(array.data, np.dtype(array.type)).reshape(array.shape)
    made = np.empty(len(array.data), dtype=object)
    made[:] = array.data
    return made.reshape(array.shape)
