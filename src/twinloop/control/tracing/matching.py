"""Comparisons of text that mean the same on every database."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Boolean, ColumnElement, String, case, cast, false, func

_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_GLOB = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}


def compare(column: ColumnElement[Any], comparator: str, value: Any, dialect: str) -> ColumnElement[bool]:
    """``column`` against a bound ``value``; LIKE minds case, ILIKE does not, RLIKE searches a regular expression."""
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
            return like(column, value, dialect)
        case _:
            return func.lower(column).op("LIKE", return_type=Boolean())(func.lower(_escaped(value, dialect)))


def like(column: ColumnElement[Any], pattern: str, dialect: str) -> ColumnElement[bool]:
    """LIKE that minds case: on SQLite LIKE does not, so the pattern is said as a GLOB."""
    if dialect != "sqlite":
        return column.like(_escaped(pattern, dialect))
    return column.op("GLOB", return_type=Boolean())("".join(_GLOB.get(char, char) for char in pattern))


def _escaped(pattern: str, dialect: str) -> str:
    """A LIKE pattern in which a backslash is a backslash, as it is on SQLite."""
    return pattern if dialect == "sqlite" else pattern.replace("\\", "\\\\")


def json_text(column: ColumnElement[Any], key: str, dialect: str) -> ColumnElement[Any]:
    """A member of a JSON map as text: strings without their quotes, everything else as JSON; NULL when it is not there."""
    if dialect == "postgresql":
        return cast(column, String).op("::jsonb ->>", return_type=String())(key)
    if '"' in key:  # a path of SQLite cannot name such a member
        return case((false(), ""))
    path = f'$."{key}"'
    kind = func.json_type(column, path)
    found = cast(func.json_extract(column, path), String)
    return case((kind == "true", "true"), (kind == "false", "false"), else_=found)
