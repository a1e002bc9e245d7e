"""/api/v1/experiments and /api/v1/runs."""

from __future__ import annotations

import math
from typing import Annotated, TypedDict

import msgspec
from starlette.routing import Route

from twinloop.control.lineage.model import Link
from twinloop.control.registry.service import Registry
from twinloop.control.tracking.model import (
    CONTEXT_TAG,
    PARENT_TAG,
    DatasetInput,
    Experiment,
    Lifecycle,
    Metric,
    Query,
    Run,
    RunChange,
    RunStatus,
    View,
)
from twinloop.control.tracking.service import Tracking
from twinloop.core.clock import iso
from twinloop.protocols.http import Call, route
from twinloop.protocols.native import wire
from twinloop.protocols.native.errors import NATIVE

_MS = 1_000_000


class NewExperiment(msgspec.Struct, frozen=True):
    name: str
    tags: dict[str, str] = {}


class NewRun(msgspec.Struct, frozen=True):
    """``experiment`` is a name; it is made when there is none. ``parent`` is the id of the run this one is a part of."""

    experiment: str = "Default"
    name: str | None = None
    tags: dict[str, str] = {}
    parent: str | None = None


class Change(msgspec.Struct, frozen=True):
    """A run whose status is RUNNING again goes on: it has not ended."""

    status: RunStatus | None = None
    name: str | None = None


class Point(msgspec.Struct, frozen=True):
    """``value`` null is NaN; ``at_ms`` is now unless given."""

    key: str
    value: float | None
    step: int = 0
    at_ms: int | None = None


class Batch(msgspec.Struct, frozen=True):
    metrics: list[Point] = []
    params: dict[str, str] = {}
    tags: dict[str, str] = {}


class Used(msgspec.Struct, frozen=True):
    role: str
    ref: str


class Consumed(msgspec.Struct, frozen=True):
    revisions: Annotated[list[Used], wire.Many]


class Pages(msgspec.Struct, frozen=True):
    """``filter`` and ``order`` are in MLflow's grammar, ``order`` with commas between; ``token`` is ``next`` of before."""

    filter: str = ""
    order: str = ""
    view: View = "active"
    limit: wire.Limit = 100
    token: str = ""


class RunQuery(Pages, frozen=True):
    experiment: str = "Default"


class HistoryQuery(msgspec.Struct, frozen=True):
    """With ``most`` that many points at the most, evenly spread by step over the whole series, instead of a page."""

    most: Annotated[int, msgspec.Meta(ge=2, le=2500)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10_000
    token: str = ""


class ExperimentJson(TypedDict):
    id: str
    name: str
    lifecycle: Lifecycle
    tags: dict[str, str]
    created_at: str
    updated_at: str


class PointJson(TypedDict):
    """``value`` null is NaN."""

    value: float | None
    step: int
    at: str


class DatasetJson(TypedDict):
    """A dataset as the program that read it describes it; ``context`` is what it was read for, where that was said."""

    name: str
    digest: str
    context: str | None
    source_type: str
    source: str


class MadeJson(TypedDict):
    """A logged model, and the step of its training at which the run made it."""

    model: str
    step: int


class RunJson(TypedDict):
    """``metrics`` holds the last point of each series; ``parent`` is the run that this one is a part of.

    ``datasets`` and ``models_read`` are what the run says it read, ``models_made`` what it made: ids of logged models.
    """

    id: str
    experiment: str
    name: str
    user: str
    status: RunStatus
    lifecycle: Lifecycle
    parent: str | None
    started_at: str
    ended_at: str | None
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, PointJson]
    datasets: list[DatasetJson]
    models_read: list[str]
    models_made: list[MadeJson]


class ExperimentPage(TypedDict):
    experiments: list[ExperimentJson]
    next: str | None


class RunPage(TypedDict):
    runs: list[RunJson]
    next: str | None


class PointPage(TypedDict):
    points: list[PointJson]
    next: str | None


def routes(tracking: Tracking, registry: Registry) -> list[Route]:
    handlers = RunHandlers(tracking, registry)
    return [
        route(
            NATIVE,
            "POST",
            "/api/v1/experiments",
            handlers.create_experiment,
            body=NewExperiment,
            answer=ExperimentJson,
            status=201,
        ),
        route(NATIVE, "GET", "/api/v1/experiments", handlers.experiments, query=Pages, answer=ExperimentPage),
        route(NATIVE, "GET", "/api/v1/experiments/{id}", handlers.experiment, answer=ExperimentJson),
        route(NATIVE, "POST", "/api/v1/runs", handlers.create, body=NewRun, answer=RunJson, status=201),
        route(NATIVE, "GET", "/api/v1/runs", handlers.search, query=RunQuery, answer=RunPage),
        route(NATIVE, "GET", "/api/v1/runs/{id}", handlers.get, answer=RunJson),
        route(NATIVE, "PATCH", "/api/v1/runs/{id}", handlers.update, body=Change, answer=RunJson),
        route(NATIVE, "DELETE", "/api/v1/runs/{id}", handlers.delete, answer=wire.Nothing),
        route(NATIVE, "POST", "/api/v1/runs/{id}/restore", handlers.restore, answer=wire.Nothing),
        route(NATIVE, "POST", "/api/v1/runs/{id}/log", handlers.log, body=Batch, answer=wire.Nothing),
        route(NATIVE, "POST", "/api/v1/runs/{id}/consumed", handlers.consumed, body=Consumed, answer=wire.Nothing),
        route(
            NATIVE,
            "GET",
            "/api/v1/runs/{id}/metrics/{key:path}",
            handlers.history,
            query=HistoryQuery,
            answer=PointPage,
        ),
    ]


