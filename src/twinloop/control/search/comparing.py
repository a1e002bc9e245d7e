"""The comparators of the grammar as SQL, with every value bound."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Boolean, ColumnElement, func

_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compare(column: ColumnElement[Any], comparator: str, value: Any, dialect: str) -> ColumnElement[bool]:
    """``column comparator value``. LIKE minds case on every database, ILIKE on none; RLIKE searches a regular expression."""
    plain = _OPERATORS.get(comparator)
    if plain is not None:
        compared: ColumnElement[bool] = plain(column, value)
        return compared
    match comparator:
        case "IN":
            return column.in_(value)
        case "NOT IN":
            return column.not_in(value)
        case "RLIKE":
            return column.regexp_match(value)
        case "LIKE":
            return _like(column, str(value), dialect)
        case _:
            return func.lower(column).op("LIKE", return_type=Boolean())(func.lower(_plain(str(value), dialect)))


def _like(column: ColumnElement[Any], pattern: str, dialect: str) -> ColumnElement[bool]:
    """On SQLite LIKE does not mind case, so the pattern is said as a GLOB."""
    if dialect != "sqlite":
        return column.like(_plain(pattern, dialect))
    glob = "".join({"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}.get(char, char) for char in pattern)
    return column.op("GLOB", return_type=Boolean())(glob)


def _plain(pattern: str, dialect: str) -> str:
    """A LIKE pattern in which a backslash is a backslash, as it is on SQLite."""
    return pattern if dialect == "sqlite" else pattern.replace("\\", "\\\\")
