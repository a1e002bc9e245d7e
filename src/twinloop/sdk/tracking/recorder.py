"""One process's logging to one place: its spools, the threads that send them, and the runs it has open."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import count
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

import msgspec

from twinloop.control.tracking.replay.operations import Artifact, Log, Operation, Params, Start, Tags, encode
from twinloop.core.errors import InvalidInput
from twinloop.sdk.client import Client
from twinloop.sdk.spooling.delivery import Rejected
from twinloop.sdk.spooling.destination import Destination
from twinloop.sdk.spooling.draining import sweep
from twinloop.sdk.spooling.sender import Sender
from twinloop.sdk.spooling.spool import Spool
from twinloop.sdk.tracking import context
from twinloop.sdk.tracking.run import ActiveRun

log = logging.getLogger("twinloop.sdk")
T = TypeVar("T")

RECORD_LIMIT = 2**20
_SYNC_S = 1.0
_WARNINGS = 10
_FILES = "-files"


class Lane:
    """A spool and its sender. Files have a lane of their own, so that a large one holds up no metrics.

    Each lane says first what each of its runs is, so that it does not matter which lane the server reads first.
    """

    def __init__(self, recorder: Recorder, suffix: str, owner: bool, sweeps: Path | None) -> None:
        self._owner = owner
        self._place = recorder.destination.place
        self._sweeps = sweeps
        self._warned = ""
        self.file_numbers = count(1)
        self.known: set[str] = set()
        self.spool = Spool.make(recorder.root, self._place, suffix, self._header)
        self.sender = Sender(
            self.spool, recorder.destination, recorder.told, lambda why: recorder.replace(self), self._sweep
        )
        if self.spool.folder is not None:
            recorder.destination.spools.append(self.spool.folder)
        self.sender.start()

    def write(self, run: ActiveRun, payload: bytes) -> bool:
        """Append a record of ``run``; False when there is no room for it anywhere."""
        if run.id not in self.known:
            joined = not (self._owner and run.owner)
            if not self.begin(run, encode(msgspec.structs.replace(run.opening, joined=joined))):
                return False
        return self.spool.journal.append(payload) > 0

    def begin(self, run: ActiveRun, payload: bytes) -> bool:
        """Append a run's first record; without room for it the next record tries again."""
        if self.spool.journal.append(payload) > 0:
            self.known.add(run.id)
        return run.id in self.known

    def keep(self) -> None:
        """Called every second: let what has not arrived outlive the machine, and say when the disk does not allow it."""
        if self.sender.waiting:
            self.spool.journal.sync()
        trouble = self.spool.journal.trouble
        if trouble and trouble != self._warned:
            where = self.spool.folder or "the spool"
            log.warning(
                "What is logged cannot be written to %s (%s); it is held in memory until it can.", where, trouble
            )
        self._warned = trouble

    def end(self) -> bool:
        """Stop sending; True when everything had arrived and the folder is gone."""
        stopped = self.sender.stop()
        if stopped and not self.sender.waiting and not self.sender.refused:
            self.spool.remove()
            return True
        self.spool.journal.sync()
        if stopped:  # else its thread may still use what would be closed; the process ends anyway
            self.spool.close()
        return False

    def _header(self) -> bytes:
        runs = [run.id for run in context.open_runs() if run.owner and run.id in self.known] if self._owner else []
        return msgspec.json.encode({"open": runs})

    def _sweep(self, client: Client) -> None:
        if self._sweeps is not None:
            sweep(self._sweeps, self._place, client)


