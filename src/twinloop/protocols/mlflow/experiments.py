"""Handlers of ``experiments/…``."""

from __future__ import annotations

from typing import Any

from twinloop.control.tracking.service import Tracking
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.protocols.http import Call
from twinloop.protocols.mlflow import translate, wire
from twinloop.protocols.mlflow.archiving import check_archiving
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.request import read

Json = dict[str, Any]
_PREFIX = "/api/2.0/mlflow"
_DATASETS_OF = 20


class ExperimentHandlers:
    """One method per endpoint: decode, call one verb, encode."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking
        self._experiments = tracking.experiments

    async def create(self, call: Call) -> Json:
        """Make an experiment."""
        request = await read(call, wire.CreateExperiment)
        given = {pair.key: pair.value for pair in request.tags}
        check_archiving(given)
        location = translate.artifact_location(request.artifact_location)
        made = await self._experiments.create(call.who, request.name, given, location)
        return {"experiment_id": made.id}

    async def get(self, call: Call) -> Json:
        """One experiment by its id."""
        request = await read(call, wire.ExperimentId)
        return {"experiment": translate.experiment_json(await self._experiments.get(call.who, request.experiment_id))}

    async def get_by_name(self, call: Call) -> Json:
        """One experiment by its name."""
        request = await read(call, wire.ExperimentName)
        found = await self._experiments.find(call.who, request.experiment_name)
        if found is None:
            raise NotFound(f"Could not find experiment with name '{request.experiment_name[:200]}'")
        return {"experiment": translate.experiment_json(found)}

    async def search(self, call: Call) -> Json:
        """Experiments, narrowed by a filter."""
        request = await read(call, wire.SearchExperiments)
        page = await self._experiments.search(call.who, translate.experiments_query(request))
        return translate.page_json("experiments", page, [translate.experiment_json(item) for item in page.items])

    async def update(self, call: Call) -> Json:
        """Rename an experiment."""
        request = await read(call, wire.UpdateExperiment)
        await self._experiments.rename(call.who, request.experiment_id, request.new_name)
        return {}

    async def delete(self, call: Call) -> Json:
        """Delete an experiment; it can be restored."""
        request = await read(call, wire.ExperimentId)
        await self._experiments.delete(call.who, request.experiment_id)
        return {}

    async def restore(self, call: Call) -> Json:
        """Bring a deleted experiment back."""
        request = await read(call, wire.ExperimentId)
        await self._experiments.restore(call.who, request.experiment_id)
        return {}

    async def set_tag(self, call: Call) -> Json:
        """Set one tag of an experiment."""
        request = await read(call, wire.SetExperimentTag)
        check_archiving({request.key: request.value})
        await self._experiments.set_tags(call.who, request.experiment_id, {request.key: request.value})
        return {}

    async def delete_tag(self, call: Call) -> Json:
        """Remove one tag of an experiment."""
        request = await read(call, wire.DeleteExperimentTag)
        await self._experiments.delete_tag(call.who, request.experiment_id, request.key)
        return {}

    async def search_datasets(self, call: Call) -> Json:
        """The datasets that runs of experiments read."""
        request = await read(call, wire.SearchDatasets)
        if not request.experiment_ids:
            raise InvalidInput("SearchDatasets request must specify at least one experiment_id.")
        if len(request.experiment_ids) > _DATASETS_OF:
            raise InvalidInput(
                f"SearchDatasets request cannot specify more than {_DATASETS_OF} experiment_ids. "
                f"Received {len(request.experiment_ids)} experiment_ids."
            )
        found = await self._tracking.datasets(call.who, request.experiment_ids)
        return {"dataset_summaries": [translate.summary_json(item) for item in found]} if found else {}


def endpoints(tracking: Tracking) -> list[Endpoint]:
    """What MLflow offers on experiments, the busiest first: paths are tried in order."""
    handlers = ExperimentHandlers(tracking)
    return [
        Endpoint("POST", f"{_PREFIX}/experiments/create", handlers.create),
        Endpoint("GET", f"{_PREFIX}/experiments/get", handlers.get),
        Endpoint("GET", f"{_PREFIX}/experiments/get-by-name", handlers.get_by_name),
        Endpoint("POST", f"{_PREFIX}/experiments/search", handlers.search),
        Endpoint("GET", f"{_PREFIX}/experiments/search", handlers.search),
        Endpoint("POST", f"{_PREFIX}/experiments/update", handlers.update),
        Endpoint("POST", f"{_PREFIX}/experiments/delete", handlers.delete),
        Endpoint("POST", f"{_PREFIX}/experiments/restore", handlers.restore),
        Endpoint("POST", f"{_PREFIX}/experiments/set-experiment-tag", handlers.set_tag),
        Endpoint("POST", f"{_PREFIX}/experiments/delete-experiment-tag", handlers.delete_tag),
        Endpoint("POST", f"{_PREFIX}/experiments/search-datasets", handlers.search_datasets),
    ]
