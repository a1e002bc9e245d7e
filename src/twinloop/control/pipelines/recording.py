"""Sends what happens to the step log in order, as much at a time as has gathered, while the steps go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from twinloop.control.pipelines.model import Ending, StepChange
from twinloop.control.pipelines.ports import StepLog
from twinloop.core.errors import Unavailable

_MOST = 500
"""How many changes the runner may be ahead of the log."""

_PATIENCE_S = 60.0


class Recording:
    """A thread that records; it also renews the lease when nothing happens for a third of it.

    ``lost`` is called, from that thread, with the error that ended the recording.
    """

    def __init__(
        self, log: StepLog, run_id: str, token: str, lease_s: float, lost: Callable[[Exception], None]
    ) -> None:
        self._log = log
        self._run_id = run_id
        self._token = token
        self._renew_s = lease_s / 3
        self._lost = lost
        self._waiting: list[StepChange] = []
        self._unsaid = 0
        self._error: Exception | None = None
        self._ending: Ending | None = None
        self._turn = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="twinloop-recording", daemon=True)
        self._thread.start()

    def put(self, change: StepChange) -> None:
        """Have a change recorded soon. Waits only when the log is far behind."""
        with self._turn:
            while self._unsaid >= _MOST and self._error is None:
                self._turn.wait()
            self._waiting.append(change)
            self._unsaid += 1
            self._turn.notify_all()

    def end(self, state: Ending) -> None:
        """End the run and return when all is acknowledged. Raises the error that ended the recording, if one did."""
        with self._turn:
            self._ending = state
            self._turn.notify_all()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            ending = None
            while ending is None:
                batch, ending = self._next()
                self._send(batch, ending)
                with self._turn:
                    self._unsaid -= len(batch)
                    self._turn.notify_all()
        except Exception as error:  # noqa: BLE001 - handed to the runner, which stops
            with self._turn:
                self._error = error
                self._turn.notify_all()
            self._lost(error)

    def _next(self) -> tuple[list[StepChange], Ending | None]:
        """What waits, nothing when the lease is to be renewed; with the last of it, how the run ends."""
        with self._turn:
            if not self._waiting and self._ending is None:
                self._turn.wait(self._renew_s)
            batch, self._waiting = self._waiting, []
            return batch, self._ending

    def _send(self, batch: list[StepChange], ending: Ending | None) -> None:
        """Record a batch, again and again while the log is away; recording twice changes nothing."""
        patient_until = time.monotonic() + _PATIENCE_S
        pause_s = 0.05
        while True:
            try:
                if ending is None:
                    self._log.record(self._run_id, self._token, batch)
                else:
                    self._log.finish(self._run_id, self._token, ending, batch)
                return
            except Unavailable:
                if time.monotonic() > patient_until:
                    raise
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 2.0)
