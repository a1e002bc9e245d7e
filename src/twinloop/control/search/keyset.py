"""Pages that neither shift nor repeat rows: a token holds the sort values of the last row that was given."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, and_, false, literal, or_, true

from twinloop.core.errors import InvalidInput

_BAD = "Invalid page token. Give the next_page_token of the page before, unchanged."


class SortKey(NamedTuple):
    """A value rows are ordered by; never NULL, so that "behind this row" is a plain comparison.

    ``fixed`` is the value where all rows of a statement have the same.
    """

    value: ColumnElement[Any]
    ascending: bool
    fixed: int | None = None


class Keyset:
    """Sort keys, the most significant first; together they tell every two rows apart. ``mark`` names the order."""

    def __init__(self, keys: Sequence[SortKey], mark: str) -> None:
        self._keys = tuple(keys)
        self._mark = mark

    @property
    def columns(self) -> list[ColumnElement[Any]]:
        """What a statement must give of every row."""
        return [key.value.label(f"sort_{number}") for number, key in enumerate(self._keys)]

    @property
    def order(self) -> list[ColumnElement[Any]]:
        return [key.value if key.ascending else key.value.desc() for key in self._keys if key.fixed is None]

    def token(self, row: Any) -> str:
        """Where the page behind ``row`` begins."""
        values = [getattr(row, f"sort_{number}") for number in range(len(self._keys))]
        return base64.urlsafe_b64encode(msgspec.json.encode([self._mark, *values])).decode()

    def decode(self, token: str) -> list[Any]:
        """The sort values of a token. Raises InvalidInput when it is none, or of another order."""
        try:
            content = base64.urlsafe_b64decode(token.encode())
        except (ValueError, binascii.Error) as error:
            raise InvalidInput(_BAD.replace(".", ", could not base64-decode it.", 1)) from error
        try:
            mark, *values = msgspec.json.decode(content, type=list[str | int | float])
        except (ValueError, msgspec.MsgspecError) as error:
            raise InvalidInput(_BAD) from error
        if mark != self._mark or len(values) != len(self._keys):
            raise InvalidInput("The page token belongs to a search with another order_by. Start again without a token.")
        for value, key in zip(values, self._keys, strict=True):
            wanted = key.value.type.python_type
            if isinstance(value, str) != (wanted is str) or (isinstance(value, int) and abs(value) >= 2**63):
                raise InvalidInput(_BAD)
        return values

    def behind(self, values: Sequence[Any]) -> ColumnElement[bool]:
        """The condition that a row comes after the one with these sort values."""
        condition: ColumnElement[bool] = false()
        for key, value in reversed(list(zip(self._keys, values, strict=True))):
            if key.fixed is not None:
                if key.fixed != value:
                    condition = true() if (key.fixed > value) == key.ascending else false()
                continue
            bound = literal(value, key.value.type)
            further = key.value > bound if key.ascending else key.value < bound
            condition = or_(further, and_(key.value == bound, condition))
        return and_(condition, *self._start(values))

    def _start(self, values: Sequence[Any]) -> list[ColumnElement[bool]]:
        """The same said of the first key alone, so that an index on it can start in the right place."""
        for key, value in zip(self._keys, values, strict=True):
            if key.fixed is None:
                bound = literal(value, key.value.type)
                return [key.value >= bound if key.ascending else key.value <= bound]
            if key.fixed != value:
                break
        return []
