"""Experiments, runs, logged models and registered models as MLflow's REST interface writes them.

Each function raises KeyError, TypeError or ValueError when something is not written that way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twinloop.sdk.transfer.found import (
    FoundExperiment,
    FoundInput,
    FoundLoggedModel,
    FoundModel,
    FoundModelMetric,
    FoundRun,
    FoundVersion,
    Points,
)

Json = Mapping[str, Any]
_INT64 = 2**63


def read_experiment(item: Json) -> FoundExperiment:
    return FoundExperiment(
        id=str(item["experiment_id"]),
        name=item["name"],
        lifecycle=item.get("lifecycle_stage", "active"),
        location=item.get("artifact_location") or "",
        created_ms=_int(item.get("creation_time")) or 0,
        updated_ms=_int(item.get("last_update_time")) or _int(item.get("creation_time")) or 0,
        tags=_pairs(item.get("tags")),
    )


def read_run(item: Json) -> FoundRun:
    info, data = item["info"], item.get("data", {})
    tags = _pairs(data.get("tags"))
    return FoundRun(
        id=str(info.get("run_id") or info["run_uuid"]),
        experiment_id=str(info["experiment_id"]),
        name=info.get("run_name") or tags.get("mlflow.runName", ""),
        user=info.get("user_id") or tags.get("mlflow.user", ""),
        status=info.get("status", "RUNNING"),
        started_ms=_int(info.get("start_time")) or 0,
        ended_ms=_int(info.get("end_time")) or None,
        lifecycle=info.get("lifecycle_stage", "active"),
        deleted_ms=None,
        location=info.get("artifact_uri") or "",
        params=_pairs(data.get("params")),
        tags=tags,
        last=tuple(
            (m["key"], _number(m.get("value")), _int(m.get("timestamp")) or 0, _int(m.get("step")) or 0)
            for m in sorted(data.get("metrics", []), key=lambda m: str(m["key"]))
        ),
        inputs=tuple(_input(found) for found in item.get("inputs", {}).get("dataset_inputs", [])),
        outputs=tuple(
            (found["model_id"], _int(found.get("step")) or 0)
            for found in item.get("outputs", {}).get("model_outputs", [])
        ),
        read_models=tuple(found["model_id"] for found in item.get("inputs", {}).get("model_inputs", [])),
    )


def _input(item: Json) -> FoundInput:
    dataset = item["dataset"]
    return FoundInput(
        name=dataset["name"],
        digest=dataset["digest"],
        source_type=dataset.get("source_type", ""),
        source=dataset.get("source", ""),
        schema=dataset.get("schema"),
        profile=dataset.get("profile"),
        tags=_pairs(item.get("tags")),
    )


def read_logged_model(item: Json) -> FoundLoggedModel:
    info, data = item["info"], item.get("data", {})
    return FoundLoggedModel(
        id=info["model_id"],
        experiment_id=str(info["experiment_id"]),
        name=info.get("name", ""),
        location=info.get("artifact_uri", ""),
        created_ms=_int(info.get("creation_timestamp_ms")) or 0,
        updated_ms=_int(info.get("last_updated_timestamp_ms")) or 0,
        status=str(info.get("status", "LOGGED_MODEL_READY")).removeprefix("LOGGED_MODEL_"),
        model_type=info.get("model_type") or None,
        run_id=info.get("source_run_id") or None,
        status_message=info.get("status_message") or None,
        params=_pairs(data.get("params")),
        tags=_pairs(info.get("tags")),
        metrics=tuple(
            FoundModelMetric(
                key=m["key"],
                value=_number(m.get("value")),
                at_ms=_int(m.get("timestamp")) or 0,
                step=_int(m.get("step")) or 0,
                run_id=m.get("run_id"),
                dataset_name=m.get("dataset_name") or None,
                dataset_digest=m.get("dataset_digest") or None,
            )
            for m in data.get("metrics", [])
        ),
    )


def read_model(item: Json) -> FoundModel:
    return FoundModel(
        name=item["name"],
        description=item.get("description") or None,
        created_ms=_int(item.get("creation_timestamp")) or 0,
        updated_ms=_int(item.get("last_updated_timestamp")) or 0,
        tags=_pairs(item.get("tags")),
        aliases={found["alias"]: int(found["version"]) for found in item.get("aliases", [])},
    )


def read_version(item: Json) -> FoundVersion:
    return FoundVersion(
        name=item["name"],
        number=int(item["version"]),
        created_ms=_int(item.get("creation_timestamp")) or 0,
        updated_ms=_int(item.get("last_updated_timestamp")) or 0,
        description=item.get("description") or None,
        user=item.get("user_id") or None,
        stage=item.get("current_stage") or "None",
        source=item.get("source") or "",
        run_id=item.get("run_id") or None,
        status=item.get("status", "READY"),
        status_message=item.get("status_message") or None,
        run_link=item.get("run_link") or None,
        tags=_pairs(item.get("tags")),
    )


def read_points(key: str, found: Sequence[Json]) -> Points:
    ordered = sorted(found, key=read_place)
    if any(not -_INT64 <= number < _INT64 for point in ordered for number in read_place(point)[:2]):
        raise ValueError("a time or step is no number of 64 bits")
    return Points(
        key=key,
        at_ms=[_int(p.get("timestamp")) or 0 for p in ordered],
        step=[_int(p.get("step")) or 0 for p in ordered],
        value=[_number(p.get("value")) for p in ordered],
    )


def read_place(point: Json) -> tuple[int, int, float, bool]:
    value = _number(point.get("value"))
    return _int(point.get("timestamp")) or 0, _int(point.get("step")) or 0, value or 0.0, value is None


def _pairs(items: Sequence[Json] | None) -> dict[str, str]:
    return {str(item["key"]): str(item.get("value", "")) for item in items or []}


def _int(value: Any) -> int | None:
    return None if value is None else int(value)


def _number(value: Any) -> float | None:
    """A metric's value; None is NaN. Protocol buffers write NaN and infinities as text, and leave a zero out."""
    number = 0.0 if value is None else float(value)
    return None if number != number else number
