"""Secrets as files that only the owner of the process can read."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path

from twinloop.backends.file_stream import make_folder, sync_folder
from twinloop.core.errors import StorageFull, StorageUnreadable

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_PARTIAL = ".partial"


class FileSecrets:
    """Implements Secrets in a folder of the home: one file each, mode 0600, in a folder with mode 0700.

    One process holds the folder at a time; what an earlier one left half written is removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for abandoned in folder.glob(f"*{_PARTIAL}"):
            abandoned.unlink()

    async def put(self, name: str, value: str) -> None:
        await asyncio.to_thread(self._write, self._path(name), value)

    async def get(self, name: str) -> str | None:
        path = self._path(name)
        try:
            return await asyncio.to_thread(path.read_text, encoding="utf-8")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageUnreadable(f"The secret {path} cannot be read ({error.strerror}). Check its owner.") from error

    async def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            await asyncio.to_thread(self._path(name).unlink)

    async def names(self, prefix: str) -> Sequence[str]:
        def listed() -> list[str]:
            with contextlib.suppress(FileNotFoundError):
                return sorted(
                    path.name
                    for path in self._folder.iterdir()
                    if path.name.startswith(prefix) and _NAME.fullmatch(path.name)
                )
            return []

        return await asyncio.to_thread(listed)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name[:60]!r} cannot name a secret")
        return self._folder / name

    def _write(self, path: Path, value: str) -> None:
        """Whole or not at all: written beside, synced, and renamed into place."""
        partial = path.with_name(f"{path.name}{_PARTIAL}")
        try:
            make_folder(self._folder)
            self._folder.chmod(0o700)
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(value.encode())
                file.flush()
                os.fsync(file.fileno())
            partial.rename(path)
            sync_folder(self._folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink()
            if error.errno == errno.ENOSPC:
                raise StorageFull(f"No space is left for {path}. Free some and try again; nothing was kept.") from error
            raise StorageUnreadable(
                f"The secret {path} cannot be written ({error.strerror}). Check its owner."
            ) from error
