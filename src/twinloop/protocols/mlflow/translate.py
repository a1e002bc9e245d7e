"""Between MLflow's messages and tracking's values. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from twinloop.control.tracking.model import DatasetInput, Experiment, Metric, Page, Query, Run, View
from twinloop.control.tracking.names import PARAM_LIMIT, TAG_LIMIT
from twinloop.core.errors import InvalidInput
from twinloop.protocols.mlflow import wire

_VIEWS: dict[str, View] = {"ACTIVE_ONLY": "active", "DELETED_ONLY": "deleted", "ALL": "all"}
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_BATCH = (("metrics", 1000), ("params", 100), ("tags", 100))
_BATCH_ALL = 1000


def integer(value: wire.Integer, name: str) -> int:
    """A 64-bit integer given as a number or as decimal text, as protobuf's JSON allows."""
    if isinstance(value, int):
        return value
    if len(value) <= 20 and value.isascii() and value.removeprefix("-").isdigit():
        return int(value)
    raise InvalidInput(f"Invalid value {value[:40]!r} for parameter '{name}' supplied: It must be an integer.")


def number(value: wire.Number, name: str) -> float:
    """A double given as a number, as decimal text, or as NaN, Infinity or -Infinity."""
    if isinstance(value, float):
        return value
    special = _SPECIAL.get(value)
    if special is not None:
        return special
    try:
        return float(value)
    except ValueError:
        raise InvalidInput(
            f"Invalid value {value[:40]!r} for parameter '{name}' supplied: Please specify value as a valid double."
        ) from None


def run_id(request: wire.OfRun) -> str:
    found = request.run_id or request.run_uuid
    if not found:
        raise InvalidInput("Missing value for required parameter 'run_id'. Send the id that runs/create answered.")
    return found


def metric(point: wire.MetricPoint | wire.LogMetric) -> Metric:
    return Metric(
        key=point.key,
        value=number(point.value, "value"),
        at_ms=integer(point.timestamp, "timestamp"),
        step=integer(point.step, "step"),
        model_id=point.model_id or None,
        dataset_name=point.dataset_name or None,
        dataset_digest=point.dataset_digest or None,
    )


def params(pairs: Sequence[wire.Pair]) -> dict[str, str]:
    """Params by key, long values cut as MLflow does. Raises InvalidInput when a key comes twice."""
    found = {pair.key: pair.value[:PARAM_LIMIT] for pair in pairs}
    if len(found) < len(pairs):
        raise InvalidInput(
            "Duplicate parameter keys have been submitted. Please ensure the request contains only one param value per param key."
        )
    return found


def tags(pairs: Sequence[wire.Pair]) -> dict[str, str]:
    """Tags by key, the last of equal keys, long values cut as MLflow does."""
    return {pair.key: pair.value[:TAG_LIMIT] for pair in pairs}


def check_batch(batch: wire.LogBatch) -> None:
    """Raises InvalidInput when a batch is over MLflow's limits."""
    counts = {"metrics": len(batch.metrics), "params": len(batch.params), "tags": len(batch.tags)}
    limits = (*_BATCH, ("metrics, params, and tags", _BATCH_ALL))
    counts["metrics, params, and tags"] = sum(counts.values())
    for name, limit in limits:
        if counts[name] > limit:
            raise InvalidInput(
                f"A batch logging request can contain at most {limit} {name}. Got {counts[name]} {name}. "
                f"Please split up {name} across multiple requests and try again."
            )


def dataset_input(given: wire.DatasetInput) -> DatasetInput:
    data = given.dataset
    for name, value, limit in (("name", data.name, 500), ("digest", data.digest, 36)):
        if not value or len(value) > limit:
            raise InvalidInput(f"Dataset {name} must have 1 to {limit} characters.")
    own = {pair.key: pair.value for pair in given.tags}
    return DatasetInput(data.name, data.digest, data.source_type, data.source, data.schema, data.profile, own)


def runs_query(request: wire.SearchRuns) -> Query:
    return _query(request, _VIEWS[request.run_view_type])


def experiments_query(request: wire.SearchExperiments) -> Query:
    return _query(request, _VIEWS[request.view_type])


def _query(request: wire.SearchRuns | wire.SearchExperiments, view: View) -> Query:
    return Query(
        filter=request.filter or "",
        order=tuple(request.order_by),
        view=view,
        limit=integer(request.max_results, "max_results"),
        token=request.page_token or None,
    )


def experiment_json(experiment: Experiment) -> dict[str, Any]:
    found: dict[str, Any] = {
        "experiment_id": experiment.id,
        "name": experiment.name,
        "artifact_location": experiment.artifact_location,
        "lifecycle_stage": experiment.lifecycle,
        "last_update_time": experiment.updated_ms,
        "creation_time": experiment.created_ms,
    }
    if experiment.tags:
        found["tags"] = _pairs(experiment.tags)
    return found


def run_json(run: Run) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if run.metrics:
        data["metrics"] = [metric_json(item) for item in run.metrics]
    if run.params:
        data["params"] = _pairs(run.params)
    if run.tags:
        data["tags"] = _pairs(run.tags)
    inputs = {"dataset_inputs": [_input_json(item) for item in run.inputs]} if run.inputs else {}
    return {"info": run_info_json(run), "data": data, "inputs": inputs, "outputs": {}}


def run_info_json(run: Run) -> dict[str, Any]:
    info: dict[str, Any] = {
        "run_uuid": run.id,
        "run_id": run.id,
        "experiment_id": run.experiment_id,
        "run_name": run.name,
        "user_id": run.user,
        "status": run.status,
        "start_time": run.started_ms,
        "artifact_uri": run.artifact_uri,
        "lifecycle_stage": run.lifecycle,
    }
    if run.ended_ms is not None:
        info["end_time"] = run.ended_ms
    return info


def metric_json(point: Metric) -> dict[str, Any]:
    value: float | str = point.value if math.isfinite(point.value) else "NaN"
    found: dict[str, Any] = {"key": point.key, "value": value, "timestamp": point.at_ms, "step": point.step}
    for name in ("model_id", "dataset_name", "dataset_digest"):
        told = getattr(point, name)
        if told is not None:
            found[name] = told
    return found


def page_json(name: str, page: Page[Any], items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {name: items}
    if page.next is not None:
        found["next_page_token"] = page.next
    return found


def _input_json(item: DatasetInput) -> dict[str, Any]:
    dataset = {"name": item.name, "digest": item.digest, "source_type": item.source_type, "source": item.source}
    if item.schema is not None:
        dataset["schema"] = item.schema
    if item.profile is not None:
        dataset["profile"] = item.profile
    return {"tags": _pairs(item.tags), "dataset": dataset}


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]
