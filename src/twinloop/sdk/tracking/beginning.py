"""What it takes to begin a run: who and where it is, what it ran with, and the watch on its machine."""

from __future__ import annotations

import os
import pwd
import re
import time
from collections.abc import Mapping
from typing import Any

from twinloop.control.tracking.names import PARAM_LIMIT, TAG_LIMIT, check_experiment_name, check_pairs, random_name
from twinloop.control.tracking.replay.operations import Params, Start
from twinloop.core.errors import InvalidInput
from twinloop.core.ids import new_id
from twinloop.sdk.definitions import step_run_id
from twinloop.sdk.tracking import context
from twinloop.sdk.tracking.recorder import Recorder, encoded
from twinloop.sdk.tracking.run import ActiveRun

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z")


def begin(
    recorder: Recorder,
    name: str | None = None,
    *,
    experiment: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    id: str | None = None,
    capture: bool = True,
    system_metrics: bool = True,
) -> ActiveRun:
    """Open a run; see ``twinloop.run``."""
    parent = context.innermost()
    start = Start(
        run=new_id() if id is None else _checked(id),
        at=time.time_ns() // 1_000_000,
        experiment=check_experiment_name(experiment or (parent.experiment if parent else "Default")),
        name=name or (None if id else random_name()),
        user=user(),
        parent=parent.id if parent else None,
        within=step_run_id(),
        tags={key: str(value) for key, value in (tags or {}).items()},
        resume=id is not None,
    )
    check_pairs({**start.tags, "name": name or ""}, "tag", TAG_LIMIT)
    given = {key: str(value) for key, value in (params or {}).items()}
    check_pairs(given, "param", PARAM_LIMIT)
    encoded(Params(start.run, given))
    run = recorder.begin(start, parent)
    run.params(given)
    if parent is None:
        equip(run, recorder, capture=capture, system_metrics=system_metrics)
    return run


def equip(run: ActiveRun, recorder: Recorder, *, capture: bool, system_metrics: bool) -> None:
    """Let what the run ran with, and how busy its machine is, be logged with it."""
    if capture:
        from twinloop.sdk.capture.snapshot import attach

        attach(run, recorder.alongside)
    if system_metrics:
        from twinloop.sdk.capture.usage import watch

        watch(run)


def user() -> str | None:
    """The name of the user this process runs as; None when the system knows none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except (KeyError, OSError):
        return None


def _checked(id: str) -> str:
    if not _ID.match(id):
        raise InvalidInput(f"{id[:80]!r} cannot be the id of a run. Use up to 32 letters, digits, '_' and '-'.")
    return id
