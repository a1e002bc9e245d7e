"""Runs, their series and logged models out of MLflow's tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from twinloop.sdk.transfer.found import FoundInput, FoundLoggedModel, FoundModelMetric, FoundRun, Points
from twinloop.sdk.transfer.sqlite_rows import Row, Rows, grouped, pairs

_POINTS = 25_000
"""About how many points are in memory at a time; one series is read to its end."""
_STATUS = {0: "UNSPECIFIED", 1: "PENDING", 2: "READY", 3: "UPLOAD_FAILED"}
_POINT = "timestamp, step, value, is_nan"


def read_runs(rows: Rows, ids: Sequence[str]) -> tuple[Callable[[Row], FoundRun], list[Row]]:
    """Rows of these runs in their order, and what makes a run of each."""
    columns = (
        "run_uuid", "experiment_id", "name", "user_id", "status", "start_time", "end_time", "lifecycle_stage",
        "deleted_time", "artifact_uri",
    )  # fmt: skip
    found = {row["run_uuid"]: row for row in rows.within("runs", columns, "run_uuid", ids)}
    params = grouped(rows.within("params", ("run_uuid", "key", "value"), "run_uuid", ids), "run_uuid")
    tags = grouped(rows.within("tags", ("run_uuid", "key", "value"), "run_uuid", ids), "run_uuid")
    last = grouped(
        rows.within(
            "latest_metrics", ("run_uuid", "key", "value", "timestamp", "step", "is_nan"), "run_uuid", ids,
            'ORDER BY run_uuid, "key"',
        ),
        "run_uuid",
    )  # fmt: skip
    inputs = _inputs(rows, ids)
    outputs, read = _models_of(rows, ids, "RUN_OUTPUT"), _models_of(rows, ids, "RUN_INPUT")

    def build(row: Row) -> FoundRun:
        id = row["run_uuid"]
        own = pairs(tags.get(id, ()))
        return FoundRun(
            id=id,
            experiment_id=str(row["experiment_id"]),
            name=row["name"] or own.get("mlflow.runName", ""),
            user=row["user_id"] or own.get("mlflow.user", ""),
            status=row["status"] or "RUNNING",
            started_ms=row["start_time"] or 0,
            ended_ms=row["end_time"] or None,
            lifecycle=row["lifecycle_stage"] or "active",
            deleted_ms=row["deleted_time"],
            location=row["artifact_uri"] or "",
            params=pairs(params.get(id, ())),
            tags=own,
            last=tuple(
                (m["key"], None if m["is_nan"] else m["value"], m["timestamp"] or 0, m["step"])
                for m in last.get(id, ())
            ),
            inputs=tuple(inputs.get(id, ())),
            outputs=tuple((m["destination_id"], m["step"] or 0) for m in outputs.get(id, ())),
            read_models=tuple(m["destination_id"] for m in read.get(id, ())),
        )

    return build, [found[id] for id in ids if id in found]


def read_points(rows: Rows, ids: Sequence[str]) -> Iterator[tuple[str, Points]]:
    """All series of these runs. Small ones are read together, so that thousands of runs need few statements."""
    sizes: dict[str, int] = {}
    for start in range(0, len(ids), _POINTS // 50):
        part = ids[start : start + _POINTS // 50]
        marks = ", ".join("?" * len(part))
        counted = rows.run(f"SELECT run_uuid, count(*) FROM metrics WHERE run_uuid IN ({marks}) GROUP BY 1", part)
        sizes.update({row[0]: row[1] for row in counted})
    together: list[str] = []
    held = 0
    for id in ids:
        size = sizes.get(id, 0)
        if not size:
            continue
        if held + size > _POINTS and together:
            yield from _several(rows, together)
            together, held = [], 0
        together.append(id)
        held += size
    if together:
        yield from _several(rows, together)


def _several(rows: Rows, ids: Sequence[str]) -> Iterator[tuple[str, Points]]:
    marks = ", ".join("?" * len(ids))
    parts = rows.stream(
        f'SELECT run_uuid, "key", {_POINT} FROM metrics WHERE run_uuid IN ({marks}) ORDER BY run_uuid, "key", {_POINT}',
        ids,
        _POINTS,
    )
    found: list[tuple[str, Points]] = []
    for part in parts:
        for run, key, at_ms, step, value, is_nan in part:
            if not found or found[-1][0] != run or found[-1][1].key != key or len(found[-1][1].at_ms) >= _POINTS:
                found.append((run, Points(key, [], [], [])))
            points = found[-1][1]
            points.at_ms.append(at_ms)
            points.step.append(step or 0)
            points.value.append(None if is_nan else float(value))
    yield from found


def read_logged_models(rows: Rows, ids: Sequence[str]) -> tuple[Callable[[Row], FoundLoggedModel], list[Row]]:
    columns = (
        "model_id", "experiment_id", "name", "artifact_location", "creation_timestamp_ms", "last_updated_timestamp_ms",
        "status", "model_type", "source_run_id", "status_message",
    )  # fmt: skip
    found = {row["model_id"]: row for row in rows.within("logged_models", columns, "model_id", ids)}
    params = grouped(
        rows.within("logged_model_params", ("model_id", "param_key", "param_value"), "model_id", ids), "model_id"
    )
    tags = grouped(rows.within("logged_model_tags", ("model_id", "tag_key", "tag_value"), "model_id", ids), "model_id")
    metric_columns = (
        "model_id", "metric_name", "metric_value", "metric_timestamp_ms", "metric_step", "run_id", "dataset_name",
        "dataset_digest",
    )  # fmt: skip
    metrics = grouped(rows.within("logged_model_metrics", metric_columns, "model_id", ids), "model_id")

    def build(row: Row) -> FoundLoggedModel:
        id = row["model_id"]
        return FoundLoggedModel(
            id=id,
            experiment_id=str(row["experiment_id"]),
            name=row["name"] or "",
            location=row["artifact_location"] or "",
            created_ms=row["creation_timestamp_ms"] or 0,
            updated_ms=row["last_updated_timestamp_ms"] or 0,
            status=_STATUS[row["status"]],
            model_type=row["model_type"] or None,
            run_id=row["source_run_id"] or None,
            status_message=row["status_message"] or None,
            params=pairs(params.get(id, ()), "param_key", "param_value"),
            tags=pairs(tags.get(id, ()), "tag_key", "tag_value"),
            metrics=tuple(_model_metric(m) for m in metrics.get(id, ())),
        )

    return build, [found[id] for id in ids if id in found]


def _model_metric(row: Mapping[str, Any]) -> FoundModelMetric:
    return FoundModelMetric(
        key=row["metric_name"],
        value=row["metric_value"],
        at_ms=row["metric_timestamp_ms"],
        step=row["metric_step"],
        run_id=row["run_id"],
        dataset_name=row["dataset_name"] or None,
        dataset_digest=row["dataset_digest"] or None,
    )


def _inputs(rows: Rows, ids: Sequence[str]) -> dict[str, list[FoundInput]]:
    edges = [
        row
        for row in rows.within(
            "inputs", ("input_uuid", "source_type", "source_id", "destination_type", "destination_id"),
            "destination_id", ids,
        )
        if row["source_type"] == "DATASET" and row["destination_type"] == "RUN"
    ]  # fmt: skip
    columns = (
        "dataset_uuid", "name", "digest", "dataset_source_type", "dataset_source", "dataset_schema", "dataset_profile",
    )  # fmt: skip
    wanted = sorted({edge["source_id"] for edge in edges})
    datasets = {row["dataset_uuid"]: row for row in rows.within("datasets", columns, "dataset_uuid", wanted)}
    tags = grouped(
        rows.within(
            "input_tags", ("input_uuid", "name", "value"), "input_uuid", [edge["input_uuid"] for edge in edges]
        ),
        "input_uuid",
    )
    found: dict[str, list[FoundInput]] = {}
    for edge in edges:
        row = datasets.get(edge["source_id"])
        if row is not None:
            found.setdefault(edge["destination_id"], []).append(
                FoundInput(
                    name=row["name"],
                    digest=row["digest"],
                    source_type=row["dataset_source_type"],
                    source=row["dataset_source"],
                    schema=row["dataset_schema"],
                    profile=row["dataset_profile"],
                    tags=pairs(tags.get(edge["input_uuid"], ()), "name"),
                )
            )
    return found


def _models_of(rows: Rows, ids: Sequence[str], role: str) -> dict[str, list[Row]]:
    found = rows.within("inputs", ("source_type", "source_id", "destination_id", "step"), "source_id", ids)
    return grouped((row for row in found if row["source_type"] == role), "source_id")
