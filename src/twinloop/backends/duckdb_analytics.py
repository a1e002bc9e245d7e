"""DuckDB as the analytical engine of the ML lane."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from twinloop.core.errors import InvalidInput, MissingDependency, StorageFull, Unavailable
from twinloop.ml.data.ports import Session

if TYPE_CHECKING:
    import numpy as np
    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

T = TypeVar("T")

_CONCURRENT = 2
_ROW_GROUP = 122_880


class DuckSession:
    """One in-memory DuckDB database."""

    def __init__(self, connection: DuckDBPyConnection) -> None:
        self._connection = connection

    def execute(self, sql: str) -> None:
        self._connection.execute(sql)

    def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql).fetchall()

    def columns(self, sql: str) -> dict[str, NDArray[np.generic]]:
        found = self._connection.execute(sql).fetchnumpy()
        return {column: _unmask(values) for column, values in found.items()}

    def attach(self, name: str, columns: Mapping[str, NDArray[np.generic]]) -> None:
        self._connection.register(name, dict(columns))

    def write_parquet(self, sql: str, path: Path) -> None:
        target = str(path).replace("'", "''")
        self._connection.execute(
            f"COPY ({sql}) TO '{target}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})"
        )


class DuckAnalytics:
    """Gives each piece of work a fresh DuckDB database in a thread; larger intermediate results spill to ``scratch``."""

    def __init__(self, scratch: Path, threads: int | None = None, memory_limit: str | None = None) -> None:
        self._scratch = scratch
        self._settings: dict[str, str | bool | int | float | list[str]] = {
            "temp_directory": str(scratch / "spill"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        if threads is not None:
            self._settings["threads"] = threads
        if memory_limit is not None:
            self._settings["memory_limit"] = memory_limit
        self._slots = asyncio.Semaphore(_CONCURRENT)

    @property
    def scratch(self) -> Path:
        self._scratch.mkdir(parents=True, exist_ok=True)
        return self._scratch

    async def run(self, work: Callable[[Session], T]) -> T:
        async with self._slots:
            return await asyncio.to_thread(self._run, work)

    def _run(self, work: Callable[[Session], T]) -> T:
        try:
            import duckdb
        except ImportError:
            raise MissingDependency("duckdb", "ml") from None
        with duckdb.connect(":memory:", config=self._settings) as connection:
            try:
                return work(DuckSession(connection))
            except duckdb.OutOfMemoryException as error:
                raise Unavailable("There is not enough memory for this query. Try again, or use fewer rows.") from error
            except duckdb.Error as error:
                line = str(error).splitlines()[0][:300]
                if "No space left" in line:
                    raise StorageFull(
                        "There is no space left for the query's intermediate results. Free some."
                    ) from error
                raise InvalidInput(
                    f"The data cannot be read as asked: {line}. Check the files and the column types."
                ) from error


def _unmask(values: Any) -> NDArray[np.generic]:
    import numpy as np

    if not isinstance(values, np.ma.MaskedArray):
        return np.asarray(values)
    if not values.mask.any():
        return np.asarray(values.data)
    if values.dtype.kind in "iuf":
        numbers = np.asarray(values.data, dtype=np.float64).copy()
        numbers[values.mask] = np.nan
        return numbers
    if values.dtype.kind == "M":
        return np.asarray(values.filled(np.datetime64("NaT")))
    found = values.astype(object)
    found[values.mask] = None
    return np.asarray(found.data)
