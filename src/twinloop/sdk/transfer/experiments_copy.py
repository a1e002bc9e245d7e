"""Experiments: which number each has here, and its tags."""

from __future__ import annotations

from twinloop.control.transfer.model import Row, Sum
from twinloop.control.transfer.service import SHAPES
from twinloop.control.transfer.shape import sum_of
from twinloop.sdk.transfer.checkpoint import Checkpoint
from twinloop.sdk.transfer.found import FoundExperiment
from twinloop.sdk.transfer.mapping import DEFAULT, experiment_rows, experiment_tags
from twinloop.sdk.transfer.report import Tally
from twinloop.sdk.transfer.sink import Sink


class ExperimentCopy:
    """An experiment keeps its number where that is free. One whose name is here already is merged into that one.

    Merging is what makes a second import, and several servers in one home, possible: runs keep their own ids, so nothing
    can collide. What the experiment here says of itself stays.
    """

    def __init__(self, sink: Sink, checkpoint: Checkpoint, writing: bool) -> None:
        self._sink = sink
        self._checkpoint = checkpoint
        self._writing = writing
        self._numbers = checkpoint.numbers()
        self._found: list[FoundExperiment] = []

    def place(self, found: list[FoundExperiment]) -> dict[str, int]:
        """The numbers here of these experiments, which are made where they are missing; none for one that is refused."""
        self._found = found
        rows = list(self._sink.rows("experiments"))
        names = {row["name"]: row for row in rows}
        taken = {row["number"] for row in rows}
        placed: dict[str, int] = {}
        for experiment in found:
            number, merged = self._number(experiment, names, taken)
            if merged and names[experiment.name]["lifecycle"] == "deleted" and experiment.lifecycle == "active":
                self._refuse(
                    experiment,
                    "an experiment of this name is here and deleted. Restore or rename it, then import again",
                )
                continue
            placed[experiment.id] = number
            taken.add(number)
            before = len(self._sink.refused)
            if self._writing:
                self._checkpoint.keep_number(experiment.id, number, merged)
                tags = {"experiment_tags": experiment_tags(experiment, number)}
                self._sink.put(self._sink.fit(tags if merged else experiment_rows(experiment, number)))
                if any(shape == "experiments" for shape, *_ in self._sink.refused[before:]):
                    del placed[experiment.id]
            self._numbers[experiment.id] = (number, merged)
        return placed

    def compare(self) -> tuple[Tally, Tally]:
        """Experiments and their tags. Of one that is merged, and of Default, the name and whether it is deleted count."""
        here = {row["number"]: row for row in self._sink.rows("experiments")}
        held: dict[int, dict[str, Row]] = {}
        numbers = [(number,) for number, _ in self._numbers.values()]
        for row in self._sink.rows("experiment_tags", numbers):
            held.setdefault(row["experiment"], {})[row["key"]] = row
        experiments, tags, shape = Tally("experiments"), Tally("experiment tags"), SHAPES["experiment_tags"]
        for found in self._found:
            number, merged = self._numbers.get(found.id, (-1, False))
            mine = _seen(experiment_rows(found, number)["experiments"][0], merged)
            experiments.compare({found.name: mine}, {found.name: _seen(here[number], merged)} if number in here else {})
            said = experiment_tags(found, number)
            also = [held.get(number, {}).get(row["key"]) for row in said]
            tags.compare(
                {found.name: sum_of(shape, said)}, {found.name: sum_of(shape, [row for row in also if row is not None])}
            )
        return experiments, tags

    def _number(self, found: FoundExperiment, names: dict[str, Row], taken: set[int]) -> tuple[int, bool]:
        """The number here, and whether the experiment was here before the first import."""
        if found.id in self._numbers:
            number, merged = self._numbers[found.id]
            row = names.get(found.name)
            if row is None or row["number"] == number:
                return number, merged
        if found.id == DEFAULT:
            return 0, True
        if found.name in names:
            return names[found.name]["number"], True
        wanted = int(found.id) if found.id.isdigit() and len(found.id) <= 18 else 0
        return (wanted if wanted and wanted not in taken else max(taken, default=0) + 1), False

    def _refuse(self, found: FoundExperiment, why: str) -> None:
        self._sink.refused.append(("experiments", found.name, why))


def _seen(row: Row, merged: bool) -> Sum:
    shape = SHAPES["experiments"]
    kept = ("name", "lifecycle") if merged else shape.columns
    return sum_of(
        shape, [{name: row[name] if name in kept else None for name in shape.columns} | {"number": row["number"]}]
    )
