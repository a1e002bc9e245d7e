"""Handlers of ``runs/…``."""

from __future__ import annotations

from typing import Any

import msgspec

from twinloop.control.tracking.model import DEFAULT_EXPERIMENT, Metric, RunChange
from twinloop.control.tracking.service import Tracking
from twinloop.core.errors import InvalidInput
from twinloop.protocols.http import Call
from twinloop.protocols.mlflow import translate, wire
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.request import read

Json = dict[str, Any]
_PREFIX = "/api/2.0/mlflow"
_INPUTS_LIMIT = 64 * 2**20  # a dataset's profile alone may have 16 MB
_MODEL_FIELDS = ("artifact_path", "flavors", "utc_time_created", "run_id")


class RunHandlers:
    """One method per endpoint: decode, call one verb, encode."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking

    async def create(self, call: Call) -> Json:
        """Start a run."""
        request = await read(call, wire.CreateRun)
        run = await self._tracking.create(
            call.who,
            request.experiment_id or DEFAULT_EXPERIMENT,
            name=request.run_name or None,
            user=request.user_id,
            started_ms=request.start_time,
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
        change = RunChange(translate.status(request.status), request.end_time, request.run_name or None)
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
        about = (request.model_id or None, request.dataset_name or None, request.dataset_digest or None)
        point = Metric(request.key, request.value, request.timestamp, request.step, *about)
        await self._tracking.log(call.who, translate.run_id(request), metrics=[point])
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
        params, tags = translate.params(request.params), translate.tags(request.tags)
        try:
            await self._tracking.log(
                call.who, translate.run_id(request), metrics=request.metrics, params=params, tags=tags
            )
        except InvalidInput:
            translate.check_items(request)
            raise
        return {}

    async def log_inputs(self, call: Call) -> Json:
        """Say which datasets and logged models a run read."""
        request = await read(call, wire.LogInputs)
        await self._tracking.add_inputs(
            call.who,
            translate.run_id(request),
            translate.dataset_inputs(request.datasets),
            [model.model_id for model in request.models],
        )
        return {}

    async def log_outputs(self, call: Call) -> Json:
        """Say which logged models a run made."""
        request = await read(call, wire.LogOutputs)
        made = [(model.model_id, model.step) for model in request.models]
        await self._tracking.add_outputs(call.who, translate.run_id(request), made)
        return {}

    async def log_model(self, call: Call) -> Json:
        """Add a model that lies among a run's files to the run's list of them."""
        request = await read(call, wire.LogModel)
        try:
            model = msgspec.json.decode(request.model_json, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise InvalidInput(
                f"Malformed model info. \n {request.model_json[:500]} \n is not a valid JSON."
            ) from error
        missing = sorted(set(_MODEL_FIELDS) - model.keys())
        if missing:
            raise InvalidInput(f"Model json is missing mandatory fields: {missing}. Send the whole description.")
        await self._tracking.record_model(call.who, translate.run_id(request), model)
        return {}


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
        Endpoint("POST", f"{_PREFIX}/runs/log-inputs", handlers.log_inputs, _INPUTS_LIMIT),
        Endpoint("POST", f"{_PREFIX}/runs/outputs", handlers.log_outputs),
        Endpoint("POST", f"{_PREFIX}/runs/log-model", handlers.log_model),
    ]
