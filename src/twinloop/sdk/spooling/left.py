"""Spools as they lie on the disk, for whoever finds them: of programs that live, and of programs that have ended."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from twinloop.sdk.spooling.journal import segments
from twinloop.sdk.spooling.reader import Reader
from twinloop.sdk.spooling.spool import ABOUT, REFUSED, About, about_of, locked, read_mark


class Left(msgspec.Struct, frozen=True):
    """A spool as it lies on the disk, of a process that lives (``held``) or has ended."""

    about: About
    folder: Path
    acknowledged: int
    last: int
    size: int
    """Bytes, with the copies of files."""
    held: bool
    refused: str

    @property
    def waiting(self) -> int:
        """How many records have not arrived."""
        return max(0, self.last - self.acknowledged)


def spools(root: Path) -> Iterator[Path]:
    """The folders of spools below ``root``, oldest first."""
    if root.is_dir():
        yield from sorted(path for path in root.iterdir() if (path / ABOUT).is_file())


def look(folder: Path) -> Left | None:
    """What lies in a spool's folder; None when it is not one, or is gone by now."""
    about = about_of(folder)
    if about is None:
        return None
    try:
        lock = locked(folder)
        if lock is not None:
            os.close(lock)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        done, refused = read_mark(folder), refusal(folder)
        return Left(about, folder, done, max(done, _last(folder)), size, lock is None, refused)
    except OSError:
        return None


def refusal(folder: Path) -> str:
    """Why the server refuses to go on with this spool; empty when it does not."""
    try:
        return (folder / REFUSED).read_text() or "refused"
    except OSError:
        return ""


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Hold a spool whose process has ended; False when that process lives, or somebody else is at it."""
    try:
        lock = locked(folder)
    except OSError:
        lock = None
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def _last(folder: Path) -> int:
    found = segments(folder)
    if not found:
        return 0
    reader = Reader(folder)
    try:
        last = 0
        while records := reader.read(0, 10_000, 2**24):
            last = records[-1].sequence
        return last
    finally:
        reader.close()
