"""The home folder of an embedded installation, held by one process at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

import msgspec

from twinloop.core.clock import iso
from twinloop.core.errors import HomeHeld, StorageUnreadable


class Holder(msgspec.Struct, frozen=True):
    """Who holds a home; ``url`` is empty when that process does not serve."""

    pid: int
    url: str
    since: str


class Home:
    """A folder with a lock in it. The operating system lets go of the lock however the process ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def hold(self, now_ns: int) -> None:
        """Take the home for this process.

        Raises:
            HomeHeld: another process has it; the message says which.
            StorageUnreadable: the folder cannot be made, read or written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / "lock").open("a+b")
        except OSError as error:
            raise StorageUnreadable(
                f"The home {self.path} cannot be read and written ({error.strerror}). Check its owner and permissions, "
                "or choose another with --home."
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise HomeHeld(_held(self.path, holder(self.path))) from error
        self._file = file
        self._since = iso(now_ns)
        self.announce("")

    def announce(self, url: str) -> None:
        """Write down where this process serves, for others that look for it."""
        if self._file is None:
            raise StorageUnreadable(f"The home {self.path} is not held by this process.")
        self._file.seek(0)
        self._file.truncate()
        self._file.write(msgspec.json.encode(Holder(os.getpid(), url, self._since)))
        self._file.flush()

    def release(self) -> None:
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None


def holder(path: Path) -> Holder | None:
    """Who holds the home now, or None when nobody does or it cannot be told."""
    try:
        with (path / "lock").open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return msgspec.json.decode(file.read(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return None
    return None


def _held(path: Path, who: Holder | None) -> str:
    if who is None:
        return f"The home {path} is held by another process. Stop that one, or choose another home with --home."
    where = f" serving {who.url}" if who.url else ""
    advice = (
        f"Use it with --url {who.url}, stop it, or choose another home"
        if who.url
        else "Stop it, or choose another home"
    )
    return f"The home {path} is held by process {who.pid}{where} since {who.since}. {advice} with --home."
