"""Handlers of ``datasets/…``: evaluation datasets."""

from __future__ import annotations

from typing import Any

from twinloop.control.evaluation.datasets.service import EvaluationDatasets
from twinloop.protocols.http import Call
from twinloop.protocols.mlflow import evaluation_datasets_translate as translate
from twinloop.protocols.mlflow import evaluation_datasets_wire as wire
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.request import read
from twinloop.protocols.mlflow.translate import integer, page_json

Json = dict[str, Any]
_PATH = "/api/3.0/mlflow/datasets"
_ONE = f"{_PATH}/{{dataset_id}}"
_UPLOAD = 256 << 20


class DatasetHandlers:
    """One method per endpoint: decode, call one verb, encode."""

    def __init__(self, datasets: EvaluationDatasets) -> None:
        self._datasets = datasets

    async def create(self, call: Call) -> Json:
        """Make an evaluation dataset."""
        request = await read(call, wire.Create)
        tags = {key: str(value) for key, value in translate.tags(request.tags).items()}
        made = await self._datasets.create(call.who, request.name, tags, request.experiment_ids)
        return {"dataset": translate.dataset_json(made, request.experiment_ids)}

    async def get(self, call: Call) -> Json:
        """One evaluation dataset, without its records."""
        return {"dataset": translate.dataset_json(await self._datasets.get(call.who, _id(call)))}

    async def delete(self, call: Call) -> Json:
        """Delete an evaluation dataset with its records."""
        await self._datasets.delete(call.who, _id(call))
        return {}

    async def search(self, call: Call) -> Json:
        """Evaluation datasets, narrowed by experiments and a filter."""
        request = await read(call, wire.Search)
        page = await self._datasets.search(call.who, translate.query(request), request.experiment_ids)
        return page_json("datasets", page, [translate.dataset_json(dataset) for dataset in page.items])

    async def set_tags(self, call: Call) -> Json:
        """Set tags of an evaluation dataset."""
        request = await read(call, wire.Tags)
        await self._datasets.set_tags(call.who, _id(call), translate.tags(request.tags))
        return {}

    async def delete_tag(self, call: Call) -> Json:
        """Remove one tag of an evaluation dataset."""
        await self._datasets.delete_tag(call.who, _id(call), call.path["key"])
        return {}

    async def upsert(self, call: Call) -> Json:
        """Add records; those with the same inputs are merged."""
        request = await read(call, wire.Upsert)
        done = await self._datasets.merge(call.who, _id(call), translate.drafts(request.records))
        return {"inserted_count": done.inserted, "updated_count": done.updated}

    async def records(self, call: Call) -> Json:
        """Records in the order they came."""
        request = await read(call, wire.Records)
        limit = integer(request.max_results, "max_results") or 1000
        found, following = await self._datasets.records(
            call.who, _id(call), limit, translate.position(request.page_token)
        )
        more = {} if following is None else {"next_page_token": translate.token(following)}
        return {"records": translate.records_json(found), **more}

    async def delete_records(self, call: Call) -> Json:
        """Delete records by their ids."""
        request = await read(call, wire.DeleteRecords)
        return {"deleted_count": await self._datasets.delete_records(call.who, _id(call), request.dataset_record_ids)}

    async def experiment_ids(self, call: Call) -> Json:
        """The experiments that use an evaluation dataset."""
        found = await self._datasets.experiment_ids(call.who, call.path.get("dataset_id", ""))
        return {"experiment_ids": found}

    async def link(self, call: Call) -> Json:
        """Let more experiments use an evaluation dataset."""
        request = await read(call, wire.Experiments)
        dataset, found = await self._datasets.link(call.who, _id(call), request.experiment_ids)
        return {"dataset": translate.dataset_json(dataset, found)}

    async def unlink(self, call: Call) -> Json:
        """Take an evaluation dataset away from experiments."""
        request = await read(call, wire.Experiments)
        dataset, found = await self._datasets.unlink(call.who, _id(call), request.experiment_ids)
        return {"dataset": translate.dataset_json(dataset, found)}


def _id(call: Call) -> str:
    return str(call.path["dataset_id"])


def endpoints(datasets: EvaluationDatasets) -> list[Endpoint]:
    """What MLflow offers on evaluation datasets."""
    handlers = DatasetHandlers(datasets)
    return [
        Endpoint("POST", f"{_PATH}/create", handlers.create),
        Endpoint("POST", f"{_PATH}/search", handlers.search),
        Endpoint("GET", f"{_PATH}/search", handlers.search),
        Endpoint("POST", f"{_ONE}/records", handlers.upsert, limit=_UPLOAD),
        Endpoint("GET", f"{_ONE}/records", handlers.records),
        Endpoint("DELETE", f"{_ONE}/records", handlers.delete_records),
        Endpoint("GET", f"{_ONE}/experiment-ids", handlers.experiment_ids),
        # A client that has no id asks for the experiments of nothing, and expects none.
        Endpoint("GET", f"{_PATH}//experiment-ids", handlers.experiment_ids),
        Endpoint("POST", f"{_ONE}/add-experiments", handlers.link),
        Endpoint("POST", f"{_ONE}/remove-experiments", handlers.unlink),
        Endpoint("PATCH", f"{_ONE}/tags", handlers.set_tags),
        Endpoint("DELETE", f"{_ONE}/tags/{{key:path}}", handlers.delete_tag),
        Endpoint("GET", _ONE, handlers.get),
        Endpoint("DELETE", _ONE, handlers.delete),
    ]
