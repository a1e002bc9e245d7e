"""What a request to a packaged model must bring, checked against its signature and made into arrays."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from twinloop.control.releases.answers import PredictRequest
from twinloop.core.errors import InvalidInput
from twinloop.ml.deployment.signature import MOST_ROWS
from twinloop.ml.training.fields import Field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NAMES_SHOWN = 40


class PackageInputs:
    """Checks requests against ``fields``. An input that is not required may be left out, and is then not passed on."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = tuple(fields)
        self._known = {field.name for field in fields}
        plain = [field for field in fields if not field.shape]
        self._floating = {
            type: [field.name for field in plain if field.type == type] for type in ("float32", "float64")
        }

    @property
    def fields(self) -> tuple[Field, ...]:
        return self._fields

    def arrays(self, request: PredictRequest) -> dict[str, NDArray[np.generic]]:
        """One array of shape (rows, …) for each input given, in the signature's order.

        Raises:
            InvalidInput: naming the input and the row that does not fit, what was expected and what came.
        """
        if not 1 <= request.rows <= MOST_ROWS:
            raise InvalidInput(f"A request takes 1 to {MOST_ROWS} rows and has {request.rows}. Send fewer at once.")
        for name, values in request.columns.items():
            if name not in self._known:
                raise InvalidInput(f"There is no input {name[:80]!r}. Inputs are: {self._names()}.")
            if len(values) != request.rows:
                raise InvalidInput(
                    f"Input {name!r} has {len(values)} values for {request.rows} rows. Give one per row."
                )
        quick = _floats_at_once(self._floating, request.columns)
        found: dict[str, NDArray[np.generic]] = {}
        for field in self._fields:
            if field.name in quick:
                found[field.name] = quick[field.name]
            elif field.name in request.columns:
                found[field.name] = column(field, request.columns[field.name])
            elif field.required:
                raise InvalidInput(f"Input {field.name!r} is missing. The model's signature requires it: send {field}.")
        return found

    def _names(self) -> str:
        names = [field.name for field in self._fields]
        more = len(names) - _NAMES_SHOWN
        return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _floats_at_once(
    names: Mapping[str, Sequence[str]], columns: Mapping[str, list[Any]]
) -> dict[str, NDArray[np.generic]]:
    """Columns of floating numbers in one conversion for each type; none of a type of which any does not fit."""
    found: dict[str, NDArray[np.generic]] = {}
    for kind, wanted in names.items():
        given = [columns[name] for name in wanted if name in columns]
        if len(given) > 1 and set(map(type, chain.from_iterable(given))) <= {float, int}:
            whole = _floats(given, kind)
            if whole is not None:
                found.update(zip((name for name in wanted if name in columns), whole, strict=True))
    return found


def column(field: Field, values: list[Any]) -> NDArray[np.generic]:
    """The values of one input, one per row, as an array of shape (rows, *shape). Raises InvalidInput."""
    import numpy as np

    flat, shape = _flattened(field, values)
    kinds = set(map(type, flat))
    made: NDArray[np.generic] | None = None
    if field.type.startswith("float") and kinds <= {float, int}:
        made = _floats(flat, field.type)
    elif field.type.startswith(("int", "uint")) and kinds <= {int}:
        limits = np.iinfo(field.type)
        if not flat or (min(flat) >= limits.min and max(flat) <= limits.max):
            made = np.array(flat, dtype=field.type)
    elif field.type == "bool" and kinds <= {bool}:
        made = np.array(flat, dtype=np.bool_)
    if made is None:
        each = math.prod(shape[1:])
        read = _READERS.get(field.type.rstrip("0123456789"), _read_nothing)
        made = _objects(field, [read(field, value, place // each) for place, value in enumerate(flat)])
    return made.reshape(shape)


def _floats(flat: list[Any], type: str) -> NDArray[np.generic] | None:
    """None when a number is not finite in this type; the slow way then says which one."""
    import numpy as np

    try:
        with np.errstate(over="ignore"):
            made = np.array(flat, dtype=type)
    except OverflowError:
        return None
    return made if np.isfinite(made).all() else None


def _flattened(field: Field, values: list[Any]) -> tuple[list[Any], tuple[int, ...]]:
    """All elements in row-major order, and the array's whole shape; open dimensions are as the first row has them."""
    if not field.shape:
        return values, (len(values),)
    shape = [len(values)]
    level = values
    each = 1
    for wanted in field.shape:
        size = len(level[0]) if wanted == -1 and isinstance(level[0], list) else wanted
        for place, item in enumerate(level):
            if not isinstance(item, list) or len(item) != size or not item:
                row = place // each
                got = f"{len(item)} values" if isinstance(item, list) else _told(item)
                raise InvalidInput(
                    f"Input {field.name!r}, row {row}, must be a list of shape {list(field.shape)} and has {got} where "
                    f"{size if size > 0 else 'one or more'} belong."
                )
        level = list(chain.from_iterable(level))
        shape.append(size)
        each *= size
    return level, tuple(shape)


def _objects(field: Field, values: list[Any]) -> NDArray[np.generic]:
    import numpy as np

    if field.type == "datetime":
        return np.array(values, dtype="datetime64[us]")
    if field.numeric:
        return np.array(values, dtype=field.type)
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def _wrong(field: Field, row: int, expected: str, value: Any) -> InvalidInput:
    return InvalidInput(f"Input {field.name!r}, row {row}, must be {expected} ({field.type}) and is {_told(value)}.")


def _told(value: Any) -> str:
    if value is None:
        return "null"
    return f"{type(value).__name__} {str(value)[:40]!r}"


def _read_float(field: Field, value: Any, row: int) -> float:
    if value is None:
        return math.nan
    made = _floats([value], field.type) if type(value) in (int, float) else None
    if made is None:
        raise _wrong(field, row, "a finite number or null", value)
    return float(made[0])


def _read_int(field: Field, value: Any, row: int) -> int:
    import numpy as np

    limits = np.iinfo(field.type)
    if type(value) is not int or not limits.min <= value <= limits.max:
        raise _wrong(field, row, f"a whole number from {limits.min} to {limits.max}", value)
    return value


def _read_bool(field: Field, value: Any, row: int) -> bool:
    if type(value) is not bool:
        raise _wrong(field, row, "true or false", value)
    return value


def _read_string(field: Field, value: Any, row: int) -> str | None:
    if value is not None and type(value) is not str:
        raise _wrong(field, row, "text or null", value)
    return value


def _read_binary(field: Field, value: Any, row: int) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise _wrong(field, row, "bytes as base64 text", value) from None


def _read_datetime(field: Field, value: Any, row: int) -> Any:
    import numpy as np

    if value is None:
        return np.datetime64("NaT")
    try:
        moment = datetime.fromisoformat(value)
        return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment)
    except (TypeError, ValueError, OverflowError):
        raise _wrong(field, row, "a time such as 2013-08-01T12:00:00 or null", value) from None


def _read_any(field: Field, value: Any, row: int) -> Any:
    if value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value)):
        return value
    raise _wrong(field, row, "a finite number, true, false, text or null", value)


def _read_nothing(field: Field, value: Any, row: int) -> Any:
    raise _wrong(field, row, "of a type that is not served", value)


_READERS: dict[str, Callable[[Field, Any, int], Any]] = {
    "float": _read_float,
    "int": _read_int,
    "uint": _read_int,
    "bool": _read_bool,
    "string": _read_string,
    "binary": _read_binary,
    "datetime": _read_datetime,
    "any": _read_any,
}
