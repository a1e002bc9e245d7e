"""What a runner needs of the place where runs are recorded, and of the world its steps run in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from twinloop.control.pipelines.model import Begin, Begun, Ending, Result, StepChange


class StepLog(Protocol):
    """Records runs durably: what a call reported is there after any crash once the call has returned.

    Every method blocks. Unavailable means try again; every method may be called again with the same arguments.
    """

    def begin(self, wanted: Begin) -> Begun: ...

    def record(self, run_id: str, token: str, changes: Sequence[StepChange]) -> None:
        """Record changes in order, and renew the lease. Raises Conflict when another holder has the run."""
        ...

    def finish(self, run_id: str, token: str, state: Ending, changes: Sequence[StepChange]) -> None:
        """Record the last changes and the end; ``interrupted`` leaves the run to whoever begins it next."""
        ...

    def lookup(self, keys: Sequence[str]) -> Sequence[Result]:
        """The newest known result of each key that has one, from a run of any pipeline."""
        ...

    def resolve(self, references: Sequence[str]) -> Mapping[str, str | None]:
        """The digest of the revision that each reference names now, or None when there is none."""
        ...


class Enter(Protocol):
    """Makes the world of a step: entered in its thread before it runs, left after it."""

    def __call__(self, run_id: str, node: str) -> AbstractContextManager[None]: ...
