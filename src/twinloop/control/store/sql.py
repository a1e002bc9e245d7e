"""The little SQL that is not the same on every database, written once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    key: Sequence[str],
    update: Sequence[str] | Mapping[str, Any] = (),
) -> None:
    """Insert ``rows``; where ``key`` exists already, set the ``update`` columns, or leave the row when there are none.

    ``update`` as a mapping gives SQL expressions, which may use ``excluded(table)``.
    """
    if not rows:
        return
    statement = _insert(connection, table)
    if update:
        values = update if isinstance(update, Mapping) else {name: statement.excluded[name] for name in update}
        statement = statement.on_conflict_do_update(index_elements=list(key), set_=dict(values))
    else:
        statement = statement.on_conflict_do_nothing(index_elements=list(key))
    connection.execute(statement, list(rows))


def excluded(connection: Connection, table: Table) -> Any:
    """The row that an upsert tried to insert, for use in its ``update`` expressions."""
    return _insert(connection, table).excluded


def _insert(connection: Connection, table: Table) -> Any:
    """The database's own INSERT. Only its dialect is imported: the other would add a tenth to the time to start."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)
