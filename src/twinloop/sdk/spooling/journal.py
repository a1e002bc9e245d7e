"""A journal: numbered records appended to files, so that a crash of the program loses none of them.

A record is one line, ``<sequence> <CRC-32 in hex> <JSON>``; the checksum covers number and payload. A file is left at
about 8 MiB and the next one is named after its first record. The first line of a file has the number 0 and says which
runs were open then. What cannot be written (a full disk) is held in memory, in order, and written when there is room.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

SEGMENT_BYTES = 8 * 2**20
HELD_BYTES = 64 * 2**20
_RETRY_S = 1.0
_FLOOR_BYTES = 256 * 2**20
_PATTERN = "journal-*.ndjson"


class Record(NamedTuple):
    """One entry. ``payload`` is None where the journal is damaged: the number is known, what it said is not."""

    sequence: int
    payload: bytes | None


def frame(sequence: int, payload: bytes) -> bytes:
    return b"%d %08x %b\n" % (sequence, crc32(payload, sequence), payload)


def unframe(line: bytes) -> Record | None:
    """The record in a line without its end; None when the line is not one that was written whole."""
    number, _, rest = line.partition(b" ")
    checksum, _, payload = rest.partition(b" ")
    try:
        sequence, wanted = int(number), int(checksum, 16)
    except ValueError:
        return None
    return Record(sequence, payload) if sequence >= 0 and crc32(payload, sequence) == wanted else None


def segments(folder: Path) -> list[Path]:
    """The files of the journal in ``folder``, oldest first."""
    return sorted(folder.glob(_PATTERN))


def first_of(segment: Path) -> int:
    """The number of the first record in a file; the serial number behind it keeps names apart."""
    return int(segment.stem.split("-")[1])


class Journal:
    """The writing end. Safe for use by many threads; nothing here raises because a disk is full or gone."""

    def __init__(
        self,
        folder: Path | None,
        header: Callable[[], bytes] = lambda: b"{}",
        segment_bytes: int | None = None,
        held_bytes: int = HELD_BYTES,
    ) -> None:
        self.last = 0
        """Number of the newest record."""
        self.dropped = 0
        """How many records found room neither on disk nor in memory."""
        self.trouble = ""
        """Why records are being held in memory; empty when they are not."""
        self.sealed = False
        """Whether it takes no more records."""
        self._folder = folder
        self._header = header
        self._segment_bytes = SEGMENT_BYTES if segment_bytes is None else segment_bytes
        self._held_bytes = held_bytes
        self._lock = threading.RLock()
        self._writing = False
        self._asked: deque[bytes] = deque()
        self._fd = -1
        self._size = 0
        self._serial = 0
        self._segments: deque[Path] = deque()
        self._left: list[int] = []
        self._dirty = False
        self._held: deque[Record] = deque()
        self._held_size = 0
        self._tried = 0.0

    def append(self, payload: bytes) -> int:
        """Add a record and return its number; 0 when there is no room for it anywhere, or the journal is sealed.

        The record is with the operating system when this returns, so it outlives this process; ``sync`` lets it outlive
        the machine. A signal handler may call this while the call that it interrupted is in here: its record follows.
        """
        with self._lock:
            if self.sealed:
                return 0
            if self._writing:
                self._asked.append(payload)
                return self.last + 1 + len(self._asked)
            number = self._number(payload)
            while self._asked:
                self._number(self._asked.popleft())
            return number

    def seal(self) -> None:
        """Take no more records: nobody will send them."""
        with self._lock:
            self.sealed = True

    def held(self, after: int, count: int) -> list[Record]:
        """Records behind ``after`` that are in memory only."""
        with self._lock:
            return [record for record in self._held if record.sequence > after][:count]

    def sync(self) -> None:
        """Make what was appended outlive the machine, as far as the disk allows; for a thread that may wait."""
        with self._lock:
            if self._held:
                self._write_held()
            left, self._left = self._left, []
            current = os.dup(self._fd) if self._dirty and self._fd >= 0 else -1
            self._dirty = False
        for descriptor in [*left, *([current] if current >= 0 else [])]:
            with contextlib.suppress(OSError):
                os.fsync(descriptor)
            os.close(descriptor)

    def forget(self, acknowledged: int) -> None:
        """Delete what is not needed any more: everything up to ``acknowledged`` that fills whole files."""
        with self._lock:
            while self._held and self._held[0].sequence <= acknowledged:
                self._held_size -= len(self._held.popleft().payload or b"")
            while len(self._segments) > 1 and first_of(self._segments[1]) <= acknowledged + 1:
                with contextlib.suppress(OSError):
                    self._segments.popleft().unlink()

    def close(self) -> None:
        with self._lock:
            self.abandon()

    def abandon(self) -> None:
        """Close without the lock, which in a forked child may be held by a thread that is not there."""
        for descriptor in [*self._left, self._fd]:
            if descriptor >= 0:
                os.close(descriptor)
        self._left, self._fd = [], -1

    def _number(self, payload: bytes) -> int:
        self._writing = True
        try:
            sequence = self.last + 1
            if self._held:
                self._write_held()
            if (self._held or not self._write(sequence, payload)) and not self._hold(sequence, payload):
                self.dropped += 1
                return 0
            self.last = sequence
            return sequence
        except BaseException:
            self._settle()
            raise
        finally:
            self._writing = False

    def _settle(self) -> None:
        """A signal handler raised (as Ctrl-C does) within a write: what the file and memory hold tells how far it came."""
        self._held_size = sum(len(record.payload or b"") for record in self._held)
        if self._held:
            self.last = max(self.last, self._held[-1].sequence)
        if self._fd < 0:
            return
        try:
            whole, _, torn = self._segments[-1].read_bytes().rpartition(b"\n")
        except OSError:
            self._size = self._segment_bytes
            return
        record = unframe(whole.rpartition(b"\n")[2])
        self.last = max(self.last, record.sequence if record is not None else 0)
        self._size = self._segment_bytes if torn else max(self._size, len(whole) + 1)
        self._dirty = True

    def _write(self, sequence: int, payload: bytes) -> bool:
        line = b"%d %08x %b\n" % (sequence, crc32(payload, sequence), payload)
        try:
            if self._fd < 0 or self._size >= self._segment_bytes:
                self._open(sequence)
            written = os.write(self._fd, line)
        except OSError as error:
            self.trouble = error.strerror or str(error)
            return False
        if written != len(line):  # the torn line stays, and the file is left for good: a reader may have seen it
            self.trouble = os.strerror(errno.ENOSPC)
            self._size = self._segment_bytes
            return False
        self._size += written
        self._dirty = True
        return True

    def _open(self, first: int) -> None:
        if self._folder is None:
            raise OSError(errno.ENOENT, "there is no folder for it")
        require_room(self._folder, self._segment_bytes)
        self._serial += 1
        path = self._folder / f"journal-{first:020d}-{self._serial:06d}.ndjson"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._size = os.write(descriptor, frame(0, self._header()))
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        if self._fd >= 0:
            self._left.append(self._fd)
        self._fd = descriptor
        self._segments.append(path)

    def _hold(self, sequence: int, payload: bytes) -> bool:
        if self._held_size + len(payload) > self._held_bytes:
            return False
        self._held.append(Record(sequence, payload))
        self._held_size += len(payload)
        return True

    def _write_held(self) -> None:
        now = time.monotonic()
        if now - self._tried < _RETRY_S:
            return
        self._tried = now
        while self._held:
            record = self._held[0]
            if not self._write(record.sequence, record.payload or b""):
                return
            self._held.popleft()
            self._held_size -= len(record.payload or b"")
        self.trouble = ""


def require_room(folder: Path, wanted: int) -> None:
    """Raise OSError when ``wanted`` more bytes would leave the disk nearly full, which would hurt the program itself."""
    found = os.statvfs(folder)
    free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    if free < min(_FLOOR_BYTES, total // 20) + min(wanted, total // 20):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
