"""What became of a run and of each of its steps."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

import msgspec

from twinloop.control.pipelines.model import Failure

Fate = Literal["run", "cached", "resumed", "failed", "skipped"]
"""run: executed now; cached: unchanged since an earlier run; resumed: finished before this run was taken up again."""


class StepReport(msgspec.Struct, frozen=True):
    node: str
    step: str
    fate: Fate
    seconds: float = 0.0
    attempts: int = 0
    failure: Failure | None = None

    def line(self) -> str:
        seconds = f"{self.seconds:9.3f} s" if self.fate in ("run", "failed") else " " * 11
        text = f"{self.fate:<8}{seconds}  {self.node}"
        if self.attempts > 1:
            text += f"  ({self.attempts} attempts)"
        return text if self.failure is None else f"{text}  {self.failure}"


class Report(msgspec.Struct, frozen=True):
    """``value`` is what the pipeline function returned, with the steps' outputs in place; None when a step failed."""

    pipeline: str
    run_id: str
    state: Literal["finished", "failed"]
    resumed: bool
    seconds: float
    steps: tuple[StepReport, ...]
    value: Any = None

    def summary(self) -> str:
        """A line per step and one for the whole."""
        counts = Counter(step.fate for step in self.steps)
        total = ", ".join(f"{count} {fate}" for fate, count in counts.items())
        again = " (resumed)" if self.resumed else ""
        head = f"{self.pipeline} {self.state}{again} in {self.seconds:.2f} s: {total}. Run {self.run_id}"
        return "\n".join(["  " + step.line() for step in self.steps] + [head])
