"""What can be wrong with a pipeline or stop one of its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twinloop.core.errors import Conflict, InvalidInput, TwinloopError

if TYPE_CHECKING:
    from twinloop.control.pipelines.report import Report


class DefinitionError(InvalidInput):
    """A pipeline, step or declaration is written wrongly; the message names it."""


class RunHeld(Conflict):
    """Another live process runs this pipeline with these parameters."""


class RunLost(Conflict):
    """Another process has taken this run over, because this one stopped renewing its lease."""


class RunFailed(TwinloopError):
    """Steps of a run failed; ``str(error)`` names them and what each said, ``report`` has all steps."""

    code = "run_failed"

    def __init__(self, report: Report) -> None:
        failed = [f"{step.node}: {step.failure}" for step in report.steps if step.failure is not None]
        super().__init__(
            f"Pipeline {report.pipeline} failed in {len(failed)} step(s). " + "; ".join(failed) + ". "
            "Mend it and run it again: what has finished is not run twice."
        )
        self.report = report
