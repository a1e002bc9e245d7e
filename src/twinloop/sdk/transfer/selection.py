"""What an export holds: everything, one run, or revisions with all that they came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from twinloop.control.transfer.model import Row, Scope
from twinloop.control.transfer.service import SHAPES
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.core.ids import Ref
from twinloop.sdk.transfer.layout import RECORDS
from twinloop.sdk.transfer.sink import Sink

EVERYTHING = "everything"

_OF_RUN = ("params", "tags", "inputs", "metrics", "run_models")
_OF_MODEL = ("logged_model_params", "logged_model_tags", "logged_model_metrics")
_REVISION = ("kind", "name", "number")


class Selection(Protocol):
    """What belongs to an export."""

    def rows(self, shape: str) -> Iterator[Row]:
        """Those of one shape, in the order of their key."""
        ...


class Everything:
    """All that the tenant has."""

    def __init__(self, source: Sink) -> None:
        self._source = source

    def rows(self, shape: str) -> Iterator[Row]:
        return self._source.rows(shape)


class Part:
    """Some runs (tracked ones and those of pipelines), logged models and revisions, with what belongs to each of them."""

    def __init__(self, source: Sink, runs: Sequence[str], models: Sequence[str], digests: Sequence[str]) -> None:
        self._source = source
        self._runs = list(source.rows("runs", [(run,) for run in sorted(set(runs))]))
        self._pipeline_runs = list(source.rows("pipeline_runs", [(run,) for run in sorted(set(runs))]))
        run_ids = [(row["id"],) for row in self._runs]
        of_runs = [row["id"] for row in source.rows("logged_models", run_ids, ("run",))]
        self._models = list(source.rows("logged_models", [(model,) for model in sorted({*models, *of_runs})]))
        self._revisions = list(source.rows("revisions", [(digest,) for digest in sorted(set(digests))], ("digest",)))

    def rows(self, shape: str) -> Iterator[Row]:
        found = self._rows(shape)
        return iter(sorted(found, key=SHAPES[shape].key_of)) if shape != "metrics" else iter(found)

    def _rows(self, shape: str) -> Iterator[Row]:
        runs, models = [(row["id"],) for row in self._runs], [(row["id"],) for row in self._models]
        cards = sorted({(row["kind"], row["name"]) for row in self._revisions})
        numbered: list[Scope] = [tuple(row[name] for name in _REVISION) for row in self._revisions]
        if shape in ("experiments", "experiment_tags"):
            return self._source.rows(shape, sorted({(row["experiment"],) for row in [*self._runs, *self._models]}))
        if shape == "runs":
            return iter(self._runs)
        if shape in _OF_RUN:
            return self._source.rows(shape, runs)
        if shape == "logged_models":
            return iter(self._models)
        if shape in _OF_MODEL:
            return self._source.rows(shape, models)
        if shape in ("cards", "card_tags"):
            return self._source.rows(shape, cards)
        if shape == "revisions":
            return iter(self._revisions)
        if shape in ("notes", "revision_tags", "approvals"):
            return self._source.rows(shape, numbered)
        if shape == "aliases":
            return (row for row in self._source.rows(shape, cards, ("kind", "name")) if _place(row) in set(numbered))
        if shape == "registry_events":
            return _renumbered(row for row in self._source.rows(shape, cards) if self._of(row, set(numbered)))
        if shape == "pipeline_runs":
            return iter(self._pipeline_runs)
        if shape == "step_runs":
            return self._source.rows(shape, [(row["id"],) for row in self._pipeline_runs])
        if shape == "artifacts":
            return self._source.rows(shape, [(place,) for place in self._places()])
        if shape == "evidence":
            return self._source.rows(shape, sorted({(row["digest"],) for row in self._revisions}))
        return self._lineage(shape) if shape in RECORDS[:2] else iter(())

    def _of(self, event: Row, numbered: set[Scope]) -> bool:
        return event["number"] is None or _place(event) in numbered

    def _places(self) -> list[str]:
        uris = [row["artifact_uri"] for row in [*self._runs, *self._models]]
        return sorted(uri.removeprefix("mlflow-artifacts:/") for uri in uris if uri.startswith("mlflow-artifacts:/"))

    def _lineage(self, shape: str) -> Iterator[Row]:
        keys = sorted(
            {
                *(f"run:{row['id']}" for row in [*self._runs, *self._pipeline_runs]),
                *(f"logged_model:{row['id'][:80]}" for row in self._models),
                *(row["digest"] for row in self._revisions),
            }
        )
        edges = list(self._source.rows("lineage_edges", [(key,) for key in keys]))
        if shape == "lineage_edges":
            return iter(edges)
        # Data that is kept elsewhere is a node and nothing else.
        elsewhere = {edge["parent"] for edge in edges if edge["parent"].startswith("dataset:")}
        return self._source.rows("lineage_nodes", [(key,) for key in sorted({*keys, *elsewhere})])


def select(source: Sink, what: str) -> Selection:
    """Raises InvalidInput or NotFound when ``what`` is nothing that can be exported."""
    if what == EVERYTHING:
        return Everything(source)
    kind, _, rest = what.partition("/")
    if kind == "run" and rest:
        if not any(source.rows("runs", [(rest,)])):
            raise NotFound(f"There is no run {rest[:64]}. Give the id that its page shows.")
        return Part(source, [rest], [], [])
    if not rest:
        raise InvalidInput(
            f"{what[:80]!r} cannot be exported. Write everything, run/ID or kind/name, such as model/churn@3."
        )
    digests = [row["digest"] for row in _revisions(source, what)]
    return _with_ancestry(source, digests)


def _revisions(source: Sink, what: str) -> list[Row]:
    """The revision of a reference; all of a name when it has neither number nor alias."""
    ref = Ref.parse(what)
    newest = source.client.revisions.get(what)
    if ref.number is not None or ref.alias is not None:
        return [newest]
    return list(source.rows("revisions", [(newest["kind"], newest["name"])]))


def _with_ancestry(source: Sink, digests: list[str]) -> Part:
    """Everything that lineage reaches from some revisions: their parents, runs, logged models, and theirs in turn."""
    seen: set[str] = set(digests)
    waiting = list(digests)
    while waiting:
        edges = source.rows("lineage_edges", [(key,) for key in sorted(waiting)])
        waiting = []
        for edge in edges:
            if edge["parent"] not in seen:
                seen.add(edge["parent"])
                waiting.append(edge["parent"])
    by_kind: dict[str, list[str]] = {"run": [], "logged_model": [], "sha256": []}
    for key in seen:
        kind, _, rest = key.partition(":")
        if kind in by_kind:
            by_kind[kind].append(key if kind == "sha256" else rest)
    return Part(source, by_kind["run"], by_kind["logged_model"], by_kind["sha256"])


def _place(row: Row) -> Scope:
    return tuple(row[name] for name in _REVISION)


def _renumbered(events: Iterator[Row]) -> Iterator[Row]:
    """A history of which some is left out counts anew."""
    counts: dict[Any, int] = {}
    for event in events:
        card = (event["kind"], event["name"])
        yield {**event, "position": counts.get(card, 0)}
        counts[card] = counts.get(card, 0) + 1
