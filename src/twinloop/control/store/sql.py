"""The little SQL that is not the same on every database, written once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table

Update = Sequence[str] | Callable[[Any], Mapping[str, Any]]


class _Prepared(NamedTuple):
    """A compiled statement: its text, and each column in the order of its parameters, with what turns a value to a parameter."""

    sql: str
    columns: tuple[tuple[str, Callable[[Any], Any] | None], ...]
    positional: bool

    def parameters(self, row: Mapping[str, Any]) -> Any:
        values = {name: row[name] if turn is None else turn(row[name]) for name, turn in self.columns}
        return tuple(values.values()) if self.positional else values


_prepared: dict[tuple[Any, ...], _Prepared] = {}


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    key: Sequence[str],
    update: Update = (),
) -> None:
    """Insert ``rows``, all with the same columns; where ``key`` exists already, set the ``update`` columns to the new values.

    Without ``update`` an existing row is left as it is. A module-level function as ``update`` is given the new row and
    returns SQL expressions by column. Statements are compiled once and run by the driver: compiling and converting by
    SQLAlchemy costs more than SQLite itself.
    """
    if not rows:
        return
    columns = tuple(rows[0])
    changed = update if callable(update) else tuple(update)
    name = (connection.dialect.name, table.name, columns, tuple(key), changed)
    prepared = _prepared.get(name)
    if prepared is None:
        prepared = _prepared[name] = _prepare(connection, table, columns, key, update)
    connection.exec_driver_sql(prepared.sql, [prepared.parameters(row) for row in rows])


def _prepare(
    connection: Connection, table: Table, columns: Sequence[str], key: Sequence[str], update: Update
) -> _Prepared:
    dialect = connection.dialect
    statement = _insert(dialect.name)(table)
    if callable(update):
        statement = statement.on_conflict_do_update(index_elements=list(key), set_=dict(update(statement.excluded)))
    elif update:
        values = {name: statement.excluded[name] for name in update}
        statement = statement.on_conflict_do_update(index_elements=list(key), set_=values)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=list(key))
    compiled = statement.compile(dialect=dialect, column_keys=list(columns))
    order = compiled.positiontup if compiled.positional else list(columns)
    turns = {name: table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in columns}
    return _Prepared(str(compiled), tuple((name, turns[name]) for name in order), compiled.positional)


def _insert(dialect: str) -> Callable[[Table], Any]:
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgresql_insert

        return postgresql_insert
    from sqlalchemy.dialects.sqlite import insert as sqlite_insert

    return sqlite_insert
