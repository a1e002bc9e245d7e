"""The little SQL that is not the same on every database, and statements that are compiled once.

What is asked a thousand times a second goes to the driver itself: compiling, converting and keeping books in SQLAlchemy
cost more than SQLite does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from sqlalchemy import ColumnElement, Connection, Select, Table, bindparam, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.expression import Executable

Update = Sequence[str] | Callable[[Any], Mapping[str, Any]]
Row = tuple[Any, ...]


class _Compiled(NamedTuple):
    """``order`` says of each parameter its position among the caller's values, or None for a constant of the statement,
    which ``constants`` has at the same place; it is None when values are taken as they come. ``names`` are for a driver
    that takes parameters by name."""

    sql: str
    order: tuple[int | None, ...] | None
    constants: tuple[Any, ...]
    names: tuple[str, ...] | None


class Statement:
    """A statement and the names of its parameters in the order in which values are given.

    Values and results are the driver's own: a boolean may come back as 0 or 1, JSON is text.
    """

    def __init__(self, clause: Executable, *names: str) -> None:
        self._clause: Any = clause
        self._names = names
        self._compiled: dict[str, _Compiled] = {}

    def all(self, connection: Connection, *values: Any) -> list[Row]:
        cursor = self._execute(connection, values)
        try:
            found: list[Row] = cursor.fetchall()
        finally:
            cursor.close()
        return found

    def first(self, connection: Connection, *values: Any) -> Row | None:
        cursor = self._execute(connection, values)
        try:
            found: Row | None = cursor.fetchone()
        finally:
            cursor.close()
        return found

    def run(self, connection: Connection, *values: Any) -> int:
        """Returns how many rows it changed."""
        cursor = self._execute(connection, values)
        changed: int = cursor.rowcount
        cursor.close()
        return changed

    def many(self, connection: Connection, rows: Sequence[Row]) -> None:
        compiled = self._compile(connection)
        _run(connection, compiled.sql, [_arranged(compiled, row) for row in rows], many=True).close()

    def _execute(self, connection: Connection, values: Row) -> Any:
        compiled = self._compile(connection)
        return _run(connection, compiled.sql, _arranged(compiled, values))

    def _compile(self, connection: Connection) -> _Compiled:
        dialect = connection.dialect
        found = self._compiled.get(dialect.name)
        if found is None:
            keys = list(self._names) if getattr(self._clause, "is_insert", False) else None
            compiled = self._clause.compile(dialect=dialect, column_keys=keys)
            named = tuple(compiled.positiontup if compiled.positional else compiled.params)
            order = tuple(self._names.index(name) if name in self._names else None for name in named)
            constants = tuple(compiled.params[name] for name in named)
            plain = compiled.positional and order == tuple(range(len(self._names)))
            found = _Compiled(
                str(compiled), None if plain else order, constants, None if compiled.positional else named
            )
            self._compiled[dialect.name] = found
        return found


_LENGTHS = (1, 10, 100, 500)


class Lookup:
    """Rows of ``query`` whose ``column`` is one of many keys; ``names`` are the other parameters, as of a Statement.

    There is a statement for a few lengths; a shorter list of keys is filled up with its last one.
    """

    def __init__(self, query: Select[Any], column: ColumnElement[Any], *names: str) -> None:
        self._query = query
        self._column = column
        self._names = names
        self._statements: dict[int, Statement] = {}

    def all(self, connection: Connection, keys: Sequence[Any], *values: Any) -> list[Row]:
        found: list[Row] = []
        for begin in range(0, len(keys), _LENGTHS[-1]):
            part = keys[begin : begin + _LENGTHS[-1]]
            length = next(length for length in _LENGTHS if length >= len(part))
            filled = [*part, *[part[-1]] * (length - len(part))]
            found += self._statement(length).all(connection, *values, *filled)
        return found

    def _statement(self, length: int) -> Statement:
        found = self._statements.get(length)
        if found is None:
            named = [f"among_{number}" for number in range(length)]
            marks = [bindparam(name, type_=self._column.type) for name in named]
            mine = self._column.in_(marks) if length > 1 else self._column == marks[0]
            found = self._statements[length] = Statement(self._query.where(mine), *self._names, *named)
        return found


def _arranged(compiled: _Compiled, values: Row) -> Any:
    if compiled.order is None:
        return values
    pairs = zip(compiled.order, compiled.constants, strict=True)
    arranged = [constant if position is None else values[position] for position, constant in pairs]
    return arranged if compiled.names is None else dict(zip(compiled.names, arranged, strict=True))


def _run(connection: Connection, sql: str, parameters: Any, *, many: bool = False) -> Any:
    """A cursor of the driver that has run ``sql``; its errors are those that SQLAlchemy would raise."""
    cursor = connection.connection.cursor()
    try:
        if many:
            cursor.executemany(sql, parameters)
        else:
            cursor.execute(sql, parameters)
    except Exception as error:  # noqa: BLE001 - raised again
        cursor.close()
        _raise(connection, sql, error)
    return cursor


def _raise(connection: Connection, sql: str, error: Exception) -> NoReturn:
    driver = connection.dialect.loaded_dbapi
    if isinstance(error, driver.Error):
        raise DBAPIError.instance(sql, None, error, driver.Error, dialect=connection.dialect) from error
    raise error


class _Prepared(NamedTuple):
    """A compiled statement: its text, and each column in the order of its parameters, with what turns a value to a parameter."""

    sql: str
    columns: tuple[tuple[str, Callable[[Any], Any] | None], ...]
    positional: bool

    def parameters(self, row: Mapping[str, Any]) -> Any:
        if self.positional:
            return tuple([row[name] if turn is None else turn(row[name]) for name, turn in self.columns])
        return {name: row[name] if turn is None else turn(row[name]) for name, turn in self.columns}


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
    returns SQL expressions by column.
    """
    if not rows:
        return
    columns = tuple(rows[0])
    changed = update if callable(update) else tuple(update)
    name = (connection.dialect.name, table.name, columns, tuple(key), changed)
    prepared = _prepared.get(name)
    if prepared is None:
        prepared = _prepared[name] = _prepare(connection, table, columns, key, update)
    if len(rows) == 1:
        _run(connection, prepared.sql, prepared.parameters(rows[0])).close()
    else:
        _run(connection, prepared.sql, [prepared.parameters(row) for row in rows], many=True).close()


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


