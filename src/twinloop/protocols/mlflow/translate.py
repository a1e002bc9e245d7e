"""Between MLflow's messages and tracking's values. Pure."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import msgspec

from twinloop.control.search.page import Page
from twinloop.control.tracking.model import (
    DatasetInput,
    DatasetSummary,
    Experiment,
    Metric,
    Query,
    Run,
    RunStatus,
    View,
)
from twinloop.control.tracking.names import PARAM_LIMIT, TAG_LIMIT, check_key
from twinloop.control.tracking.service import check_point
from twinloop.core.errors import InvalidInput
from twinloop.protocols.mlflow import wire

_VIEWS: dict[str | int, View] = {
    **dict.fromkeys(("ACTIVE_ONLY", 1, "1"), "active"),
    **dict.fromkeys(("DELETED_ONLY", 2, "2"), "deleted"),
    **dict.fromkeys(("ALL", 3, "3"), "all"),
}
_STATUSES: dict[int, RunStatus] = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_LOCATION = 2048
_DATASET = (
    ("name", 500),
    ("digest", 36),
    ("source_type", 500),
    ("source", 65_535),
    ("schema", 1_048_575),
    ("profile", 16_777_215),
)
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_BATCH = (("metrics", 1000), ("params", 100), ("tags", 100))
_BATCH_ALL = 1000


def shown(value: float | str) -> str:
    """What a client sent, in a message: as in JSON, but not all of a long text."""
    return json.dumps(value[:40] if isinstance(value, str) else value)


def integer(value: wire.Integer, name: str) -> int:
    """A 64-bit integer given as a number or as decimal text, as protobuf's JSON allows."""
    if isinstance(value, int):
        return value
    if len(value) <= 20 and value.isascii() and value.removeprefix("-").isdigit():
        return int(value)
    raise InvalidInput(f"Invalid value {shown(value)} for parameter '{name}' supplied: It must be an integer.")


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
            f"Invalid value {shown(value)} for parameter '{name}' supplied: Please specify value as a valid double."
        ) from None


def run_id(request: wire.OfRun) -> str:
    found = request.run_id or request.run_uuid
    if not found:
        raise InvalidInput(
            "Missing value for required parameter 'run_id'. See the API docs: it is the id that runs/create answered."
        )
    return found


def artifact_location(written: str | None) -> str | None:
    """Where an experiment's artifacts go; a local path is completed from the folder the server was started in.

    Raises:
        InvalidInput: it is too long, or has a fragment, parameters or a path upwards.
    """
    if not written:
        return None
    parts = urlparse(written)
    if parts.fragment or parts.params:
        raise InvalidInput("'artifact_location' URL can't include fragments or params.")
    if ".." in parts.query:
        raise InvalidInput(f"Invalid query string: {parts.query[:200]!r} may not lead upwards.")
    if written.startswith("runs:"):
        raise InvalidInput(f"Artifact location cannot be a runs:/ URI. Given: {written[:200]!r}")
    if len(written) > _LOCATION:
        raise InvalidInput(f"Invalid artifact path length. It cannot be greater than {_LOCATION} characters.")
    if parts.scheme in ("", "file") and not parts.netloc and not parts.path.startswith("/"):
        return parts._replace(path=(Path.cwd() / parts.path).as_posix()).geturl()
    return written


