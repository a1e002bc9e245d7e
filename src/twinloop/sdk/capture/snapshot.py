"""What a run ran with, gathered in a thread while the run is already under way."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from twinloop.control.security.redaction import MASK, redact
from twinloop.control.tracking.names import TAG_LIMIT
from twinloop.core.errors import TwinloopError
from twinloop.sdk.capture import git, machine
from twinloop.sdk.capture.seeds import seeds
from twinloop.sdk.tracking.run import ActiveRun

log = logging.getLogger("twinloop.sdk")

_FRESH_S = 60.0
_SECRET = re.compile(r"key|token|secret|passw|credential|auth", re.IGNORECASE)


class Snapshot(msgspec.Struct, frozen=True):
    """Tags, and artifacts by path."""

    tags: dict[str, str]
    artifacts: dict[str, bytes]


def attach(run: ActiveRun, start: Callable[[threading.Thread], None]) -> None:
    """Add a snapshot to the run: seeds at once, before they move on; the rest from a thread given to ``start``."""
    try:
        run.tags(seeds())
    except Exception:  # of a library that is not what it seems
        log.warning("The seeds of run %s could not be captured.", run.id, exc_info=True)
    start(threading.Thread(target=_attach, args=(run, script()), name="twinloop-capture", daemon=True))


def script() -> Path | None:
    """The file that is being run; None in a notebook and on a prompt."""
    name = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(name).absolute() if name else None


def arguments(words: Sequence[str]) -> str:
    """The words of a command without secrets: known forms of keys, and what follows an option named like one."""
    shown: list[str] = []
    hidden = False
    for word in words:
        option, equals, _ = word.partition("=")
        if hidden and not word.startswith("-"):
            shown.append(MASK)
        elif equals and _SECRET.search(option):
            shown.append(f"{option}={MASK}")
        else:
            shown.append(redact(word))
        hidden = word.startswith("-") and not equals and _SECRET.search(word) is not None
    return " ".join(shown)


_kept: dict[Path, tuple[float, Snapshot]] = {}
_lock = threading.Lock()


def _after_fork() -> None:
    """The lock may be held by a thread of the parent, which is not here."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def take(main: Path | None) -> Snapshot:
    """Look at code, packages and machine; what was looked at less than a minute ago is not looked at again."""
    folder = main.parent if main is not None else Path.cwd()
    with _lock:
        at, known = _kept.get(folder, (0.0, None))
        if known is not None and time.monotonic() - at < _FRESH_S:
            return known
        found = _take(folder)
        _kept[folder] = (time.monotonic(), found)
        return found


def _take(folder: Path) -> Snapshot:
    tags = machine.facts()
    artifacts = {"environment/packages.txt": machine.packages().encode()}
    found = git.checkout(folder)
    if found is not None:
        tags |= {
            "code.commit": found.commit,
            "code.branch": found.branch,
            "code.dirty": str(bool(found.diff)).lower(),
            "code.untracked_files": str(found.untracked),
            # MLflow's clients look for these names.
            "mlflow.source.git.commit": found.commit,
            "mlflow.source.git.branch": found.branch,
        }
        if found.remote:
            tags |= {"code.remote": found.remote, "mlflow.source.git.repoURL": found.remote}
        if found.diff:
            artifacts["code/diff.patch"] = found.diff.encode()
    return Snapshot({key: value[:TAG_LIMIT] for key, value in tags.items()}, artifacts)


def _attach(run: ActiveRun, main: Path | None) -> None:
    try:
        own = {"code.arguments": arguments(sys.argv[1:])[:TAG_LIMIT], "mlflow.source.type": "LOCAL"}
        if main is not None:
            own |= {"code.script": str(main)[:TAG_LIMIT], "mlflow.source.name": main.name}
        run.tags({key: value for key, value in own.items() if value})
        found = take(main)
        run.tags(found.tags)
        for path, content in found.artifacts.items():
            run.artifact(content, path)
    except (OSError, TwinloopError, ValueError):
        log.warning("The code and environment of run %s could not be captured.", run.id, exc_info=True)
