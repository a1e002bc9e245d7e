"""Writes an exported folder: under another name until it is whole, each file with its digest."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from twinloop.core.errors import Conflict, StorageFull, StorageUnreadable, TwinloopError
from twinloop.sdk.transfer.layout import INDEX, MARK, FileEntry, Index

_FULL = (28, 122)
"""Error numbers of a full disk and of an exhausted quota."""


class FolderWriter:
    """Makes ``folder``. What an earlier export left unfinished is begun again."""

    def __init__(self, folder: Path) -> None:
        """Raises Conflict when the folder is there and not empty."""
        self.folder = folder.absolute()
        self._partial = self.folder.with_name(f"{self.folder.name}.partial")
        self.files: list[FileEntry] = []
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise Conflict(f"{folder} is there and not empty. Name a folder that does not exist yet.")
        with _told(folder):
            if self._partial.exists():
                if not (self._partial / MARK).is_file():
                    raise Conflict(
                        f"{self._partial} is in the way and no unfinished export. Move it, or name another folder."
                    )
                shutil.rmtree(self._partial)
            self._partial.mkdir(parents=True)
            (self._partial / MARK).touch()

    @contextmanager
    def open(self, path: str) -> Iterator[Hashing]:
        """A file to write; ``path`` is relative to the folder."""
        with _told(self.folder):
            place = self._partial / path
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as file:
                hashing = Hashing(file)
                yield hashing
            self.files.append(FileEntry(path, hashing.size, hashing.digest))

    def write(self, path: str, chunks: Iterable[bytes]) -> FileEntry:
        """A file with these bytes."""
        with self.open(path) as file:
            for chunk in chunks:
                file.write(chunk)
        return self.files[-1]

    def write_json(self, path: str, value: Any) -> None:
        self.write(path, [pretty(value)])

    def finish(self, index: Index) -> None:
        """Write the index last, sync, and give the folder its name."""
        with _told(self.folder):
            (self._partial / INDEX).write_bytes(pretty(msgspec.to_builtins(index)))
            (self._partial / MARK).unlink()
            for path in (self._partial / INDEX, self._partial):
                handle = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)
            if self.folder.exists():
                self.folder.rmdir()
            self._partial.rename(self.folder)


class Hashing:
    """A file that knows its size and digest; enough of one for a writer of Parquet."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, data: Any) -> int:
        self._sha.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def tell(self) -> int:
        return self.size

    def close(self) -> None:
        self.closed = True

    @property
    def digest(self) -> str:
        return f"sha256:{self._sha.hexdigest()}"


def pretty(value: Any) -> bytes:
    """JSON to read, the same for equal values."""
    return msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=2) + b"\n"


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except TwinloopError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(
                f"No space is left for {folder}. Free some and export again; nothing is there yet."
            ) from error
        raise StorageUnreadable(f"{folder} cannot be written ({error}). Check the path and its permissions.") from error