def params(pairs: Sequence[wire.Pair]) -> dict[str, str]:
    """Params by key, long values cut as MLflow does. Raises InvalidInput when a key comes twice."""
    found = {pair.key: pair.value[:PARAM_LIMIT] for pair in pairs}
    if len(found) < len(pairs):
        twice = [key for key, count in Counter(pair.key for pair in pairs).items() if count > 1]
        raise InvalidInput(
            f"Duplicate parameter keys have been submitted: {twice[:20]}. Please ensure the request contains only one "
            "param value per param key."
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


def check_items(batch: wire.LogBatch) -> None:
    """Raises InvalidInput for the first item of a batch that cannot be kept, and says which one it is."""
    checks: tuple[tuple[str, Iterable[Callable[[], object]]], ...] = (
        ("metrics", (partial(check_point, point) for point in batch.metrics)),
        ("params", (partial(check_key, pair.key, "param key") for pair in batch.params)),
        ("tags", (partial(check_key, pair.key, "tag key") for pair in batch.tags)),
    )
    for name, items in checks:
        for index, check in enumerate(items):
            try:
                check()
            except InvalidInput as error:
                message = error.message.replace("for parameter '", f"for parameter '{name}[{index}].", 1)
                raise InvalidInput(message) from error


def dataset_inputs(given: Sequence[wire.DatasetInput]) -> list[DatasetInput]:
    """Datasets that a run read, the first of those with equal name and digest."""
    found: dict[tuple[str, str], DatasetInput] = {}
    for item in map(_dataset_input, given):
        found.setdefault((item.name, item.digest), item)
    return list(found.values())


def _dataset_input(given: wire.DatasetInput) -> DatasetInput:
    own: dict[str, str] = {}
    for tag in given.tags:
        if not tag.key:
            raise InvalidInput("InputTag key cannot be None. Name every tag of a dataset.")
        if tag.value is None:
            raise InvalidInput("InputTag value cannot be None. Give every tag of a dataset a value.")
        _check_lengths((("key", tag.key, 255), ("value", tag.value, 500)))
        own[tag.key] = tag.value
    data = given.dataset
    if data is None:
        raise InvalidInput("Dataset input must have a dataset associated with it.")
    for name in ("name", "digest", "source_type", "source"):
        if not getattr(data, name):
            raise InvalidInput(f"Dataset {name} cannot be None. Describe the dataset with it.")
    _check_lengths((name, getattr(data, name) or "", limit) for name, limit in _DATASET)
    return DatasetInput(data.name, data.digest, data.source_type, data.source, data.schema, data.profile, own)


def _check_lengths(given: Iterable[tuple[str, str, int]]) -> None:
    for name, value, limit in given:
        if len(value) > limit:
            raise InvalidInput(f"'{name}' exceeds the maximum length of {limit} characters. Shorten it.")


def runs_query(request: wire.SearchRuns) -> Query:
    return _query(request, _VIEWS[request.run_view_type])


def experiments_query(request: wire.SearchExperiments) -> Query:
    return _query(request, _VIEWS[request.view_type])


def _query(request: wire.SearchRuns | wire.SearchExperiments, view: View) -> Query:
    return Query(
        filter=request.filter or "",
        order=tuple(request.order_by),
        view=view,
        limit=request.max_results,
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


def status(given: wire.Status | None) -> RunStatus | None:
    return _STATUSES[given] if isinstance(given, int) else given


def run_json(run: Run) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if run.metrics:
        data["metrics"] = [metric_json(item) for item in run.metrics]
    if run.params:
        data["params"] = _pairs(run.params)
    if run.tags:
        data["tags"] = _pairs(run.tags)
    inputs: dict[str, Any] = {"dataset_inputs": [_input_json(item) for item in run.inputs]} if run.inputs else {}
    if run.models_read:
        inputs["model_inputs"] = [{"model_id": model} for model in run.models_read]
    made = [{"model_id": model, "step": step} for model, step in run.models_made]
    outputs = {"model_outputs": made} if made else {}
    return {"info": run_info_json(run), "data": data, "inputs": inputs, "outputs": outputs}


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


def value_json(value: float) -> float | str:
    return value if math.isfinite(value) else "NaN"


def metric_json(point: Metric) -> dict[str, Any]:
    found: dict[str, Any] = {
        "key": point.key,
        "value": value_json(point.value),
        "timestamp": point.at_ms,
        "step": point.step,
    }
    for name in ("model_id", "dataset_name", "dataset_digest"):
        told = getattr(point, name)
        if told is not None:
            found[name] = told
    return found


class PointJson(msgspec.Struct, frozen=True, omit_defaults=True):
    """A point in an answer that may have very many of them."""

    key: str
    value: float | str
    timestamp: int
    step: int
    run_id: str | None = None
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


def points_json(points: Iterable[Metric], run_id: str | None = None) -> list[PointJson]:
    return [
        PointJson(p.key, value_json(p.value), p.at_ms, p.step, run_id, p.model_id, p.dataset_name, p.dataset_digest)
        for p in points
    ]


def page_json(name: str, page: Page[Any], items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {name: items}
    if page.next is not None:
        found["next_page_token"] = page.next
    return found


def summary_json(summary: DatasetSummary) -> dict[str, Any]:
    found = {"experiment_id": summary.experiment_id, "name": summary.name, "digest": summary.digest}
    return found if summary.context is None else {**found, "context": summary.context}


def _input_json(item: DatasetInput) -> dict[str, Any]:
    dataset = {"name": item.name, "digest": item.digest, "source_type": item.source_type, "source": item.source}
    if item.schema is not None:
        dataset["schema"] = item.schema
    if item.profile is not None:
        dataset["profile"] = item.profile
    return {"tags": _pairs(item.tags), "dataset": dataset}


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]
