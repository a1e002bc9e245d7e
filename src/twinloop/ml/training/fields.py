"""One input or output of a packaged model: its name, the type of its elements and the shape of one row.

Source: MLflow's model signature (https://mlflow.org/docs/latest/ml/model/signatures/), which has columns with a type and
tensors with a NumPy type and a shape whose first dimension counts rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from twinloop.core.errors import InvalidInput

_COLUMN_TYPES = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "string",
    "binary": "binary",
    "datetime": "datetime",
    "any": "any value",
}
_DATATYPES = {
    "bool": "BOOL",
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"FP{bits}" for bits in (16, 32, 64)},
    "string": "BYTES",
    "binary": "BYTES",
    "datetime": "BYTES",
    "any": "BYTES",
}
_MOST_FIELDS = 20_000
_MOST_DIMENSIONS = 8


class Field(msgspec.Struct, frozen=True, omit_defaults=True):
    """``type`` is NumPy's name of an element, or ``string``, ``binary``, ``datetime`` or ``any`` (a number, a truth value or
    text); any other word is a type that is kept and cannot be served. ``shape`` is that of one row, -1 where it is left
    open, and empty for a single value.
    """

    name: str
    type: str
    shape: tuple[int, ...] = ()
    required: bool = True

    @property
    def datatype(self) -> str:
        """The datatype in Open Inference terms."""
        return _DATATYPES[self.type]

    @property
    def servable(self) -> bool:
        return self.type in _DATATYPES

    @property
    def numeric(self) -> bool:
        return self.type.startswith(("int", "uint", "float", "bool"))

    def described(self) -> dict[str, Any]:
        """As an endpoint's metadata lists it: the first dimension is rows."""
        return {"name": self.name, "datatype": self.datatype, "shape": [-1, *self.shape]}

    def __str__(self) -> str:
        return f"{self.type}{list(self.shape)}" if self.shape else self.type


class Param(msgspec.Struct, frozen=True, omit_defaults=True):
    """A parameter of a model's prediction call, with the value it takes when none is given."""

    name: str
    type: str
    default: Any = None


def read_fields(schema: Any, alone: str) -> tuple[Field, ...]:
    """The fields of a signature's ``inputs`` or ``outputs``, decoded from their JSON.

    ``alone`` names a field that stands alone without a name; of several without names each is called by its place.

    Raises:
        InvalidInput: not a list of columns or tensors, or a name that comes twice.
    """
    if not isinstance(schema, list) or len(schema) > _MOST_FIELDS:
        raise InvalidInput(f"The signature is not a list of at most {_MOST_FIELDS} columns or tensors.")
    found = [_field(spec, place, alone if len(schema) == 1 else str(place)) for place, spec in enumerate(schema)]
    if len({field.name for field in found}) < len(found):
        raise InvalidInput("The signature names a column twice.")
    return tuple(found)


def read_params(schema: Any) -> tuple[Param, ...]:
    """The parameters of a signature, decoded from their JSON."""
    if not isinstance(schema, list):
        raise InvalidInput("The signature's params are not a list.")
    return tuple(
        Param(str(item.get("name")), str(item.get("type")), finite(item.get("default")))
        for item in schema
        if isinstance(item, Mapping)
    )


def finite(value: Any) -> Any:
    """``value`` with None where it holds NaN or an infinity, which a manifest cannot say."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [finite(item) for item in value]
    return value


def _field(spec: Any, place: int, unnamed: str) -> Field:
    if not isinstance(spec, Mapping):
        raise InvalidInput(f"Entry {place} of the signature is not a column or a tensor.")
    given = spec.get("name")
    name = unnamed if given is None or given == "" else str(given)
    if spec.get("type") == "tensor":
        tensor = spec.get("tensor-spec")
        if not isinstance(tensor, Mapping):
            raise InvalidInput(f"The tensor {name!r} of the signature has no tensor-spec.")
        return Field(name, _element(str(tensor.get("dtype"))), _row_shape(name, tensor.get("shape")))
    required = spec.get("required", True) is not False and not spec.get("optional", False)
    kind = str(spec.get("type"))
    return Field(name, _COLUMN_TYPES.get(kind, kind), (), required)


def _element(dtype: str) -> str:
    if dtype.startswith("datetime64"):
        return "datetime"
    if dtype in ("object", "str", "string") or dtype[:2] in ("<U", ">U", "|S"):
        return "string"
    return dtype


def _row_shape(name: str, shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, list) or len(shape) > _MOST_DIMENSIONS or not all(type(size) is int for size in shape):
        raise InvalidInput(f"The tensor {name!r} of the signature has no shape of up to {_MOST_DIMENSIONS} dimensions.")
    return tuple(shape[1:])
