"""Runs of pipelines and of their steps, and the messages by which a runner has them recorded."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

RunState = Literal["running", "finished", "failed", "interrupted"]
Ending = Literal["finished", "failed", "interrupted"]
Nanoseconds = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
StepState = Literal["started", "finished", "cached", "failed", "skipped"]


class Failure(msgspec.Struct, frozen=True):
    """What a step raised. ``traceback`` is the user's part of it, and None unless it was asked for."""

    type: str
    message: str
    traceback: str | None = None

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"


class Holder(msgspec.Struct, frozen=True):
    """The process that executes a run.

    ``token`` is new for every attempt to hold a run. ``place`` is the same for two processes exactly when each can see
    the other's process id (same boot, same process namespace); ``born`` tells apart two processes with one id.
    """

    token: str
    host: str
    place: str
    pid: int
    born: str


class StepRun(msgspec.Struct, frozen=True):
    """The last known state of a node; times are the runner's. ``source`` is the run a cached output is from."""

    node: str
    step: str
    state: StepState
    key: str | None = None
    attempt: int = 1
    started_ns: int | None = None
    finished_ns: int | None = None
    output: Any = None
    source: str | None = None
    failure: Failure | None = None


class PipelineRun(msgspec.Struct, frozen=True):
    """One run of a pipeline. ``steps`` is filled only where a single run was asked for."""

    id: str
    pipeline: str
    params: dict[str, Any]
    state: RunState
    started_ns: int
    started_by: str
    holder: Holder
    lease_until_ns: int
    finished_ns: int | None = None
    resumes: int = 0
    steps: tuple[StepRun, ...] = ()


class Begin(msgspec.Struct, frozen=True):
    """A runner wants to execute ``pipeline`` with ``params``.

    ``codes`` are the code digests of its steps, whose known results it wants. ``dead`` is the token of a holder that
    the runner has seen to be dead.
    """

    pipeline: str
    params: dict[str, Any]
    holder: Holder
    codes: list[str] = []
    dead: str | None = None


class Result(msgspec.Struct, frozen=True):
    """What a step returned for a key, in run ``source``."""

    key: str
    output: Any
    source: str


class Begun(msgspec.Struct, frozen=True):
    """The answer to Begin: a new run, or one to go on with, whose ``steps`` say how far it came; or who holds it.

    ``results`` are known results of the given codes; when ``complete``, there are no others. ``digests`` maps the
    numbered revision references among the results to digests. The run must be heard of every ``lease_s`` seconds.
    """

    run: PipelineRun | None
    resumed: bool = False
    held_by: Holder | None = None
    results: tuple[Result, ...] = ()
    complete: bool = True
    digests: dict[str, str] = {}
    lease_s: float = 30.0


class StepChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step's new state; sent twice, it counts once.

    ``code`` is None for a step whose results are of no use to later runs. ``consumed`` are the digests of the revisions
    among its inputs.
    """

    node: str
    step: str
    state: StepState
    key: str | None = None
    code: str | None = None
    attempt: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 1
    started_ns: Nanoseconds | None = None
    finished_ns: Nanoseconds | None = None
    output: Any = None
    source: str | None = None
    failure: Failure | None = None
    consumed: tuple[str, ...] = ()
