"""Handlers of ``runs/…`` and ``metrics/…``."""

from __future__ import annotations

from typing import Any

from twinloop.control.tracking.model import RunChange
from twinloop.control.tracking.service import Tracking
from twinloop.core.errors import NotOffered
from twinloop.protocols.http import Call
from twinloop.protocols.mlflow import translate, wire
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.request import read

Json = dict[str, Any]
_PREFIX = "/api/2.0/mlflow"


class RunHandlers:
    """One method per endpoint: decode, call one verb, encode."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking

    async def create(self, call: Call) -> Json:
        """Start a run."""
        request = await read(call, wire.CreateRun)
        started = None if request.start_time is None else translate.integer(request.start_time, "start_time")
        run = await self._tracking.create(
            call.who,
            request.experiment_id,
            name=request.run_name or None,
            user=request.user_id,
            started_ms=started,
            tags=translate.tags(request.tags),
        )
        return {"run": translate.run_json(run)}

    async def get(self, call: Call) -> Json:
        """One run with its params, tags and last metrics."""
        request = await read(call, wire.OfRun)
        return {"run": translate.run_json(await self._tracking.get(call.who, translate.run_id(request)))}

    async def update(self, call: Call) -> Json:
        """Change a run's status, end or name."""
        request = await read(call, wire.UpdateRun)
        ended = None if request.end_time is None else translate.integer(request.end_time, "end_time")
        change = RunChange(request.status, ended, request.run_name or None)
        run = await self._tracking.update(call.who, translate.run_id(request), change)
        return {"run_info": translate.run_info_json(run)}

    async def delete(self, call: Call) -> Json:
        """Delete a run; it can be restored."""
        request = await read(call, wire.OfRun)
        await self._tracking.delete(call.who, translate.run_id(request))
        return {}

    async def restore(self, call: Call) -> Json:
        """Bring a deleted run back."""
        request = await read(call, wire.OfRun)
        await self._tracking.restore(call.who, translate.run_id(request))
        return {}

    async def search(self, call: Call) -> Json:
        """Runs of experiments, narrowed by a filter."""
        request = await read(call, wire.SearchRuns)
        page = await self._tracking.search(call.who, request.experiment_ids, translate.runs_query(request))
        return translate.page_json("runs", page, [translate.run_json(run) for run in page.items])

    async def log_metric(self, call: Call) -> Json:
        """Add one point of a metric."""
        request = await read(call, wire.LogMetric)
        await self._tracking.log(call.who, translate.run_id(request), metrics=[translate.metric(request)])
        return {}

    async def log_param(self, call: Call) -> Json:
        """Set one param; a param never changes."""
        request = await read(call, wire.RunPair)
        given = translate.params([wire.Pair(request.key, request.value)])
        await self._tracking.log(call.who, translate.run_id(request), params=given)
        return {}

    async def set_tag(self, call: Call) -> Json:
        """Set one tag of a run."""
        request = await read(call, wire.RunPair)
        given = translate.tags([wire.Pair(request.key, request.value)])
        await self._tracking.log(call.who, translate.run_id(request), tags=given)
        return {}

    async def delete_tag(self, call: Call) -> Json:
        """Remove one tag of a run."""
        request = await read(call, wire.RunKey)
        await self._tracking.delete_tag(call.who, translate.run_id(request), request.key)
        return {}

    async def log_batch(self, call: Call) -> Json:
        """Add metrics, params and tags, all or none."""
        request = await read(call, wire.LogBatch)
        translate.check_batch(request)
        await self._tracking.log(
            call.who,
            translate.run_id(request),
            metrics=[translate.metric(point) for point in request.metrics],
            params=translate.params(request.params),
            tags=translate.tags(request.tags),
        )
        return {}

    async def log_inputs(self, call: Call) -> Json:
        """Say which datasets a run read."""
        request = await read(call, wire.LogInputs)
        if request.models:
            raise NotOffered(
                "Logged models as run inputs are not offered yet. Log datasets alone, or set a tag instead."
            )
        inputs = [translate.dataset_input(item) for item in request.datasets]
        await self._tracking.add_inputs(call.who, translate.run_id(request), inputs)
        return {}

    async def history(self, call: Call) -> Json:
        """Every point of one metric."""
        request = await read(call, wire.MetricHistory)
        run_id, token = translate.run_id(request), request.page_token or None
        if request.max_results is None:
            page = await self._tracking.history(call.who, run_id, request.metric_key, token=token)
        else:
            limit = translate.integer(request.max_results, "max_results")
            page = await self._tracking.history(call.who, run_id, request.metric_key, limit, token)
        return translate.page_json("metrics", page, [translate.metric_json(point) for point in page.items])


def endpoints(tracking: Tracking) -> list[Endpoint]:
    """What MLflow offers on runs, the busiest first: paths are tried in order."""
    handlers = RunHandlers(tracking)
    return [
        Endpoint("POST", f"{_PREFIX}/runs/log-metric", handlers.log_metric),
        Endpoint("POST", f"{_PREFIX}/runs/log-batch", handlers.log_batch),
        Endpoint("POST", f"{_PREFIX}/runs/create", handlers.create),
        Endpoint("GET", f"{_PREFIX}/runs/get", handlers.get),
        Endpoint("POST", f"{_PREFIX}/runs/update", handlers.update),
        Endpoint("POST", f"{_PREFIX}/runs/delete", handlers.delete),
        Endpoint("POST", f"{_PREFIX}/runs/restore", handlers.restore),
        Endpoint("POST", f"{_PREFIX}/runs/search", handlers.search),
        Endpoint("POST", f"{_PREFIX}/runs/log-parameter", handlers.log_param),
        Endpoint("POST", f"{_PREFIX}/runs/set-tag", handlers.set_tag),
        Endpoint("POST", f"{_PREFIX}/runs/delete-tag", handlers.delete_tag),
        Endpoint("POST", f"{_PREFIX}/runs/log-inputs", handlers.log_inputs),
        Endpoint("GET", f"{_PREFIX}/metrics/get-history", handlers.history),
    ]
