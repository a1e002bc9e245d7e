"""Which run is under way here: what ``tl.log`` logs to, and what a revision registered now came out of."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twinloop.sdk.tracking.run import ActiveRun

_active: ContextVar[tuple[ActiveRun, ...]] = ContextVar("twinloop_run", default=())
_open: dict[str, ActiveRun] = {}
_lock = threading.RLock()  # a signal handler may log while the thread it interrupted is in here


def active() -> ActiveRun | None:
    """The innermost run whose ``with`` block we are in; else the only open run of the process, which helps threads."""
    found = innermost()
    if found is not None:
        return found
    with _lock:
        return next(iter(_open.values())) if len(_open) == 1 else None


def innermost() -> ActiveRun | None:
    """The innermost run whose ``with`` block we are in."""
    entered = _active.get()
    return entered[-1] if entered else None


class Listener:
    """Is told of runs, in the thread that does it, so that what logs by itself knows where to."""

    def entered(self, run: ActiveRun) -> None:
        """The block of a run begins."""

    def left(self, run: ActiveRun) -> None:
        """The block of a run ends; the run is still open."""


_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    _listeners.append(listener)


def enter(run: ActiveRun) -> None:
    """Make ``run`` the active one here."""
    _active.set((*_active.get(), run))
    for listener in _listeners:
        listener.entered(run)


def leave(run: ActiveRun) -> None:
    """Make the one before ``run`` the active one again; generators may leave their blocks in any order."""
    for listener in _listeners:
        listener.left(run)
    entered = _active.get()
    for place in reversed(range(len(entered))):
        if entered[place] is run:
            _active.set((*entered[:place], *entered[place + 1 :]))
            return


def opened(run: ActiveRun) -> None:
    with _lock:
        _open[run.id] = run


def closed(run: ActiveRun) -> None:
    with _lock:
        _open.pop(run.id, None)


def open_runs() -> list[ActiveRun]:
    """Every run of this process that has not ended, oldest first."""
    with _lock:
        return list(_open.values())


def after_fork() -> None:
    """In a forked child: locks may be held by threads that are not here, and the parent ends the runs."""
    global _lock
    _lock = threading.RLock()
    for run in _open.values():
        run.after_fork()