# How many rows one statement inserts, largest first; few sizes, so that a driver keeps all of them prepared.
_SIZES = (250, 50, 10, 5, 1)


class BulkInsert:
    """Inserts many rows into ``table``; one whose ``key`` is there already is left out, or gets new values in ``update``.

    Many rows go in one statement: a driver gives up the interpreter's lock for every statement, and with other threads
    waiting for it that costs more than the insertion.
    """

    def __init__(self, table: Table, columns: Sequence[str], key: Sequence[str], update: Sequence[str] = ()) -> None:
        self._table = table
        self._columns = tuple(columns)
        self._key = tuple(key)
        self._update = tuple(update)
        self._texts: dict[tuple[str, int], str] = {}

    def rows(self, connection: Connection, flat: list[Any]) -> int:
        """``flat`` are the values of one row after another, in the order of the columns, as the driver takes them.

        Returns how many rows were inserted or changed.
        """
        width, begin, changed = len(self._columns), 0, 0
        for size in _SIZES:
            step = size * width
            while len(flat) - begin >= step:
                part = flat[begin : begin + step] if step < len(flat) else flat
                cursor = _run(connection, self._text(connection, size), part)
                changed += cursor.rowcount
                cursor.close()
                begin += step
        return changed

    def _text(self, connection: Connection, size: int) -> str:
        name = (connection.dialect.name, size)
        found = self._texts.get(name)
        if found is None:
            preparer = connection.dialect.identifier_preparer
            mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
            one = f"({', '.join([mark] * len(self._columns))})"
            names = ", ".join(preparer.quote(column) for column in self._columns)
            sets = ", ".join(f"{preparer.quote(column)} = excluded.{preparer.quote(column)}" for column in self._update)
            found = self._texts[name] = (
                f"INSERT INTO {preparer.quote(self._table.name)} ({names}) VALUES {', '.join([one] * size)} "
                f"ON CONFLICT ({', '.join(preparer.quote(column) for column in self._key)}) "
                f"{f'DO UPDATE SET {sets}' if sets else 'DO NOTHING'}"
            )
        return found


def insertion(table: Table, *columns: str) -> Statement:
    """The statement that inserts one row with these columns."""
    return Statement(insert(table), *columns)
