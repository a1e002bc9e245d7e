"""Local copies of blobs that live elsewhere, for engines that take a path."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from twinloop.backends.file_stream import Spooled, translated
from twinloop.core.digests import Digest


class FileCache:
    """Files named by digest. Those unused for longest go when the cache is opened, because then nobody holds their paths."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        with translated(folder):
            folder.mkdir(parents=True, exist_ok=True)
            found = sorted(((path, path.stat()) for path in folder.iterdir()), key=lambda one: -one[1].st_mtime)
            kept = 0
            for path, stat in found:
                kept += stat.st_size
                if kept > limit:
                    path.unlink()

    def find(self, digest: Digest) -> Path | None:
        """The copy, marked as used; None when there is none."""
        path = self._path(digest)
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)
            return path
        return None

    def keep(self, whole: Spooled) -> Path:
        """Move a file whose digest was compared into the cache."""
        path = self._path(whole.digest)
        with translated(self._folder):
            whole.path.rename(path)
        return path

    def _path(self, digest: Digest) -> Path:
        return self._folder / digest.removeprefix("sha256:")
