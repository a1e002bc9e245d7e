"""Copies an MLflow into a Twinloop, again and again if need be, and compares both sides at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import chain

from twinloop.control.transfer.model import Sum
from twinloop.sdk.transfer.checkpoint import Checkpoint
from twinloop.sdk.transfer.experiments_copy import ExperimentCopy
from twinloop.sdk.transfer.file_copy import FileCopy, compare_files
from twinloop.sdk.transfer.found import FoundExperiment, Source
from twinloop.sdk.transfer.mapping import Places
from twinloop.sdk.transfer.registry_copy import RegistryCopy
from twinloop.sdk.transfer.report import Line, Report, Tally
from twinloop.sdk.transfer.runs_copy import UNTOLD, RunCopy
from twinloop.sdk.transfer.sink import Sink
from twinloop.sdk.transfer.traces_copy import TraceCopy

ENTITIES = {
    "runs": "runs",
    "params": "params",
    "tags": "tags",
    "metrics": "points of metrics",
    "inputs": "dataset inputs",
    "run_models": "models read and made",
    "logged_models": "logged models",
    "logged_model_params": "params of logged models",
    "logged_model_tags": "tags of logged models",
    "logged_model_metrics": "points of logged models",
}
"""Shapes that are compared by what their rows add up to, and what a report calls them."""

Progress = Callable[[str], None]


class MlflowImport:
    """One import. ``writing`` False compares only; ``recheck`` looks at everything again, whatever was copied before."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        checkpoint: Checkpoint,
        *,
        target: str,
        writing: bool = True,
        recheck: bool = False,
        files: bool = True,
        progress: Progress = lambda text: None,
    ) -> None:
        self._source = source
        self._sink = sink
        self._checkpoint = checkpoint
        self._target = target
        self._progress = progress
        self._files = FileCopy(source, sink, checkpoint, writing, recheck) if files else None
        self._places = Places()
        self._experiments = ExperimentCopy(sink, checkpoint, writing)
        self._runs = RunCopy(source, sink, checkpoint, self._files, self._places, writing=writing, recheck=recheck)
        self._traces = TraceCopy(source, sink, checkpoint, self._files, writing=writing, recheck=recheck)
        self._registry = RegistryCopy(source, sink, self._places, writing)

    def run(self) -> Report:
        """Copy what is not here, then say how both sides compare.

        Raises:
            SourceUnreadable: the source stopped answering; run it again to go on.
        """
        try:
            experiments = list(self._source.experiments())
            placed = self._experiments.place(experiments)
            for experiment in experiments:
                if experiment.id in placed:
                    self._copy(experiment, placed[experiment.id])
            self._registry.copy()
        finally:
            if self._files is not None:
                self._files.close()
        self._progress("comparing both sides")
        return self._report()

    def _copy(self, experiment: FoundExperiment, number: int) -> None:
        done: Counter[str] = Counter()
        steps = (
            ("runs", self._runs.runs),
            ("logged models", self._runs.logged_models),
            ("traces", self._traces.traces),
        )
        for what, copy in steps:
            for count in copy(experiment, number):
                done[what] += count
                self._progress(f"{experiment.name}: " + ", ".join(f"{n} {name}" for name, n in done.items()))

    def _report(self) -> Report:
        added = self._sink.added
        experiments, tags = self._experiments.compare()
        lines = [experiments.line(added["experiments"]), tags.line(added["experiment_tags"])]
        lines += [self._compare(shape) for shape in ENTITIES]
        if self._files is not None:
            files, sizes = compare_files(self._checkpoint, self._sink)
            lines += [files.line(self._files.added), sizes.line(self._files.bytes_added)]
        lines += self._registry.compare()
        lines += self._traces.compare()
        return Report(
            source=self._source.origin,
            target=self._target,
            lines=tuple(line for line in lines if line.there.count or line.here.count),
            refused=tuple(chain(self._source.refused, self._sink.refused)),
            left_out={name: n for name, n in (self._traces.left_out + Counter(self._source.left_out)).items() if n},
        )

    def _compare(self, shape: str) -> Line:
        tally = Tally(ENTITIES[shape])
        for part in self._checkpoint.sums(shape):
            here: dict[str, Sum] = {}
            found = self._sink.sums(shape, [(scope,) for scope, _ in part], UNTOLD.get(shape, ()))
            for scope, each in found.items():
                here[str(scope[0])] = each
            tally.compare(dict(part), here)
        return tally.line(self._sink.added[shape])
