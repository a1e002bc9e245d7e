"""Statements that go to the driver itself do what SQLAlchemy's own would, and fail as they would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError, OperationalError

from twinloop.control.store.schema import Json
from twinloop.control.store.sql import BulkInsert, Lookup, Statement, insertion, upsert

things = Table(
    "things",
    MetaData(),
    Column("owner", String(10), primary_key=True),
    Column("key", String(10), primary_key=True),
    Column("value", Integer, nullable=False),
    Column("flag", Boolean),
    Column("about", Json),
)
ADD = insertion(things, "owner", "key", "value")
FIND = Statement(
    select(things.c.key, things.c.value)
    .where(things.c.owner == bindparam("owner"), things.c.value >= bindparam("least"), things.c.key != "none")
    .order_by(things.c.key)
    .limit(bindparam("most")),
    "owner",
    "least",
    "most",
)
LOOKUP = Lookup(select(things.c.key, things.c.value).where(things.c.owner == bindparam("owner")), things.c.key, "owner")
MOVE = Statement(
    update(things).where(things.c.key == bindparam("of")).values(value=bindparam("new_value"), flag=True),
    "new_value",
    "of",
)


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.begin() as opened:
        things.metadata.create_all(opened)
        yield opened
    engine.dispose()


def rows(connection: Connection) -> list[Any]:
    return [tuple(row) for row in connection.execute(select(things).order_by(things.c.owner, things.c.key))]


def test_values_go_where_the_statement_names_them_and_constants_stay(connection: Connection) -> None:
    ADD.run(connection, "a", "k1", 1)
    ADD.many(connection, [("a", "k2", 2), ("a", "k3", 3), ("b", "k2", 9)])
    assert FIND.all(connection, "a", 2, 10) == [("k2", 2), ("k3", 3)]
    assert FIND.all(connection, "a", 0, 1) == [("k1", 1)]
    assert FIND.first(connection, "b", 0, 10) == ("k2", 9)
    assert FIND.first(connection, "nobody", 0, 10) is None


def test_a_change_says_how_many_rows_it_met(connection: Connection) -> None:
    ADD.many(connection, [("a", "k", 2), ("b", "k", 3), ("b", "other", 4)])
    assert MOVE.run(connection, 7, "k") == 2
    assert MOVE.run(connection, 7, "none") == 0
    assert rows(connection) == [("a", "k", 7, True, None), ("b", "k", 7, True, None), ("b", "other", 4, None, None)]


@pytest.mark.parametrize("count", [0, 1, 2, 10, 11, 499, 500, 501, 1100])
def test_any_number_of_keys_is_looked_up_and_each_row_comes_once(connection: Connection, count: int) -> None:
    keys = [f"k{number}" for number in range(count)]
    ADD.many(connection, [("a", key, number) for number, key in enumerate(keys)])
    ADD.many(connection, [("a", "other", 1), ("b", "k0", 1)])
    found = LOOKUP.all(connection, [*keys, "missing"], "a")
    assert sorted(found) == sorted((key, number) for number, key in enumerate(keys))
    assert LOOKUP.all(connection, [], "a") == []


def test_a_driver_that_takes_parameters_by_name_is_given_them_by_name() -> None:
    class Cursor:
        def execute(self, sql: str, parameters: Any) -> None:
            given.append((sql, parameters))

        def fetchall(self) -> list[Any]:
            return []

        def close(self) -> None: ...

    class Driver:
        dialect = postgresql.dialect()  # type: ignore[no-untyped-call]

        @property
        def connection(self) -> Driver:
            return self

        def cursor(self) -> Cursor:
            return Cursor()

    given: list[Any] = []
    FIND.all(Driver(), "a", 2, 10)  # type: ignore[arg-type]
    [(sql, parameters)] = given
    assert all(f"%({name})s" in sql for name in ("owner", "least", "most"))
    assert {"owner": "a", "least": 2, "most": 10}.items() <= parameters.items()
    assert "none" in parameters.values()


def test_what_the_driver_refuses_is_raised_as_sqlalchemy_would(connection: Connection) -> None:
    ADD.run(connection, "a", "k", 1)
    for refused in (
        lambda: ADD.run(connection, "a", "k", 1),
        lambda: ADD.many(connection, [("a", "new", 1), ("a", "k", 1)]),
        lambda: BULK.rows(connection, ["a", "z", None, None]),
    ):
        with pytest.raises(IntegrityError, match="constraint failed"):
            refused()
    connection.exec_driver_sql("DROP TABLE things")
    with pytest.raises(OperationalError, match="no such table"):
        FIND.all(connection, "a", 0, 1)
    things.metadata.create_all(connection)
    with pytest.raises(OverflowError):
        ADD.run(connection, "a", "k", 2**64)


BULK = BulkInsert(things, ("owner", "key", "value", "flag"), ("owner", "key"))
BULK_UPDATE = BulkInsert(things, ("owner", "key", "value", "flag"), ("owner", "key"), ("value",))


@pytest.mark.parametrize("count", [0, 1, 4, 5, 49, 316, 561])
def test_any_number_of_rows_is_inserted_once_each(connection: Connection, count: int) -> None:
    flat = [value for number in range(count) for value in ("a", f"k{number:03}", number, number % 2 == 0)]
    assert BULK.rows(connection, flat) == count
    assert [row[2] for row in rows(connection)] == list(range(count))
    assert BULK.rows(connection, flat) == 0


def test_rows_that_are_there_are_left_or_get_the_new_values_asked_for(connection: Connection) -> None:
    BULK.rows(connection, ["a", "k1", 1, True, "a", "k2", 2, True])
    BULK.rows(connection, ["a", "k1", 7, False, "a", "k3", 3, False, "a", "k3", 4, False])
    assert [row[1:4] for row in rows(connection)] == [("k1", 1, True), ("k2", 2, True), ("k3", 3, False)]
    BULK_UPDATE.rows(connection, ["a", "k1", 7, False, "a", "k4", 4, True])
    assert [row[1:4] for row in rows(connection)] == [
        ("k1", 7, True),
        ("k2", 2, True),
        ("k3", 3, False),
        ("k4", 4, True),
    ]


def test_an_upsert_turns_values_as_the_columns_do(connection: Connection) -> None:
    row = {"owner": "a", "key": "k", "value": 1, "flag": True, "about": {"ü": [1, None]}}
    upsert(connection, things, [row], ("owner", "key"))
    upsert(connection, things, [{**row, "value": 5, "about": None}], ("owner", "key"))
    assert rows(connection) == [("a", "k", 1, True, {"ü": [1, None]})]
    upsert(connection, things, [{**row, "value": 5}, {**row, "key": "l"}], ("owner", "key"), ("value",))
    upsert(connection, things, [{**row, "value": 3}], ("owner", "key"), _larger)
    upsert(connection, things, [{**row, "key": "l", "value": 3}], ("owner", "key"), _larger)
    assert [row[1:3] for row in rows(connection)] == [("k", 5), ("l", 3)]
    upsert(connection, things, [], ("owner", "key"))


def _larger(new: Any) -> dict[str, Any]:
    return {"value": func.max(things.c.value, new.value)}