class RunHandlers:
    """One method per path: decode, call one verb, encode."""

    def __init__(self, tracking: Tracking, registry: Registry) -> None:
        self._tracking = tracking
        self._registry = registry

    async def create_experiment(self, call: Call, request: NewExperiment) -> ExperimentJson:
        """Make an experiment."""
        return experiment_json(await self._tracking.experiments.create(call.who, request.name, request.tags))

    async def experiments(self, call: Call, query: Pages) -> ExperimentPage:
        """Experiments, newest first, narrowed by a filter."""
        page = await self._tracking.experiments.search(call.who, _query(query))
        return {"experiments": [experiment_json(item) for item in page.items], "next": page.next}

    async def experiment(self, call: Call) -> ExperimentJson:
        """One experiment by its id."""
        return experiment_json(await self._tracking.experiments.get(call.who, call.path["id"]))

    async def create(self, call: Call, request: NewRun) -> RunJson:
        """Start a run."""
        run = await self._tracking.start(
            call.who, request.experiment, name=request.name, tags=request.tags, parent=request.parent
        )
        return run_json(run)

    async def search(self, call: Call, query: RunQuery) -> RunPage:
        """Runs of one experiment, newest first, narrowed by a filter in MLflow's grammar."""
        found = await self._tracking.experiments.find(call.who, query.experiment or "Default")
        if found is None:
            return {"runs": [], "next": None}
        page = await self._tracking.search(call.who, [found.id], _query(query))
        return {"runs": [run_json(run) for run in page.items], "next": page.next}

    async def get(self, call: Call) -> RunJson:
        """One run with its params, tags and last metrics."""
        return run_json(await self._tracking.get(call.who, call.path["id"]))

    async def update(self, call: Call, request: Change) -> RunJson:
        """Finish, resume or rename a run."""
        return run_json(
            await self._tracking.finish(call.who, call.path["id"], RunChange(request.status, None, request.name))
        )

    async def delete(self, call: Call) -> wire.Nothing:
        """Delete a run; it can be restored."""
        await self._tracking.delete(call.who, call.path["id"])
        return {}

    async def restore(self, call: Call) -> wire.Nothing:
        """Bring a deleted run back."""
        await self._tracking.restore(call.who, call.path["id"])
        return {}

    async def log(self, call: Call, request: Batch) -> wire.Nothing:
        """Add metrics, params and tags, all or none."""
        now = self._tracking.now_ms()
        points = [
            Metric(p.key, math.nan if p.value is None else p.value, now if p.at_ms is None else p.at_ms, p.step)
            for p in request.metrics
        ]
        await self._tracking.log(call.who, call.path["id"], metrics=points, params=request.params, tags=request.tags)
        return {}

    async def consumed(self, call: Call, request: Consumed) -> wire.Nothing:
        """Say which revisions a run used; they become its parents in the lineage."""
        links = [Link(used.role, (await self._registry.get(call.who, used.ref)).digest) for used in request.revisions]
        await self._tracking.consume(call.who, call.path["id"], links)
        return {}

    async def history(self, call: Call, query: HistoryQuery) -> PointPage:
        """Every point of one metric, or some that are evenly spread."""
        run, key = call.path["id"], call.path["key"]
        if query.most is not None:
            series = await self._tracking.sample(call.who, run, key, query.most)
            return {"points": [metric_json(point) for point in series], "next": None}
        page = await self._tracking.history(call.who, run, key, query.limit, query.token or None)
        return {"points": [metric_json(point) for point in page.items], "next": page.next}


def experiment_json(found: Experiment) -> ExperimentJson:
    return {
        "id": found.id,
        "name": found.name,
        "lifecycle": found.lifecycle,
        "tags": found.tags,
        "created_at": iso(found.created_ms * _MS),
        "updated_at": iso(found.updated_ms * _MS),
    }


def run_json(run: Run) -> RunJson:
    return {
        "id": run.id,
        "experiment": run.experiment_id,
        "name": run.name,
        "user": run.user,
        "status": run.status,
        "lifecycle": run.lifecycle,
        "parent": run.tags.get(PARENT_TAG),
        "started_at": iso(run.started_ms * _MS),
        "ended_at": None if run.ended_ms is None else iso(run.ended_ms * _MS),
        "params": run.params,
        "tags": run.tags,
        "metrics": {point.key: metric_json(point) for point in run.metrics},
        "datasets": [dataset_json(item) for item in run.inputs],
        "models_read": list(run.models_read),
        "models_made": [{"model": model, "step": step} for model, step in run.models_made],
    }


def dataset_json(item: DatasetInput) -> DatasetJson:
    return {
        "name": item.name,
        "digest": item.digest,
        "context": item.tags.get(CONTEXT_TAG),
        "source_type": item.source_type,
        "source": item.source,
    }


def metric_json(point: Metric) -> PointJson:
    value = None if math.isnan(point.value) else point.value
    return {"value": value, "step": point.step, "at": iso(point.at_ms * _MS)}


def _query(pages: Pages) -> Query:
    order = tuple(item.strip() for item in pages.order.split(",") if item.strip())
    return Query(filter=pages.filter, order=order, view=pages.view, limit=pages.limit, token=pages.token or None)
