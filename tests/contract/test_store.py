"""What every Store must do; run over each backend."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from twinloop.backends.sqlite import open_store, translate
from twinloop.control.store.ports import Store
from twinloop.core.errors import StorageCorrupt, StorageFull, StorageUnreadable, Unavailable


@pytest.fixture(params=["sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(tmp_path / "store.db")
    await opened.write(lambda c: c.execute(text("CREATE TABLE t (n INTEGER PRIMARY KEY)")))
    yield opened
    await opened.aclose()


def insert(n: int):  # type: ignore[no-untyped-def]
    return lambda c: c.execute(text("INSERT INTO t VALUES (:n)"), {"n": n})


async def numbers(store: Store) -> list[int]:
    return await store.read(lambda c: list(c.execute(text("SELECT n FROM t ORDER BY n")).scalars()))


async def test_what_was_written_is_read(store: Store) -> None:
    await store.write(insert(1))
    assert await numbers(store) == [1]


async def test_a_unit_of_work_that_raises_leaves_nothing_and_harms_nobody_else(store: Store) -> None:
    def bad(connection):  # type: ignore[no-untyped-def]
        insert(2)(connection)
        raise ValueError("no")

    done = await asyncio.gather(
        store.write(insert(1)), store.write(bad), store.write(insert(3)), return_exceptions=True
    )
    assert isinstance(done[1], ValueError)
    assert await numbers(store) == [1, 3]


async def test_a_constraint_that_fails_is_told_to_its_own_caller_only(store: Store) -> None:
    done = await asyncio.gather(*(store.write(insert(n)) for n in (1, 2, 1, 3)), return_exceptions=True)
    assert [isinstance(d, Exception) for d in done] == [False, False, True, False]
    assert await numbers(store) == [1, 2, 3]


async def test_of_many_units_of_work_in_one_commit_each_is_whole_or_not_there(store: Store) -> None:
    def work(n: int):  # type: ignore[no-untyped-def]
        def insert_three(connection):  # type: ignore[no-untyped-def]
            for part in range(3):
                insert(10 * n + part)(connection)
                if n % 3 == 0 and part == 1:
                    raise ValueError(n)
            if n % 3 == 1:
                insert(10 * n)(connection)  # is there already

        return insert_three

    done = await asyncio.gather(*(store.write(work(n)) for n in range(60)), return_exceptions=True)
    assert [n for n, result in enumerate(done) if not isinstance(result, Exception)] == list(range(2, 60, 3))
    assert await numbers(store) == [10 * n + part for n in range(2, 60, 3) for part in range(3)]


async def test_every_commit_waits_for_the_disk(store: Store) -> None:
    def settings(connection):  # type: ignore[no-untyped-def]
        return [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("synchronous", "journal_mode")]

    assert await store.write(settings) == [2, "wal"]  # 2 is FULL


async def test_many_writers_lose_nothing(store: Store) -> None:
    await asyncio.gather(*(store.write(insert(n)) for n in range(2000)))
    assert await numbers(store) == list(range(2000))


async def test_a_reader_does_not_wait_for_a_writer(store: Store) -> None:
    await store.write(insert(1))
    slow = asyncio.create_task(store.write(lambda c: (insert(2)(c), time.sleep(0.5))))
    await asyncio.sleep(0.1)
    began = time.monotonic()
    assert await numbers(store) == [1]
    assert time.monotonic() - began < 0.3
    await slow
    assert await numbers(store) == [1, 2]


async def test_a_reader_sees_one_moment(store: Store) -> None:
    await store.write(insert(1))

    def twice(connection):  # type: ignore[no-untyped-def]
        first = connection.execute(text("SELECT count(*) FROM t")).scalar()
        time.sleep(0.3)
        return first, connection.execute(text("SELECT count(*) FROM t")).scalar()

    reading = asyncio.create_task(store.read(twice))
    await asyncio.sleep(0.1)
    await store.write(insert(2))
    assert await reading == (1, 1)


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = open_store(tmp_path / "x.db")
    await store.aclose()
    with pytest.raises(Unavailable, match="closed"):
        await store.write(insert(1))


def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"this is not a database at all, but it is long enough to look at" * 100)
    before = path.read_bytes()
    with pytest.raises(StorageCorrupt, match="damaged"):
        open_store(path)
    assert path.read_bytes() == before


async def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = open_store(path)
    await store.write(lambda c: c.execute(text("CREATE TABLE t (n INTEGER PRIMARY KEY, v TEXT)")))
    for start in range(0, 2000, 500):
        await store.write(
            lambda c, s=start: c.execute(  # type: ignore[misc]
                text("INSERT INTO t VALUES (:n, :v)"), [{"n": n, "v": "x" * 500} for n in range(s, s + 500)]
            )
        )
    await store.aclose()
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20_000] = os.urandom(20_000)
    path.write_bytes(data)
    with pytest.raises(StorageCorrupt, match="damaged"):
        open_store(path)


async def test_a_full_disk_is_said_and_nothing_is_half_written(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store.db")
    await store.write(lambda c: c.execute(text("CREATE TABLE t (n INTEGER PRIMARY KEY, v TEXT)")))

    def limit(connection):  # type: ignore[no-untyped-def]
        pages = connection.execute(text("PRAGMA page_count")).scalar()
        connection.execute(text(f"PRAGMA max_page_count = {pages + 2}"))

    await store.write(limit)
    fill = text("INSERT INTO t VALUES (:n, :v)")
    small = [store.write(lambda c, n=n: c.execute(fill, {"n": n, "v": "x"})) for n in range(3)]  # type: ignore[misc]
    big = store.write(lambda c: c.execute(fill, {"n": 99, "v": "x" * 100_000}))
    done = await asyncio.gather(*small, big, return_exceptions=True)
    assert isinstance(done[3], StorageFull)
    assert not any(isinstance(d, Exception) for d in done[:3])
    assert await store.read(lambda c: c.execute(text("SELECT count(*) FROM t")).scalar()) == 3
    await store.aclose()


def test_a_home_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")
    with pytest.raises(StorageUnreadable, match="Choose another home"):
        open_store(blocked / "home" / "store.db")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("database or disk is full", StorageFull),
        ("database disk image is malformed", StorageCorrupt),
        ("file is not a database", StorageCorrupt),
        ("unable to open database file", StorageUnreadable),
        ("attempt to write a readonly database", StorageUnreadable),
        ("disk I/O error", StorageUnreadable),
    ],
)
def test_what_sqlite_says_is_turned_into_what_to_do(said: str, kind: type[Exception]) -> None:
    assert isinstance(translate(Path("x.db"), sqlite3.OperationalError(said)), kind)
    assert translate(Path("x.db"), sqlite3.IntegrityError("UNIQUE constraint failed")) is None
