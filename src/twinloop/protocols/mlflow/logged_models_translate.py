"""Between MLflow's messages on logged models and tracking's values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twinloop.control.tracking.model import LoggedModel, ModelMetric, ModelStatus
from twinloop.control.tracking.model_search import ModelOrder, ModelQuery, OnDataset
from twinloop.protocols.mlflow import logged_models_wire as wire
from twinloop.protocols.mlflow.translate import value_json

_PAGE = 100
_WRITTEN: dict[ModelStatus, str] = {
    "PENDING": "LOGGED_MODEL_PENDING",
    "READY": "LOGGED_MODEL_READY",
    "FAILED": "LOGGED_MODEL_UPLOAD_FAILED",
}
_STATUSES: dict[str | int, ModelStatus] = {
    **{written: status for status, written in _WRITTEN.items()},
    **{status: status for status in _WRITTEN},
    **dict(enumerate(_WRITTEN, 1)),
}


def status(given: wire.Status) -> ModelStatus:
    return _STATUSES[given]


def query(request: wire.Search) -> ModelQuery:
    return ModelQuery(
        filter=request.filter or "",
        datasets=tuple(_on(item) for item in request.datasets),
        order=tuple(ModelOrder(item.field_name, item.ascending, _on(item)) for item in request.order_by),
        limit=request.max_results or _PAGE,
        token=request.page_token or None,
    )


def _on(given: wire.Dataset) -> OnDataset:
    return OnDataset(given.dataset_name or None, given.dataset_digest or None)


def model_json(model: LoggedModel) -> dict[str, Any]:
    info: dict[str, Any] = {
        "model_id": model.id,
        "experiment_id": model.experiment_id,
        "name": model.name,
        "creation_timestamp_ms": model.created_ms,
        "last_updated_timestamp_ms": model.updated_ms,
        "artifact_uri": model.artifact_uri,
        "status": _WRITTEN[model.status],
        "model_type": model.type or "",
        "source_run_id": model.run_id or "",
    }
    if model.status_message is not None:
        info["status_message"] = model.status_message
    if model.tags:
        info["tags"] = _pairs(model.tags)
    data: dict[str, Any] = {}
    if model.params:
        data["params"] = _pairs(model.params)
    if model.metrics:
        data["metrics"] = [_metric_json(point, model.id) for point in model.metrics]
    return {"info": info, "data": data}


def _metric_json(point: ModelMetric, model_id: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "key": point.key,
        "value": value_json(point.value),
        "timestamp": point.at_ms,
        "step": point.step,
        "model_id": model_id,
        "run_id": point.run_id,
    }
    for name in ("dataset_name", "dataset_digest"):
        told = getattr(point, name)
        if told is not None:
            found[name] = told
    return found


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]
