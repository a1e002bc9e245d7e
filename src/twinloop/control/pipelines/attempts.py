"""One attempt at a step, in a thread of its own."""

from __future__ import annotations

import contextvars
import inspect
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

from twinloop.control.pipelines.graph import Node
from twinloop.control.pipelines.model import Failure
from twinloop.control.pipelines.ports import Enter
from twinloop.control.pipelines.values import stored

_MESSAGE = 2_000
_TRACEBACK = 8_000
_PAUSE_S = 0.2
_PAUSE_MOST_S = 30.0


class Attempt(NamedTuple):
    """``number`` counts from 1. ``deadline`` is monotonic seconds. ``consumed``: digests among the inputs."""

    node: str
    number: int
    key: str
    inputs: dict[str, Any]
    consumed: tuple[str, ...]
    started_ns: int
    deadline: float | None = None


class Outcome(NamedTuple):
    """How an attempt ended: with a value, or with a failure."""

    node: str
    number: int
    value: Any
    failure: Failure | None
    finished_ns: int


def launch(node: Node, attempt: Attempt, run_id: str, enter: Enter, tell: Callable[[Outcome], None]) -> None:
    """Run the step in a new thread and ``tell`` the outcome from there.

    The thread is a daemon: an attempt over its time cannot be killed, and must not keep the process alive.
    """

    def work() -> None:
        if attempt.number > 1:
            time.sleep(pause_s(attempt.number))
        value, failure = None, None
        try:
            bound = inspect.BoundArguments(node.step.signature, attempt.inputs)
            with enter(run_id, node.id):
                value = stored(node.step.function(*bound.args, **bound.kwargs), f"What step {node.id} returned")
        except BaseException as error:  # noqa: BLE001 - whatever a step raises is its outcome, SystemExit too
            failure = failure_of(error)
        tell(Outcome(node.id, attempt.number, value, failure, time.time_ns()))

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), name=f"twinloop-step-{node.id}", daemon=True).start()


def pause_s(number: int) -> float:
    """How long attempt ``number`` waits before it starts: doubled every time, so that an overloaded service recovers."""
    return 0.0 if number == 1 else float(min(_PAUSE_S * 2 ** (number - 2), _PAUSE_MOST_S))


def failure_of(error: BaseException) -> Failure:
    """The error with the part of its traceback that lies in the user's code, both bounded in length."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    lines = traceback.format_list(frames) + traceback.format_exception_only(error)
    message = str(error)[:_MESSAGE] or "no message"
    return Failure(type(error).__name__, message, "".join(lines)[-_TRACEBACK:])


def overdue(timeout_s: float) -> Failure:
    return Failure("TimeoutError", f"the attempt took more than {timeout_s:g} s and was given up")
