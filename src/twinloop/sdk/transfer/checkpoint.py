"""How far an import has come, in a small SQLite file that survives the process at any moment.

An item is written down after everything of it has arrived, together with what it adds up to at the source. The target is
never asked to believe the checkpoint: rows and files are added by their ids, so what is written down too late is only
sent twice.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from twinloop.control.transfer.model import Sum
from twinloop.core.errors import InvalidInput, StorageUnreadable

_VERSION = "1"
_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items (kind TEXT, id TEXT, seen TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sums (
    shape TEXT, scope TEXT, count INTEGER NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (shape, scope)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    place TEXT, path TEXT, size INTEGER NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (place, path)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS numbers (source TEXT PRIMARY KEY, number INTEGER NOT NULL, merged INTEGER NOT NULL) WITHOUT ROWID;
"""


class File(NamedTuple):
    """A file that has been read at the source."""

    path: str
    size: int
    digest: str


class Checkpoint:
    """One import's memory, kept in a file, or in this process alone without a path. Safe for use by many threads."""

    def __init__(self, path: Path | None, source: str, target: str, wait_s: float = 5.0) -> None:
        """Raises InvalidInput when the file is that of another import, StorageUnreadable when it cannot be used."""
        self.path = path
        self._lock = threading.RLock()
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path or ":memory:", isolation_level=None, timeout=wait_s, check_same_thread=False
            )
        except (sqlite3.Error, OSError) as error:
            raise _unusable(path, error) from error
        try:
            self._open(source, target)
        except sqlite3.Error as error:
            self.close()
            raise _unusable(path, error) from error
        except InvalidInput:
            self.close()
            raise

    def _open(self, source: str, target: str) -> None:
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        # Held until it is closed: two imports into one place at once would each count what the other copies.
        self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._connection.executescript(_TABLES)
        self._begin(source, target)

    def _begin(self, source: str, target: str) -> None:
        for name, value in (("version", _VERSION), ("source", source), ("target", target)):
            self._connection.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, value))
            held = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()[0]
            if held != value:
                raise InvalidInput(
                    f"The checkpoint {self.path} is that of another import ({name} {held[:200]}). Name another file."
                )

    def close(self) -> None:
        self._connection.close()

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def seen(self, kind: str, ids: Iterable[str]) -> dict[str, str]:
        """What items looked like when they were copied, by id; nothing for those that were not."""
        query = "SELECT seen FROM items WHERE kind = ? AND id = ?"
        found = {id: self._rows(query, (kind, id)) for id in ids}
        return {id: rows[0][0] for id, rows in found.items() if rows}

    def finish(self, kind: str, seen: Mapping[str, str], sums: Iterable[tuple[str, str, Sum]]) -> None:
        """Items are copied whole: what they looked like, and (shape, scope, sum) of all their rows."""
        with self._lock:
            self._connection.execute("BEGIN")
            self._connection.executemany(
                "INSERT OR REPLACE INTO sums VALUES (?, ?, ?, ?)",
                [(shape, scope, each.count, each.digest) for shape, scope, each in sums],
            )
            self._connection.executemany(
                "INSERT OR REPLACE INTO items VALUES (?, ?, ?)", [(kind, id, text) for id, text in seen.items()]
            )
            self._connection.execute("COMMIT")

    def count(self, kind: str) -> int:
        return int(self._rows("SELECT count(*) FROM items WHERE kind = ?", (kind,))[0][0])

    def sums(self, shape: str) -> Iterator[list[tuple[str, Sum]]]:
        """(scope, sum at the source) of everything copied, in parts, by scope."""
        after = ""
        query = "SELECT scope, count, digest FROM sums WHERE shape = ? AND scope > ? ORDER BY scope LIMIT 1000"
        while rows := self._rows(query, (shape, after)):
            yield [(scope, Sum(count, digest)) for scope, count, digest in rows]
            after = rows[-1][0]

    def shapes(self) -> list[str]:
        return [row[0] for row in self._rows("SELECT DISTINCT shape FROM sums ORDER BY shape")]

    def file(self, place: str, path: str) -> File | None:
        query = "SELECT path, size, digest FROM files WHERE place = ? AND path = ?"
        rows = self._rows(query, (place, path))
        return File(*rows[0]) if rows else None

    def keep_file(self, place: str, file: File) -> None:
        self._rows("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (place, *file))

    def places(self) -> Iterator[tuple[str, list[File]]]:
        """Every place with files, and what was read there."""
        after = ""
        query = "SELECT place FROM files WHERE place > ? ORDER BY place LIMIT 1"
        while rows := self._rows(query, (after,)):
            after = rows[0][0]
            found = self._rows("SELECT path, size, digest FROM files WHERE place = ?", (after,))
            yield after, [File(*file) for file in found]

    def numbers(self) -> dict[str, tuple[int, bool]]:
        """The numbers here of the source's experiments, and whether each was here before."""
        rows = self._rows("SELECT source, number, merged FROM numbers")
        return {source: (number, bool(merged)) for source, number, merged in rows}

    def keep_number(self, source: str, number: int, merged: bool) -> None:
        self._rows("INSERT OR REPLACE INTO numbers VALUES (?, ?, ?)", (source, number, int(merged)))


def _unusable(path: Path | None, error: Exception) -> StorageUnreadable:
    if "locked" in str(error):
        return StorageUnreadable(f"The checkpoint {path} is in use: another import of the same source is running.")
    return StorageUnreadable(
        f"The checkpoint {path} cannot be used ({error}). Delete it to begin again; nothing is copied twice."
    )
