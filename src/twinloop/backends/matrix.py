"""A packaged model's inputs as the one matrix that tree and linear engines take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twinloop.core.errors import InvalidInput
from twinloop.ml.training.fields import Field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from twinloop.ml.deployment.ports import Arrays


class Layout:
    """Which input stands in which column of a matrix ``(rows, width)``.

    Args:
        declared: the inputs of the package's signature, or None.
        width: how many columns the model takes.
        names: what the model itself calls its columns; None when it has no names for them.

    Raises:
        InvalidInput: the declared inputs are not those the model takes; the message says which.
    """

    def __init__(self, declared: Sequence[Field] | None, width: int, names: Sequence[str] | None, type: str) -> None:
        self.fields = tuple(declared) if declared is not None else _own(width, names, type)
        for field in self.fields:
            if not field.numeric:
                raise InvalidInput(f"The signature has {field.name!r} as {field} and the model takes numbers only.")
        if len(self.fields) == 1 and len(self.fields[0].shape) == 1:
            [count] = self.fields[0].shape
            if count not in (-1, width):
                raise InvalidInput(f"The signature has rows of {count} numbers and the model takes {width}.")
            self._order: list[str] | None = None
            if count == -1:
                self.fields = (Field(self.fields[0].name, self.fields[0].type, (width,)),)
            return
        if any(field.shape for field in self.fields):
            raise InvalidInput("The signature has several tensors and the model takes one matrix.")
        declared_names = [field.name for field in self.fields]
        if len(declared_names) != width:
            raise InvalidInput(f"The signature has {len(declared_names)} inputs and the model takes {width}.")
        if names is not None and set(names) != set(declared_names):
            strange = sorted(set(declared_names) - set(names))[:5]
            raise InvalidInput(f"The signature names inputs that the model does not have: {', '.join(strange)}.")
        self._order = list(names) if names is not None else declared_names

    def matrix(self, given: Arrays, type: Any) -> NDArray[np.generic]:
        """The columns in the model's order; NaN where an optional input was left out."""
        import numpy as np

        if self._order is None:
            return np.ascontiguousarray(next(iter(given.values())), dtype=type)
        rows = len(next(iter(given.values()), ()))
        whole = np.full((rows, len(self._order)), np.nan, dtype=type)
        with np.errstate(over="ignore"):
            for place, name in enumerate(self._order):
                if name in given:
                    whole[:, place] = given[name]
        return whole


def _own(width: int, names: Sequence[str] | None, type: str) -> tuple[Field, ...]:
    if names is None:
        return (Field("input", type, (width,)),)
    return tuple(Field(name, type) for name in names)
