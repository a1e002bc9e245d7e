"""Short reads of a SQLite file that somebody else writes."""

from __future__ import annotations

import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from twinloop.core.errors import InvalidInput
from twinloop.sdk.transfer.errors import SourceUnreadable

Row = dict[str, Any]

_WAIT_S = 60.0
_PART = 500


class Rows:
    """One read-only connection. Every call is one statement, read to its end at once, so that no lock outlives it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._columns: dict[str, frozenset[str]] = {}
        if not path.is_file():
            raise InvalidInput(f"There is no file {path}. Give the path of MLflow's database: sqlite:///mlflow.db")
        try:
            self._connection = sqlite3.connect(
                f"file:{quote(str(path.absolute()))}?mode=ro",
                uri=True,
                timeout=_WAIT_S,
                isolation_level=None,
                check_same_thread=False,
            )
            self._connection.row_factory = sqlite3.Row
        except sqlite3.Error as error:
            raise _unreadable(path, error) from error

    def close(self) -> None:
        self._connection.close()

    def has(self, table: str) -> bool:
        return bool(self.columns(table))

    def columns(self, table: str) -> frozenset[str]:
        """The columns of a table; none when there is no such table."""
        if table not in self._columns:
            self._columns[table] = frozenset(row["name"] for row in self.run(f"PRAGMA table_info({table})"))
        return self._columns[table]

    def select(self, table: str, columns: Sequence[str], rest: str = "", values: Sequence[Any] = ()) -> list[Row]:
        """Rows as dictionaries. A column that this database does not have yet is None; a missing table is empty."""
        there = self.columns(table)
        if not there:
            return []
        listed = ", ".join(f'"{name}"' if name in there else f'NULL AS "{name}"' for name in columns)
        return [dict(row) for row in self.run(f"SELECT {listed} FROM {table} {rest}", values)]

    def within(
        self, table: str, columns: Sequence[str], column: str, keys: Sequence[Any], rest: str = ""
    ) -> Iterator[Row]:
        """Rows whose ``column`` is one of ``keys``; ``rest`` follows the condition."""
        for start in range(0, len(keys), _PART):
            part = keys[start : start + _PART]
            yield from self.select(table, columns, f"WHERE {column} IN ({', '.join('?' * len(part))}) {rest}", part)

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        try:
            with self._lock:
                return self._connection.execute(statement, list(values)).fetchall()
        except sqlite3.Error as error:
            raise _unreadable(self.path, error) from error

    def stream(self, statement: str, values: Sequence[Any], many: int) -> Iterator[list[sqlite3.Row]]:
        """The same in parts, for what is too much for one list. Read on without pauses: the file is locked meanwhile."""
        try:
            with self._lock:
                cursor = self._connection.execute(statement, list(values))
                while part := cursor.fetchmany(many):
                    yield part
        except sqlite3.Error as error:
            raise _unreadable(self.path, error) from error


def grouped(rows: Iterable[Row], by: str) -> dict[Any, list[Row]]:
    """Rows by the value of a column."""
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[by]].append(row)
    return found


def pairs(rows: Iterable[Row], key: str = "key", value: str = "value") -> dict[str, str]:
    return {str(row[key]): "" if row[value] is None else str(row[value]) for row in rows}


def _unreadable(path: Path, error: sqlite3.Error) -> SourceUnreadable:
    return SourceUnreadable(
        f"{path} cannot be read ({error}). Is it MLflow's database? One that its server left in the middle of a write is "
        "mended by starting that server once."
    )
