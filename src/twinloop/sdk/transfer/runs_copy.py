"""Runs with everything logged on them, page by page: rows, points, files."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from twinloop.control.transfer.model import Row, Sum
from twinloop.control.transfer.points import SeriesSum, sum_of_run
from twinloop.control.transfer.service import SHAPES
from twinloop.control.transfer.shape import sum_of
from twinloop.sdk.transfer.checkpoint import Checkpoint
from twinloop.sdk.transfer.file_copy import FileCopy, Files
from twinloop.sdk.transfer.found import FoundExperiment, FoundLoggedModel, FoundRun, Points, Source
from twinloop.sdk.transfer.mapping import (
    Places,
    logged_model_rows,
    model_place,
    point_rows,
    run_place,
    run_rows,
)
from twinloop.sdk.transfer.sink import Sink, Tables, merged

_POINTS = 20_000
_UNDER_WAY = ("RUNNING", "SCHEDULED")
UNTOLD = {"runs": ("deleted_ms",)}
"""Columns that do not count when both sides are compared: a server does not tell when a run was deleted."""

_RUN = ("runs", "params", "tags", "inputs", "run_models")
_MODEL = ("logged_models", "logged_model_params", "logged_model_tags", "logged_model_metrics")


class RunCopy:
    """Copies what has changed since it was copied last; ``places`` learns where files went."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        checkpoint: Checkpoint,
        files: FileCopy | None,
        places: Places,
        *,
        writing: bool,
        recheck: bool,
    ) -> None:
        self._source = source
        self._sink = sink
        self._checkpoint = checkpoint
        self._files = files
        self._places = places
        self._writing = writing
        self._recheck = recheck

    def runs(self, experiment: FoundExperiment, number: int) -> Iterator[int]:
        """Copy an experiment's runs; yields how many were looked at, page by page."""
        for page in self._source.runs(experiment.id):
            for run in page:
                self._places.learn(run.location, run_place(number, run.id))
            seen = {run.id: "" if run.status in _UNDER_WAY else fingerprint(run) for run in page}
            fresh = self._fresh("runs", seen)
            changed = [run for run in page if run.id in fresh]
            if changed:
                self._copy_runs(changed, experiment, number, {run.id: seen[run.id] for run in changed})
            yield len(page)

    def logged_models(self, experiment: FoundExperiment, number: int) -> Iterator[int]:
        for page in self._source.logged_models(experiment.id):
            for model in page:
                self._places.learn(model.location, model_place(number, model.id))
                self._places.learn_model(model.id, model_place(number, model.id))
            seen = {model.id: fingerprint(model) for model in page}
            fresh = self._fresh("logged_models", seen)
            changed = [model for model in page if model.id in fresh]
            if changed:
                self._copy_models(changed, number, {model.id: seen[model.id] for model in changed})
            yield len(page)

    def _copy_runs(
        self, found: Sequence[FoundRun], experiment: FoundExperiment, number: int, seen: Mapping[str, str]
    ) -> None:
        tables = {run.id: self._sink.fit(run_rows(run, experiment, number)) for run in found}
        if self._writing:
            self._sink.put(merged(tables.values()), derive=self._source.origin)
        points = self._copy_points(found)
        if self._files is not None:
            self._files.copy(
                [Files("run", run.id, run.location, run_place(number, run.id)) for run in found if run.location]
            )
        sums = [*_sums(_RUN, tables), *(("metrics", run, each) for run, each in points.items())]
        self._checkpoint.finish("runs", seen, sums)

    def _copy_points(self, found: Sequence[FoundRun]) -> dict[str, Sum]:
        """All points of some runs; a part of them is in memory at a time."""
        series: dict[str, dict[str, SeriesSum]] = defaultdict(dict)
        waiting: list[Row] = []
        for run, points in self._source.points(found):
            _add(series[run].setdefault(points.key, SeriesSum()), points)
            waiting += point_rows(run, points)
            if len(waiting) >= _POINTS:
                self._put_points(waiting)
                waiting = []
        self._put_points(waiting)
        return {run: sum_of_run({key: each.sum() for key, each in mine.items()}) for run, mine in series.items()}

    def _put_points(self, rows: list[Row]) -> None:
        if rows and self._writing:
            self._sink.put({"metrics": rows})

    def _copy_models(self, found: Sequence[FoundLoggedModel], number: int, seen: Mapping[str, str]) -> None:
        tables = {model.id: self._sink.fit(logged_model_rows(model, number)) for model in found}
        if self._writing:
            self._sink.put(merged(tables.values()), derive=self._source.origin)
        if self._files is not None:
            self._files.copy(
                [Files("logged_model", m.id, m.location, model_place(number, m.id)) for m in found if m.location]
            )
        self._checkpoint.finish("logged_models", seen, _sums(_MODEL, tables))

    def _fresh(self, shape: str, seen: Mapping[str, str]) -> set[str]:
        """Those that look otherwise than when they were copied, and those that are not here whatever was written down."""
        if self._recheck or not seen:
            return set(seen)
        copied = self._checkpoint.seen(shape, seen)
        same = [id for id, text in copied.items() if text and text == seen[id]]
        here = self._sink.sums(shape, [(id,) for id in same]) if same else {}
        return set(seen) - {id for id in same if here[(id,)].count}


def _sums(shapes: Sequence[str], tables: Mapping[str, Tables]) -> Iterator[tuple[str, str, Sum]]:
    for id, rows in tables.items():
        for shape in shapes:
            if rows[shape]:
                yield shape, id, sum_of(SHAPES[shape], rows[shape], UNTOLD.get(shape, ()))


def _add(into: SeriesSum, points: Points) -> None:
    values = [0.0 if value is None else value for value in points.value]
    into.add(points.at_ms, points.step, values, [value is None for value in points.value])


def fingerprint(found: Any) -> str:
    """What an item looks like, in few bytes."""
    text = json.dumps(msgspec.to_builtins(found), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
