"""The reading end of a journal."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

from twinloop.sdk.spooling.journal import Record, segments, unframe


class Reader:
    """The reading end: goes forward through the files of a folder, also while they are being written."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._segment: Path | None = None
        self._fd = -1
        self._lines: deque[bytes] = deque()
        self._torn = b""
        self._ready: deque[Record] = deque()
        self._next = 1
        self.header = b""
        """What the oldest file says of the time before it."""

    def read(self, after: int, count: int, size: int) -> list[Record]:
        """The next records behind ``after``, about ``count`` or ``size`` bytes of them; none when there are no more yet.

        Records that cannot be read come as damaged ones once a later record shows that they were there.
        """
        found: list[Record] = []
        total = 0
        while len(found) < count and total < size:
            record = self._record(after)
            if record is None:
                break
            found.append(record)
            total += len(record.payload or b"")
        return found

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _record(self, after: int) -> Record | None:
        while not self._ready:
            line = self._line()
            if line is None:
                return None
            record = unframe(line)
            if record is None:
                continue
            if record.sequence == 0:
                self.header = self.header or record.payload or b""
            elif record.sequence > after:
                self._next = max(self._next, after + 1)
                if record.sequence < self._next:  # written twice, because the program was interrupted in between
                    continue
                self._ready.extend(Record(missing, None) for missing in range(self._next, record.sequence))
                self._ready.append(record)
                self._next = record.sequence + 1
        return self._ready.popleft()

    def _line(self) -> bytes | None:
        while not self._lines:
            if not self._fill() and not self._advance():
                return None
        return self._lines.popleft()

    def _fill(self) -> bool:
        try:
            chunk = os.read(self._fd, 2**18) if self._fd >= 0 else b""
        except OSError:
            return False
        *whole, self._torn = (self._torn + chunk).split(b"\n")
        self._lines.extend(whole)
        return bool(chunk)

    def _advance(self) -> bool:
        """Go to the next file, if there is one and this one, looked at again, has no more."""
        if self._folder is None:
            return False
        following = [path for path in segments(self._folder) if self._segment is None or path > self._segment]
        if not following:
            return False
        if self._fill():
            return True
        try:
            descriptor = os.open(following[0], os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        self.close()
        self._fd, self._segment, self._torn = descriptor, following[0], b""
        return True
