"""A spool: the folder of one journal, with where it goes, how far it got, and copies of the files it speaks of."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from twinloop.core.ids import new_id
from twinloop.sdk.spooling.journal import Journal, require_room

ABOUT = "about.json"
_ACKNOWLEDGED = "acknowledged"
_LOCK = "lock"
REFUSED = "refused"
_FILES = "files"


class Place(msgspec.Struct, frozen=True):
    """Where records go: to the server at ``url``; else to whoever serves ``home``, an absolute path."""

    url: str = ""
    home: str = ""

    def __str__(self) -> str:
        return self.url or self.home


class About(msgspec.Struct, frozen=True):
    """What a spool says of itself to whoever finds it."""

    id: str
    place: Place
    program: str
    pid: int
    started_ms: int
    host: str = ""


class Spool:
    """One journal in a folder that this process holds. ``folder`` is None when the disk did not let us make one.

    Only ``keep`` raises for what is wrong with the disk; of records ``journal.trouble`` tells.
    """

    def __init__(self, about: About, folder: Path | None, lock: int, header: Callable[[], bytes]) -> None:
        self.about = about
        self.folder = folder
        self.journal = Journal(folder, header)
        self.acknowledged = 0
        self._lock = lock
        self._mark = _open_mark(folder)

    @classmethod
    def make(cls, root: Path, place: Place, suffix: str = "", header: Callable[[], bytes] = lambda: b"{}") -> Spool:
        """A new spool below ``root``, which is made if need be."""
        started = time.time_ns() // 1_000_000
        about = About(
            new_id() + suffix, place, Path(sys.argv[0]).name if sys.argv else "", os.getpid(), started, platform.node()
        )
        folder = root / about.id
        try:
            folder.mkdir(mode=0o700, parents=True)
            lock = locked(folder)
            (folder / ABOUT).write_bytes(msgspec.json.encode(about))
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            return cls(about, None, -1, header)
        return cls(about, folder, -1 if lock is None else lock, header)

    def acknowledge(self, sequence: int) -> None:
        """The server has everything up to ``sequence``; what only served to send it is deleted."""
        self.acknowledged = sequence
        write_mark(self._mark, sequence)
        self.journal.forget(sequence)

    def keep(self, source: Path | bytes, number: int) -> str:
        """Copy a file, or bytes, into the spool and return the copy's name.

        A copy, because a program may write the next checkpoint over the same file, and a link would change with it.

        Raises:
            OSError: there is no room for it, or the file cannot be read.
        """
        if self.folder is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        name = f"{number:08d}" if isinstance(source, bytes) else f"{number:08d}-{_plain(source.name)}"
        target = self.folder / _FILES / name
        try:
            target.parent.mkdir(mode=0o700, exist_ok=True)
            if isinstance(source, bytes):
                require_room(target.parent, len(source))
                target.write_bytes(source)
            else:
                require_room(target.parent, source.stat().st_size)
                copy(source, target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        return name

    def refuse(self, why: str) -> None:
        """Leave the spool for a person to look at; it is not sent again by itself."""
        if self.folder is not None:
            with contextlib.suppress(OSError):
                (self.folder / REFUSED).write_text(why)

    def close(self) -> None:
        self.journal.close()
        for descriptor in (self._mark, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._mark = self._lock = -1

    def abandon(self) -> None:
        """In a forked child: close what was inherited. Its parent goes on with the spool and keeps the lock."""
        self.journal.abandon()
        for descriptor in (self._mark, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._mark = self._lock = -1

    def remove(self) -> None:
        """Delete the folder; for a spool whose records have all arrived."""
        self.close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def _plain(name: str) -> str:
    """The end of a file's name, short enough for a name with a number before it, in valid Unicode."""
    return name.encode(errors="replace")[-80:].decode(errors="ignore")


def about_of(folder: Path) -> About | None:
    try:
        return msgspec.json.decode((folder / ABOUT).read_bytes(), type=About)
    except (OSError, msgspec.DecodeError):
        return None


def file_of(folder: Path, name: str) -> Path:
    """The copy of a file that a record names."""
    return folder / _FILES / Path(name).name


def locked(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock until it is closed, or None when somebody else holds it."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held, or a file system without locks, where nobody can tell and so nobody is taken for dead
        os.close(descriptor)
        return None
    return descriptor


def read_mark(folder: Path) -> int:
    try:
        return int((folder / _ACKNOWLEDGED).read_bytes() or b"0")
    except (OSError, ValueError):
        return 0


def _open_mark(folder: Path | None) -> int:
    """The file that says how far the server has read; written in place, so that a full disk does not matter."""
    if folder is None:
        return -1
    try:
        descriptor = os.open(folder / _ACKNOWLEDGED, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(descriptor).st_size == 0:
            os.pwrite(descriptor, b"%020d" % 0, 0)
    except OSError:
        return -1
    return descriptor


def keep_mark(folder: Path, sequence: int) -> None:
    """Remember how far the server has read a spool that is not this process's own."""
    descriptor = _open_mark(folder)
    write_mark(descriptor, sequence)
    if descriptor >= 0:
        os.close(descriptor)


def write_mark(descriptor: int, sequence: int) -> None:
    if descriptor >= 0:
        with contextlib.suppress(OSError):
            os.pwrite(descriptor, b"%020d" % sequence, 0)


def copy(source: Path, target: Path) -> None:
    """Copy the bytes of a file; where the file system can share them, without writing them again."""
    size = source.stat().st_size
    with contextlib.suppress(OSError), source.open("rb") as a, target.open("wb") as b:
        while hasattr(os, "copy_file_range") and os.copy_file_range(a.fileno(), b.fileno(), 2**30):
            pass
        if size and os.fstat(b.fileno()).st_size == size:
            return
    shutil.copyfile(source, target)
