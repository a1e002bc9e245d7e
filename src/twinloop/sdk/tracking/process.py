"""The recorders of this process, ended when it ends and left behind in a forked child."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from twinloop.sdk.spooling.destination import Destination, Hold, Reach
from twinloop.sdk.spooling.spool import Place
from twinloop.sdk.tracking import context
from twinloop.sdk.tracking.recorder import Recorder
from twinloop.sdk.tracking.run import ending

_recorders: dict[tuple[Place, Path], Recorder] = {}
_lock = threading.RLock()
_pid = 0
_HAND_OVER_S = 60.0


def recorder_for(place: Place, root: Path, exit_wait_s: float, reach: Reach, hold: Hold) -> Recorder:
    """The recorder of this process for ``place``, with its spools below ``root``."""
    with _lock:
        _at_end()
        found = _recorders.get((place, root))
        if found is None:
            found = _recorders[place, root] = Recorder(Destination(place, reach, hold), root, exit_wait_s)
        return found


@contextmanager
def handing_over(home: Path) -> Iterator[None]:
    """Wait until the process that takes this program's runs into a home lets go of it, and let none begin meanwhile."""
    wanted = home.absolute()
    with ExitStack() as held:
        for place, destination in [(place, found.destination) for (place, _), found in list(_recorders.items())]:
            if not place.url and Path(place.home) == wanted and destination.alone.acquire(timeout=_HAND_OVER_S):
                held.callback(destination.alone.release)
        yield


def end() -> None:
    """Finish the runs this process began and wait, a bounded time, until all has arrived."""
    status = ending(getattr(sys, "last_value", None))
    for run in reversed(context.open_runs()):
        run.finish(status)
    with _lock:
        recorders = list(_recorders.values())
        _recorders.clear()
    for recorder in recorders:
        recorder.close()


def _at_end() -> None:
    """Have ``end`` called once when this process ends."""
    global _pid
    if _pid == os.getpid():
        return
    first, _pid = _pid == 0, os.getpid()
    if first:
        atexit.register(end)
        os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()
    context.after_fork()
    for recorder in _recorders.values():
        recorder.after_fork(_at_end_of_child)


def _at_end_of_child() -> None:
    """Have ``end`` called in a child of multiprocessing too, which ends without ``atexit``."""
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None:
        multiprocessing.Finalize(None, end, exitpriority=0)