class Recorder:
    """Implements the Sink of runs. Made once per process and place; ``close`` it at the end."""

    def __init__(self, destination: Destination, root: Path, exit_wait_s: float) -> None:
        self.destination = destination
        self.root = root
        self._exit_wait_s = exit_wait_s
        self._making = threading.RLock()
        self._records: Lane | None = None
        self._files: Lane | None = None
        self._runs: WeakValueDictionary[str, ActiveRun] = WeakValueDictionary()
        self._stop = threading.Event()
        self._keeper: threading.Thread | None = None
        self._helping: list[threading.Thread] = []
        self._at_end: Callable[[], None] = lambda: None

    def begin(self, start: Start, parent: ActiveRun | None, owner: bool = True) -> ActiveRun:
        """Open a run and write down that it began."""
        payload = encoded(start)
        run = ActiveRun(self, start, parent, owner)
        self._runs[run.id] = run
        context.opened(run)
        lane = self._records or self._lane()
        lane.begin(run, payload)
        return run

    def alongside(self, thread: threading.Thread) -> None:
        """Start a thread that adds to runs; the end of the program waits for it, within its bounded time."""
        start_thread(thread)
        self._helping = [helper for helper in (*self._helping, thread) if helper.is_alive()]

    def write(self, run: ActiveRun, operation: Operation) -> None:
        payload = encoded(operation)
        if len(payload) > RECORD_LIMIT:
            self._write_parts(run, operation, len(payload))
            return
        lane = self._records or self._lane()
        if lane.write(run, payload):
            return
        if lane.spool.journal.sealed:
            self.write(run, operation)
        else:
            self._no_room(run)

    def write_file(self, run: ActiveRun, path: str, source: Path | bytes, model: str | None = None) -> None:
        with self._making:
            lane = self._files or self._file_lane()
        encoded(Artifact(run.id, path, model=model))
        try:
            kept = lane.spool.keep(source, next(lane.file_numbers))
        except OSError as error:
            self.told([Rejected(0, run.id, _not_kept(path, lane.spool.folder or self.root, error))])
            return
        if lane.write(run, encoded(Artifact(run.id, path, file=kept, model=model))):
            return
        if lane.spool.journal.sealed:
            self.write_file(run, path, source, model)
        else:
            self._no_room(run)

    def client(self) -> AbstractContextManager[Client]:
        return self.destination.opened()

    def flush(self, timeout_s: float | None) -> bool:
        deadline = time.monotonic() + (threading.TIMEOUT_MAX if timeout_s is None else timeout_s)
        lanes = self._lanes()
        for lane in lanes:
            lane.sender.hurry()
        return min((lane.sender.arrived(deadline) for lane in lanes), default=True)

    def ended(self, run: ActiveRun) -> None:
        if run.parent is None:
            for lane in self._lanes():
                lane.sender.hurry()

    def told(self, rejected: Sequence[Rejected]) -> None:
        """The server refused operations; the first of each run are warnings, and they stay with the run."""
        for item in rejected:
            run = self._runs.get(item.run)
            before = 0 if run is None else len(run.rejected)
            if before < _WARNINGS:
                log.warning("Something logged on run %s was not taken: %s", item.run, item.message)
            elif before == _WARNINGS:
                log.warning("More of run %s was not taken; see run.rejected.", item.run)
            if run is not None:
                run.reject(item)

    def replace(self, refused: Lane) -> None:
        """The server cannot go on with a lane's spool, so what is logged from now on goes into a new one."""
        with self._making:
            if self._records is refused:
                self._records = None
            if self._files is refused:
                self._files = None

    def close(self) -> None:
        """Wait a bounded time for what is left to arrive, and say what has not."""
        deadline = time.monotonic() + self._exit_wait_s
        for thread in self._helping:
            thread.join(max(0.0, deadline - time.monotonic()))
        lanes = self._lanes()
        for lane in lanes:
            lane.sender.hurry()
        for lane in lanes:
            lane.sender.arrived(deadline)
        self._stop.set()
        waiting = sum(lane.sender.waiting for lane in lanes)
        why = next((lane.sender.trouble for lane in lanes if lane.sender.trouble), "They are still being sent.")
        ended = [lane.end() for lane in lanes]
        if waiting and not all(ended):
            log.warning(
                "%d records of this program have not reached Twinloop. %s They wait in %s; send them with: twinloop spool send",
                waiting,
                why,
                self.root,
            )
        self.destination.close()
        self._records = self._files = None

    def after_fork(self, at_end: Callable[[], None]) -> None:
        """In a forked child: let go of what belongs to the parent. What the child logs goes into spools of its own.

        ``at_end`` is called once there is something to close when the child ends.
        """
        for lane in self._lanes():
            lane.spool.abandon()
        self._records = self._files = None
        self._keeper = None
        self._at_end = at_end
        self._helping = []
        self._making = threading.RLock()
        self._stop = threading.Event()
        self.destination = self.destination.again()

    def _lanes(self) -> list[Lane]:
        return [lane for lane in (self._records, self._files) if lane is not None]

    def _lane(self) -> Lane:
        with self._making:
            if self._records is None:
                self._records = Lane(self, "", owner=True, sweeps=self.root)
                self._keep()
            return self._records

    def _file_lane(self) -> Lane:
        with self._making:
            if self._files is None:
                self._files = Lane(self, _FILES, owner=False, sweeps=None)
                self._keep()
            return self._files

    def _keep(self) -> None:
        if self._keeper is None:
            self._at_end()
            self._keeper = threading.Thread(target=self._keep_on, name="twinloop-keep", daemon=True)
            start_thread(self._keeper)

    def _keep_on(self) -> None:
        while not self._stop.wait(_SYNC_S):
            for lane in self._lanes():
                lane.keep()

    def _write_parts(self, run: ActiveRun, operation: Operation, size: int) -> None:
        """Many metrics, params or tags at once are many records; anything else that large is a mistake."""
        for half in _halves(operation):
            self.write(run, half)
            size = 0
        if size:
            raise InvalidInput(
                f"This is {size} bytes, and {RECORD_LIMIT} is the most that is logged at once. Make it an artifact."
            )

    def _no_room(self, run: ActiveRun) -> None:
        if not any(item.sequence == 0 for item in run.rejected):
            self.told(
                [Rejected(0, run.id, "There is no room left on the disk and in memory, so records are being lost.")]
            )


def _halves(operation: Operation) -> list[Operation]:
    """The same in two operations; nothing when it cannot be cut."""
    match operation:
        case Log(points=points) if len(points) > 1:
            middle = len(points) // 2
            return [msgspec.structs.replace(operation, points=part) for part in (points[:middle], points[middle:])]
        case Params(params=params) if len(params) > 1:
            return [msgspec.structs.replace(operation, params=part) for part in _cut(params)]
        case Tags(tags=tags) if len(tags) > 1:
            return [msgspec.structs.replace(operation, tags=part) for part in _cut(tags)]
    return []


def _cut(pairs: dict[str, T]) -> tuple[dict[str, T], dict[str, T]]:
    items, middle = list(pairs.items()), len(pairs) // 2
    return dict(items[:middle]), dict(items[middle:])


def encoded(operation: Operation) -> bytes:
    """Raises InvalidInput for a text that cannot be written."""
    try:
        return encode(operation)
    except UnicodeEncodeError as error:
        raise InvalidInput(f"A text cannot be written as UTF-8: {error.reason}. Nothing was logged.") from None


def _not_kept(path: str, where: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"There is no room in {where} for a copy of {path}. It was not kept."
    return f"{path} could not be copied to {where} ({error.strerror or error}). It was not kept."


def start_thread(thread: threading.Thread) -> None:
    """A program that is ending gets no more threads; what is logged then stays in the spool for the next one."""
    with suppress(RuntimeError):
        thread.start()
