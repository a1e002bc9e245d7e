"""The way to the server that records go to, found again whenever it was lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from twinloop.core.errors import Unauthenticated, Unavailable
from twinloop.sdk.client import Client
from twinloop.sdk.spooling.spool import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

Reach = Callable[[Place], Client | None]
"""A client for the server at a place; None when the place is a home that nobody serves."""

Hold = Callable[[Place], Client]
"""A client of a home that nobody serves, which holds it until it is closed."""


class Destination:
    """Gives the threads that send one client between them, connected when it is first needed and kept."""

    def __init__(self, place: Place, reach: Reach, hold: Hold) -> None:
        self.place = place
        self.alone = threading.Lock()
        """Held by whoever hands spools over to a home that nobody serves; a home takes one at a time."""
        self.spools: list[Path] = []
        """The folders that go there, for handing all of them over at once."""
        self._reach = reach
        self._hold = hold
        self._client: Client | None = None
        self._lock = threading.Lock()

    @contextmanager
    def client(self) -> Iterator[Client | None]:
        """A client; None when the place is a home that nobody serves.

        Raises:
            TwinloopError: the place cannot be reached, or a setting is wrong.
        """
        with self._lock:
            if self._client is None:
                self._client = self._reach(self.place)
            found = self._client
        try:
            yield found
        except (Unavailable, Unauthenticated):
            self._lost(found)
            raise

    @contextmanager
    def opened(self) -> Iterator[Client]:
        """A client; a home that nobody serves is held meanwhile. Raises as ``client``, and HomeHeld."""
        with self.client() as found:
            if found is not None:
                yield found
                return
        with self._hold(self.place) as own:
            yield own

    def again(self) -> Destination:
        """A new one for the same place, for a forked child, which must not share connections."""
        return Destination(self.place, self._reach, self._hold)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _lost(self, client: Client | None) -> None:
        """Look for the server and the key again: a home may be served at another URL by now, and a key be replaced."""
        with self._lock:
            if self._client is client:
                self._client = None
        if client is not None:
            client.close()
