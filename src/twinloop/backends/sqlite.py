"""The embedded relational store: SQLite in WAL mode, one writer thread with group commit at synchronous=FULL.

Writers queue plain functions; the thread runs all that wait in one transaction, each in its own savepoint, and one
sync to disk acknowledges them together. Readers run on a small pool of connections and never wait for the writer.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from twinloop.backends.loading import folder_of
from twinloop.backends.migrate import migrate
from twinloop.core.errors import StorageCorrupt, StorageFull, StorageUnreadable, TwinloopError, Unavailable

T = TypeVar("T")

_BATCH = 512
_READERS = 4
# The log is folded into the database when it has this many pages (of 4 KiB), and each connection keeps this many KiB of
# pages: with the defaults a busy server folds several times a second and reads the same pages again and again.
_LOG_PAGES = 8000
_CACHE_KIB = 16_384


class _Job(NamedTuple):
    work: Callable[[Connection], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class _Outcome(NamedTuple):
    future: asyncio.Future[Any]
    result: Any
    error: BaseException | None


class SqliteStore:
    """A Store in one file. Make it with ``open_store``; close it once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._local = threading.local()
        self._reader_engines: list[Engine] = []
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="twinloop-read")
        self._writer_engine = _engine(path, "BEGIN IMMEDIATE")
        with _translated(path):
            self._connection = self._writer_engine.connect()
            self._driver: sqlite3.Connection = self._connection.connection.driver_connection  # type: ignore[assignment]
        self._writer = threading.Thread(target=self._write_forever, name="twinloop-write", daemon=True)
        self._writer.start()
        self._closed = False

    async def read(self, work: Callable[[Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self._read, work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        if self._closed:
            raise Unavailable("The store is closed. Start Twinloop again.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(work, loop, future))
        return await future

    async def aclose(self) -> None:
        """Finish what is queued, fold the log into the database and let go of the file."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._writer.join)
        self._readers.shutdown(wait=True)
        for engine in [*self._reader_engines, self._writer_engine]:
            engine.dispose()

    def _read(self, work: Callable[[Connection], T]) -> T:
        connection: Connection | None = getattr(self._local, "connection", None)
        with _translated(self.path):
            if connection is None:
                engine = _engine(self.path, "BEGIN")
                self._reader_engines.append(engine)
                connection = self._local.connection = engine.connect()
            with connection.begin():
                return work(connection)

    def _write_forever(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch = [first]
            stop = False
            while len(batch) < _BATCH:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    stop = True
                    break
                batch.append(job)
            self._acknowledge(batch, self._commit(batch))
            if stop:
                break
        self._connection.close()

    def _commit(self, batch: list[_Job]) -> list[_Outcome]:
        """One transaction for all; when it fails as a whole, one each, so that nobody pays for another's trouble."""
        if len(batch) > 1:
            try:
                with self._connection.begin():
                    return [self._run(job) for job in batch]
            except Exception:  # noqa: BLE001 - the transaction is gone; each job is run again alone and reports for itself
                self._connection.rollback()
        return [self._alone(job) for job in batch]

    def _run(self, job: _Job) -> _Outcome:
        """One job of several, in a savepoint of the driver's: SQLAlchemy's cost as much as a small job does."""
        execute = self._driver.execute
        execute("SAVEPOINT job")
        try:
            result = job.work(self._connection)
        except DBAPIError as error:
            if isinstance(error.orig, sqlite3.OperationalError):
                raise
            return self._undone(job, error)
        except Exception as error:  # noqa: BLE001 - handed to the caller
            return self._undone(job, error)
        execute("RELEASE job")
        return _Outcome(job.future, result, None)

    def _undone(self, job: _Job, error: BaseException) -> _Outcome:
        self._driver.execute("ROLLBACK TO job")
        self._driver.execute("RELEASE job")
        return _Outcome(job.future, None, error)

    def _alone(self, job: _Job) -> _Outcome:
        try:
            with _translated(self.path), self._connection.begin():
                return _Outcome(job.future, job.work(self._connection), None)
        except Exception as error:  # noqa: BLE001 - handed to the caller
            if self._connection.in_transaction():
                self._connection.rollback()
            return _Outcome(job.future, None, error)

    def _acknowledge(self, batch: list[_Job], outcomes: list[_Outcome]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
        for job, outcome in zip(batch, outcomes, strict=True):
            by_loop.setdefault(job.loop, []).append(outcome)
        for loop, mine in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, mine)


def _resolve(outcomes: list[_Outcome]) -> None:
    for outcome in outcomes:
        if outcome.future.done():
            continue
        if outcome.error is not None:
            outcome.future.set_exception(outcome.error)
        else:
            outcome.future.set_result(outcome.result)


def _engine(path: Path, begin: str) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}", poolclass=StaticPool, connect_args={"check_same_thread": False, "timeout": 30}
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "busy_timeout=30000",
            "temp_store=MEMORY",
            f"wal_autocheckpoint={_LOG_PAGES}",
            f"cache_size=-{_CACHE_KIB}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        driver.execute(begin)

    return engine


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except TwinloopError:
        raise
    except DBAPIError as error:
        raise translate(path, error.orig) or error from error
    except sqlite3.Error as error:
        raise translate(path, error) or error from error


def translate(path: Path, error: BaseException | None) -> TwinloopError | None:
    """The error to show for what SQLite said, or None when it is not about the file."""
    text = str(error).lower()
    if "full" in text and "disk" in text:
        return StorageFull(f"No space is left for {path}. Free some and try again; nothing was written.")
    if "malformed" in text or "not a database" in text or "corrupt" in text:
        return StorageCorrupt(
            f"The database {path} is damaged ({text}). Stop Twinloop, keep a copy of the file, and restore the newest backup."
        )
    if "unable to open" in text or "readonly" in text or "disk i/o" in text or "permission" in text:
        return StorageUnreadable(
            f"The database {path} cannot be read and written ({text}). Check its owner and permissions."
        )
    return None


def open_store(path: Path) -> SqliteStore:
    """Open, or make, the store at ``path`` with the current schema.

    Raises:
        StorageUnreadable, StorageCorrupt, StorageFull: the file cannot be used; it is left as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageUnreadable(
            f"The folder {path.parent} cannot be made ({error.strerror}). Choose another home."
        ) from error
    _check(path)
    engine = _engine(path, "BEGIN IMMEDIATE")
    try:
        with _translated(path):
            migrate(engine)
    finally:
        engine.dispose()
    return SqliteStore(path)


def _check(path: Path) -> None:
    """Refuse a damaged database before anything writes to it; a full check of a large one is left to ``doctor``."""
    if not path.exists():
        return
    try:
        connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if path.stat().st_size < 64 * 2**20:
                verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                if verdict != "ok":
                    raise sqlite3.DatabaseError(f"malformed: {verdict}")
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise translate(path, error) or StorageUnreadable(f"The database {path} cannot be opened: {error}.") from error


def from_url(url: str, home: Path) -> SqliteStore:
    """``sqlite:twinloop.db`` in the home, or ``sqlite:///absolute/path``."""
    return open_store(folder_of(url, home))
