"""Batches that the store cannot take for now, as files in a folder."""

from __future__ import annotations

import os
from pathlib import Path

from twinloop.core.ids import new_id


class FileSpool:
    """Implements Spool. A batch counts once its file is whole, synced and renamed into place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._drained: list[Path] = []

    def append(self, batch: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = new_id()
        partial = self._folder / f"{name}.partial"
        with partial.open("wb") as file:
            file.write(batch)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(self._folder / f"{name}.json")

    def drain(self) -> list[bytes]:
        self._drained = sorted(self._folder.glob("*.json")) if self._folder.is_dir() else []
        return [path.read_bytes() for path in self._drained]

    def clear(self) -> None:
        for path in self._drained:
            path.unlink(missing_ok=True)
        self._drained = []


class MemorySpool:
    """Implements Spool in memory, for tests and for processes that write nothing."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []

    def append(self, batch: bytes) -> None:
        self._kept.append(batch)

    def drain(self) -> list[bytes]:
        return list(self._kept)

    def clear(self) -> None:
        self._kept.clear()
