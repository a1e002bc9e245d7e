"""What the ML lane needs of an analytical engine: DuckDB's SQL over Parquet files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")


class Session(Protocol):
    """A private, empty database for one piece of work. Statements are DuckDB SQL and are never a caller's text."""

    def execute(self, sql: str) -> None: ...

    def fetch(self, sql: str) -> list[tuple[Any, ...]]: ...

    def columns(self, sql: str) -> dict[str, NDArray[np.generic]]:
        """The result by column, one value per row; numbers with NULLs are float64 with NaN, other NULLs are None."""
        ...

    def attach(self, name: str, columns: Mapping[str, NDArray[np.generic]]) -> None:
        """Make arrays of equal length readable as the table ``name``."""
        ...

    def write_parquet(self, sql: str, path: Path) -> None:
        """Write the result, in its order, as one Parquet file; the same rows give the same bytes."""
        ...


class Analytics(Protocol):
    """Runs work beside the event loop, each piece in a session of its own, a few at a time."""

    async def run(self, work: Callable[[Session], T]) -> T:
        """Run ``work`` in a thread and return its result.

        Raises:
            InvalidInput: a file is not Parquet or a value does not fit its type; the message is the engine's first line.
            StorageFull: no space left for intermediate results.
            Unavailable: the engine ran out of memory.
        """
        ...

    @property
    def scratch(self) -> Path:
        """A folder for files that live as long as one piece of work."""
        ...
