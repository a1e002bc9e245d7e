"""What MLflow calls things, as the rows that Twinloop keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twinloop.control.tracking.model import CONTEXT_TAG, RUN_NAME_TAG
from twinloop.control.transfer.model import Row
from twinloop.sdk.transfer.found import FoundExperiment, FoundLoggedModel, FoundRun, Points

DEFAULT = "0"
_FAILED = {"UPLOAD_FAILED": "FAILED", "UNSPECIFIED": "PENDING"}


def experiment_rows(found: FoundExperiment, number: int) -> dict[str, list[Row]]:
    row = {
        "number": number,
        "name": found.name,
        "lifecycle": found.lifecycle,
        "artifact_location": f"mlflow-artifacts:/{number}",
        "created_ms": found.created_ms,
        "updated_ms": found.updated_ms,
    }
    return {"experiments": [row], "experiment_tags": experiment_tags(found, number)}


def experiment_tags(found: FoundExperiment, number: int) -> list[Row]:
    return [{"experiment": number, "key": key, "value": value} for key, value in found.tags.items()]


def run_place(number: int, run_id: str) -> str:
    """The folder of a run's artifacts here."""
    return f"{number}/{run_id}/artifacts"


def model_place(number: int, model_id: str) -> str:
    """The folder of a logged model's artifacts here."""
    return f"{number}/models/{model_id}/artifacts"


def run_rows(run: FoundRun, experiment: FoundExperiment, number: int) -> dict[str, list[Row]]:
    """All of a run but its points."""
    deleted = run.lifecycle == "deleted"
    row = {
        "id": run.id,
        "experiment": number,
        "name": run.name,
        "user": run.user,
        "status": run.status,
        "started_ms": run.started_ms,
        "ended_ms": run.ended_ms,
        "lifecycle": run.lifecycle,
        "deleted_ms": _deleted_ms(run, experiment) if deleted else None,
        "artifact_uri": f"mlflow-artifacts:/{run_place(number, run.id)}",
        "resumed_ms": None,
    }
    tags = {RUN_NAME_TAG: run.name} | run.tags if run.name else run.tags
    return {
        "runs": [row],
        "params": [{"run": run.id, "key": key, "value": value} for key, value in run.params.items()],
        "tags": [{"run": run.id, "key": key, "value": value} for key, value in tags.items()],
        "inputs": [
            {
                "run": run.id,
                "name": item.name,
                "digest": item.digest,
                "context": item.tags.get(CONTEXT_TAG),
                "source_type": item.source_type,
                "source": item.source,
                "schema": item.schema,
                "profile": item.profile,
                "tags": item.tags,
            }
            for item in run.inputs
        ],
        "run_models": [
            *({"run": run.id, "role": "output", "model": model, "step": step} for model, step in run.outputs),
            *({"run": run.id, "role": "input", "model": model, "step": 0} for model in run.read_models),
        ],
    }


def _deleted_ms(run: FoundRun, experiment: FoundExperiment) -> int:
    """When a run was deleted; one that went with its experiment has the time of that, and comes back with it."""
    if experiment.lifecycle == "deleted" and (run.deleted_ms is None or run.deleted_ms >= experiment.updated_ms):
        return experiment.updated_ms
    return run.deleted_ms if run.deleted_ms is not None else run.ended_ms or run.started_ms


def point_rows(run_id: str, points: Points) -> list[Row]:
    return [
        {
            "run": run_id,
            "key": points.key,
            "at_ms": at_ms,
            "step": step,
            "value": 0.0 if value is None else value,
            "is_nan": value is None,
            "model_id": None,
            "dataset_name": None,
            "dataset_digest": None,
        }
        for at_ms, step, value in zip(points.at_ms, points.step, points.value, strict=True)
    ]


def logged_model_rows(model: FoundLoggedModel, number: int) -> dict[str, list[Row]]:
    row = {
        "id": model.id,
        "experiment": number,
        "name": model.name,
        "type": model.model_type,
        "run": model.run_id,
        "status": _FAILED.get(model.status, model.status),
        "status_message": model.status_message,
        "artifact_uri": f"mlflow-artifacts:/{model_place(number, model.id)}",
        "lifecycle": "active",
        "created_ms": model.created_ms,
        "updated_ms": model.updated_ms,
    }
    metrics = [
        {
            "model": model.id,
            "key": point.key,
            "at_ms": point.at_ms,
            "step": point.step,
            "run": point.run_id or "",
            "value": 0.0 if point.value is None else point.value,
            "is_nan": point.value is None,
            "dataset_name": point.dataset_name,
            "dataset_digest": point.dataset_digest,
        }
        for point in model.metrics
    ]
    return {
        "logged_models": [row],
        "logged_model_params": _pairs("model", model.id, model.params),
        "logged_model_tags": _pairs("model", model.id, model.tags),
        "logged_model_metrics": metrics,
    }


def _pairs(owner: str, id: str, pairs: Mapping[str, str]) -> list[Row]:
    return [{owner: id, "key": key, "value": value} for key, value in pairs.items()]


class Places:
    """Where files that the source keeps lie here, by where they lie there."""

    def __init__(self) -> None:
        self._roots: dict[str, str] = {}
        self._models: dict[str, str] = {}

    def learn(self, location: str, place: str) -> None:
        self._roots[location.rstrip("/")] = place

    def learn_model(self, id: str, place: str) -> None:
        self._models[id] = f"mlflow-artifacts:/{place}"

    def model(self, id: str) -> str | None:
        """Where the files of a logged model are here."""
        return self._models.get(id)

    def here(self, location: str) -> str | None:
        """The address here of a place at or below one that is known; None for any other."""
        parts = location.rstrip("/").split("/")
        for end in range(len(parts), 0, -1):
            root = "/".join(parts[:end])
            if root in self._roots:
                return "/".join([f"mlflow-artifacts:/{self._roots[root]}", *parts[end:]])
        return None


def strings(values: Sequence[Any]) -> str:
    """Values that name something, as one text."""
    return "/".join(map(str, values))
