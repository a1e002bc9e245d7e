"""Columns of values as the matrix a model eats. Training, batch prediction and serving all come through here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twinloop.core.errors import InvalidInput
from twinloop.ml.training.model import Input

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NAN = float("nan")
_FEW = 32
"""Up to so many rows, one conversion of everything is quicker than one for each column."""


def fit(columns: Mapping[str, Sequence[Any]], numbers: Sequence[str], categories: Sequence[str]) -> tuple[Input, ...]:
    """Inputs for training data: ``numbers`` first, then ``categories`` with the values seen, sorted."""
    found = [Input(name) for name in numbers]
    for name in categories:
        seen = sorted({str(value) for value in columns[name] if value is not None})
        found.append(Input(name, "category", tuple(seen)))
    return tuple(found)


class Encoder:
    """Turns columns into a matrix for a fixed list of inputs."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        self._inputs = tuple(inputs)
        self._codes = [{value: float(code) for code, value in enumerate(item.categories)} for item in inputs]

    def matrix(self, columns: Mapping[str, Any], rows: int) -> NDArray[np.float32]:
        """Shape ``(rows, inputs)``, NaN where a value is missing; a category is its code.

        ``columns`` maps each input's name to a list or array of ``rows`` values.

        Raises:
            InvalidInput: a column is missing or a value is not a number; the message names the input.
        """
        import numpy as np

        found = []
        for item, codes in zip(self._inputs, self._codes, strict=True):
            values = columns.get(item.name)
            if values is None:
                raise InvalidInput(f"The input {item.name!r} is missing. Give a column with this name.")
            if item.type == "category":
                found.append([codes.get(v if type(v) is str else str(v), _NAN) for v in _plain(values)])
            else:
                found.append(_numbers(item.name, values))
        with np.errstate(over="ignore"):  # beyond float32 is infinity, which models take
            if rows <= _FEW:
                return np.ascontiguousarray(np.array(found, dtype=np.float32).reshape(len(found), rows).T)
            whole = np.empty((rows, len(found)), dtype=np.float32)
            for place, column in enumerate(found):
                whole[:, place] = column
            return whole


def _plain(values: Any) -> Sequence[Any]:
    return values.tolist() if hasattr(values, "dtype") else values  # type: ignore[no-any-return]


def _numbers(name: str, values: Any) -> Any:
    if hasattr(values, "dtype") and values.dtype.kind in "iufb":
        return values
    try:
        return [_NAN if value is None else float(value) for value in _plain(values)]
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput(f"The input {name!r} must be a number of 64 bits in every row.") from None
