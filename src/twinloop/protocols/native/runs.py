"""/api/v1/experiments and /api/v1/runs."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from starlette.routing import Route

from twinloop.control.lineage.model import Link
from twinloop.control.registry.service import Registry
from twinloop.control.tracking.model import Experiment, Metric, Query, Run, RunChange, RunStatus, View
from twinloop.control.tracking.service import Tracking
from twinloop.core.clock import iso
from twinloop.core.errors import InvalidInput
from twinloop.protocols.http import Call, reply, route
from twinloop.protocols.native.errors import NATIVE

_MS = 1_000_000
_VIEWS: tuple[View, ...] = ("active", "deleted", "all")


class NewExperiment(msgspec.Struct, frozen=True):
    name: str
    tags: dict[str, str] = {}


class NewRun(msgspec.Struct, frozen=True):
    """``experiment`` is a name; it is made when there is none."""

    experiment: str = "Default"
    name: str | None = None
    tags: dict[str, str] = {}


class Change(msgspec.Struct, frozen=True):
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
    revisions: list[Used]


def routes(tracking: Tracking, registry: Registry) -> list[Route]:
    handlers = RunHandlers(tracking, registry)
    return [
        route(NATIVE, "POST", "/api/v1/experiments", handlers.create_experiment),
        route(NATIVE, "GET", "/api/v1/experiments", handlers.experiments),
        route(NATIVE, "POST", "/api/v1/runs", handlers.create),
        route(NATIVE, "GET", "/api/v1/runs", handlers.search),
        route(NATIVE, "GET", "/api/v1/runs/{id}", handlers.get),
        route(NATIVE, "PATCH", "/api/v1/runs/{id}", handlers.update),
        route(NATIVE, "DELETE", "/api/v1/runs/{id}", handlers.delete),
        route(NATIVE, "POST", "/api/v1/runs/{id}/restore", handlers.restore),
        route(NATIVE, "POST", "/api/v1/runs/{id}/log", handlers.log),
        route(NATIVE, "POST", "/api/v1/runs/{id}/consumed", handlers.consumed),
        route(NATIVE, "GET", "/api/v1/runs/{id}/metrics/{key:path}", handlers.history),
    ]


class RunHandlers:
    """One method per path: decode, call one verb, encode."""

    def __init__(self, tracking: Tracking, registry: Registry) -> None:
        self._tracking = tracking
        self._registry = registry

    async def create_experiment(self, call: Call) -> Any:
        """Make an experiment."""
        request = await call.json(NewExperiment)
        made = await self._tracking.experiments.create(call.who, request.name, request.tags)
        return reply(experiment_json(made), 201)

    async def experiments(self, call: Call) -> Any:
        """Experiments, newest first, narrowed by a filter."""
        page = await self._tracking.experiments.search(call.who, _query(call))
        return {"experiments": [experiment_json(item) for item in page.items], "next": page.next}

    async def create(self, call: Call) -> Any:
        """Start a run."""
        request = await call.json(NewRun)
        experiment = await self._tracking.experiments.ensure(call.who, request.experiment)
        run = await self._tracking.create(call.who, experiment.id, name=request.name, tags=request.tags)
        return reply(run_json(run), 201)

    async def search(self, call: Call) -> Any:
        """Runs of one experiment, newest first, narrowed by a filter in MLflow's grammar."""
        found = await self._tracking.experiments.find(call.who, call.query.get("experiment") or "Default")
        if found is None:
            return {"runs": [], "next": None}
        page = await self._tracking.search(call.who, [found.id], _query(call))
        return {"runs": [run_json(run) for run in page.items], "next": page.next}

    async def get(self, call: Call) -> Any:
        """One run with its params, tags and last metrics."""
        return run_json(await self._tracking.get(call.who, call.path["id"]))

    async def update(self, call: Call) -> Any:
        """Finish or rename a run."""
        request = await call.json(Change)
        return run_json(
            await self._tracking.finish(call.who, call.path["id"], RunChange(request.status, None, request.name))
        )

    async def delete(self, call: Call) -> Any:
        """Delete a run; it can be restored."""
        await self._tracking.delete(call.who, call.path["id"])
        return {}

    async def restore(self, call: Call) -> Any:
        """Bring a deleted run back."""
        await self._tracking.restore(call.who, call.path["id"])
        return {}

    async def log(self, call: Call) -> Any:
        """Add metrics, params and tags, all or none."""
        request = await call.json(Batch)
        now = self._tracking.now_ms()
        points = [
            Metric(p.key, math.nan if p.value is None else p.value, now if p.at_ms is None else p.at_ms, p.step)
            for p in request.metrics
        ]
        await self._tracking.log(call.who, call.path["id"], metrics=points, params=request.params, tags=request.tags)
        return {}

    async def consumed(self, call: Call) -> Any:
        """Say which revisions a run used; they become its parents in the lineage."""
        request = await call.json(Consumed)
        links = [Link(used.role, (await self._registry.get(call.who, used.ref)).digest) for used in request.revisions]
        await self._tracking.consume(call.who, call.path["id"], links)
        return {}

    async def history(self, call: Call) -> Any:
        """Every point of one metric."""
        limit = call.integer("limit", 10_000, 1, 1_000_000)
        token = call.query.get("token") or None
        page = await self._tracking.history(call.who, call.path["id"], call.path["key"], limit, token)
        return {"points": [metric_json(point) for point in page.items], "next": page.next}


def experiment_json(found: Experiment) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "lifecycle": found.lifecycle,
        "tags": found.tags,
        "created_at": iso(found.created_ms * _MS),
        "updated_at": iso(found.updated_ms * _MS),
    }


def run_json(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "experiment": run.experiment_id,
        "name": run.name,
        "user": run.user,
        "status": run.status,
        "lifecycle": run.lifecycle,
        "started_at": iso(run.started_ms * _MS),
        "ended_at": None if run.ended_ms is None else iso(run.ended_ms * _MS),
        "params": run.params,
        "tags": run.tags,
        "metrics": {point.key: metric_json(point) for point in run.metrics},
    }


def metric_json(point: Metric) -> dict[str, Any]:
    value = None if math.isnan(point.value) else point.value
    return {"value": value, "step": point.step, "at": iso(point.at_ms * _MS)}


def _query(call: Call) -> Query:
    """``order`` holds items of the order grammar joined by commas."""
    view = call.query.get("view") or "active"
    if view not in _VIEWS:
        raise InvalidInput(f"view must be one of {', '.join(_VIEWS)}.")
    order = tuple(item.strip() for item in call.query.get("order", "").split(",") if item.strip())
    return Query(
        filter=call.query.get("filter") or "",
        order=order,
        view=view,
        limit=call.integer("limit", 100, 1, 1000),
        token=call.query.get("token") or None,
    )
