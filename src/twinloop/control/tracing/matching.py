"""Members of JSON columns, the same on every database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, String, case, cast, false, func


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
