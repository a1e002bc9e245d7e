"""Server-sent events, read from bytes as they arrive.

Source: WHATWG HTML, section 9.2.6 (interpreting an event stream). Only ``data`` fields matter to OpenAI's API.
"""

from __future__ import annotations

from collections.abc import Iterator

from twinloop.core.errors import UpstreamError

_EVENT_LIMIT = 8 << 20


class EventReader:
    """Feed it the pieces of a response body; it yields the data of every event that is complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._held = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Raises UpstreamError when one event grows beyond 8 MiB."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            line = line.removesuffix(b"\r")
            if not line:
                if self._data:
                    yield b"\n".join(self._data)
                self._data, self._held = [], 0
            elif line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
                self._held += len(line)
        if self._held + len(self._rest) > _EVENT_LIMIT:
            raise UpstreamError("The provider sent one event of more than 8 MiB. Check that the URL is an OpenAI API.")
