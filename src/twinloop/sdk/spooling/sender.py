"""The thread that sends a spool while the program goes on."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from twinloop.core.errors import TwinloopError, Unavailable
from twinloop.sdk.client import Client
from twinloop.sdk.spooling.delivery import Delivery, Rejected, SpoolRefused
from twinloop.sdk.spooling.destination import Destination
from twinloop.sdk.spooling.handover import hand_over
from twinloop.sdk.spooling.journal import SEGMENT_BYTES
from twinloop.sdk.spooling.spool import Spool, read_mark

log = logging.getLogger("twinloop.sdk")

_chance = random.Random()  # not the generator of the program, whose numbers are its own
_POLL_S = 0.2
_LONGEST_PAUSE_S = 30.0
_HAND_OVER_S = 600.0
_MUCH = SEGMENT_BYTES // 200
"""So many records waiting go even to a home that nobody serves; about one file of the journal."""


class Sender:
    """Sends what a spool holds, a fifth of a second behind at most while the server answers, and tries again while not.

    It asks the journal now and then instead of being told, so that logging does not have to wake a thread.
    """

    def __init__(
        self,
        spool: Spool,
        destination: Destination,
        told: Callable[[Sequence[Rejected]], None],
        refused: Callable[[str], None],
        first: Callable[[Client], None],
    ) -> None:
        self.trouble = ""
        """Why nothing is being sent; empty while it is."""
        self.refused = False
        """Whether the server cannot go on with this spool."""
        self._spool = spool
        self._destination = destination
        self._refused = refused
        self._told = told
        self._first: Callable[[Client], None] | None = first
        self._delivery = Delivery(
            spool.about.id,
            spool.folder,
            0,
            held=spool.journal.held,
            acknowledge=self._acknowledge,
            told=told,
        )
        self._changed = threading.Condition()
        self._wake = threading.Event()
        self._due = 0
        self._seen = 0
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="twinloop-send", daemon=True)

    def start(self) -> None:
        """Begin, unless the program is ending and gets no more threads; then the next program sends."""
        with suppress(RuntimeError):
            self._thread.start()

    @property
    def waiting(self) -> int:
        """How many records have not arrived."""
        return self._spool.journal.last - self._spool.acknowledged

    def hurry(self) -> None:
        """What has been logged so far must arrive now, however it gets there."""
        self._due = self._spool.journal.last
        self._wake.set()

    def arrived(self, deadline: float) -> bool:
        """Wait until everything logged so far has arrived, sending has ended, or ``time.monotonic()`` is ``deadline``.

        True only in the first case.
        """
        self.hurry()
        wanted = self._due
        with self._changed:
            self._changed.wait_for(
                lambda: self._spool.acknowledged >= wanted or self._stopped, max(0.0, deadline - time.monotonic())
            )
            return self._spool.acknowledged >= wanted

    def stop(self) -> bool:
        """Ask the thread to end; False when it is in the middle of a request, which is not waited for."""
        self._stopped = True
        self._wake.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=0.5)
        return not self._thread.is_alive()

    def _work(self) -> None:
        pause = _POLL_S
        while not self._stopped:
            self._wake.wait(pause * _chance.uniform(0.5, 1.0) if self.trouble else pause)
            self._wake.clear()
            try:
                self._round()
                self._cleared()
                pause = _POLL_S
            except SpoolRefused as error:
                self._give_up(error.message)
            except TwinloopError as error:
                self._troubled(error.message)
                pause = self._longer(pause)
            except Exception:
                log.exception("Sending what was logged failed; it stays in the spool and is tried again.")
                pause = self._longer(pause)
        self._delivery.close()

    def _longer(self, pause: float) -> float:
        """Wait twice as long each time, but begin anew when something got through meanwhile."""
        moved, self._seen = self._spool.acknowledged > self._seen, self._spool.acknowledged
        return _POLL_S if moved else min(pause * 2, _LONGEST_PAUSE_S)

    def _round(self) -> None:
        """Send until nothing is waiting."""
        if self._stopped or not self.waiting:
            return
        with self._destination.client() as client:
            if client is None:
                self._hand_over()
                return
            if self._first is not None:
                self._first(client)
                self._first = None
            while not self._stopped and self._delivery.advance(client):
                self._cleared()

    def _hand_over(self) -> None:
        """The place is a home that nobody serves: nothing goes there before it must."""
        if self._spool.acknowledged >= self._due and self.waiting <= _MUCH:
            raise Unavailable(f"Nobody serves {self._destination.place}. What is logged goes there when the run ends.")
        if self._spool.folder is None:
            raise Unavailable(f"Nobody serves {self._destination.place}, and there is no room for a spool.")
        with self._destination.alone:
            if read_mark(self._spool.folder) <= self._spool.acknowledged:
                self._told(hand_over(self._destination.spools, _HAND_OVER_S))
        reached = read_mark(self._spool.folder)
        self._delivery.skip_to(reached)
        self._acknowledge(reached)

    def _acknowledge(self, sequence: int) -> None:
        self._spool.acknowledge(sequence)
        with self._changed:
            self._changed.notify_all()

    def _troubled(self, message: str) -> None:
        if not self.trouble:
            log.log(
                logging.INFO if not self._destination.place.url else logging.WARNING,
                "What is logged stays in %s for now and is sent later. %s",
                self._spool.folder or "memory",
                message,
            )
        self.trouble = message

    def _cleared(self) -> None:
        if self.trouble:
            log.info("Twinloop answers again; what was kept is being sent.")
            self.trouble = ""

    def _give_up(self, message: str) -> None:
        log.warning("%s What is still in %s is kept and not sent again by itself.", message, self._spool.folder)
        self.trouble = message
        self._stopped = self.refused = True
        self._refused(message)
        self._spool.journal.seal()  # whoever still writes here finds out, and writes to the spool that follows
        self._spool.refuse(message)
        with self._changed:
            self._changed.notify_all()
