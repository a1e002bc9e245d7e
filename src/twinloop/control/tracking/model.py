"""What tracking keeps. Times are milliseconds since the Unix epoch, the unit its clients send and filter by."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Lifecycle = Literal["active", "deleted"]
RunStatus = Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]
View = Literal["active", "deleted", "all"]

DEFAULT_EXPERIMENT = "0"
"""The experiment of runs that name none; every tenant has it."""

RUN_NAME_TAG = "mlflow.runName"
"""The tag that mirrors a run's name, for clients that read names from tags."""

PARENT_TAG = "mlflow.parentRunId"
"""The tag that names the run a nested run belongs to."""

MODELS_TAG = "mlflow.log-model.history"
"""The tag in which old clients list the models they logged as files of a run."""

CONTEXT_TAG = "mlflow.data.context"
"""The tag of a dataset input that says what the run used it for."""


class Experiment(msgspec.Struct, frozen=True):
    """A named set of runs. ``id`` is a decimal number, as clients expect."""

    id: str
    name: str
    lifecycle: Lifecycle
    artifact_location: str
    created_ms: int
    updated_ms: int
    tags: dict[str, str] = {}


class Metric(msgspec.Struct, frozen=True):
    """One point of a series. ``value`` may be NaN; infinities are kept as the largest finite number of their sign.

    ``model_id`` and the dataset's name and digest say what was measured on what, where the client tells.
    """

    key: str
    value: float
    at_ms: int
    step: int = 0
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class DatasetInput(msgspec.Struct, frozen=True):
    """A dataset a run read, as its client describes it; ``tags`` may hold its context (train, eval)."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None
    tags: dict[str, str] = {}


class Run(msgspec.Struct, frozen=True):
    """One tracked execution. ``metrics`` holds each series' last point: highest step, then time, then value.

    ``models_read`` and ``models_made`` are ids of logged models, those made with the step they were made at.
    """

    id: str
    experiment_id: str
    name: str
    user: str
    status: RunStatus
    started_ms: int
    ended_ms: int | None
    lifecycle: Lifecycle
    artifact_uri: str
    metrics: tuple[Metric, ...] = ()
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    inputs: tuple[DatasetInput, ...] = ()
    models_read: tuple[str, ...] = ()
    models_made: tuple[tuple[str, int], ...] = ()

    @property
    def node(self) -> str:
        """The run's key in the lineage graph."""
        return run_node(self.id)


class DatasetSummary(msgspec.Struct, frozen=True):
    """A dataset that runs of an experiment read; ``context`` is what for, where a run said so."""

    experiment_id: str
    name: str
    digest: str
    context: str | None


ModelStatus = Literal["PENDING", "READY", "FAILED"]


class LoggedModel(msgspec.Struct, frozen=True):
    """A model that a run logged, before anybody registers it. ``metrics`` are all points said to measure it.

    ``run_id`` is what its client names as its source, known here or not.
    """

    id: str
    experiment_id: str
    name: str
    type: str | None
    run_id: str | None
    status: ModelStatus
    status_message: str | None
    artifact_uri: str
    lifecycle: Lifecycle
    created_ms: int
    updated_ms: int
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    metrics: tuple[ModelMetric, ...] = ()

    @property
    def node(self) -> str:
        """The model's key in the lineage graph."""
        return model_node(self.id)


class ModelMetric(msgspec.Struct, frozen=True):
    """One point that measures a logged model, and the run that logged it."""

    key: str
    value: float
    at_ms: int
    step: int
    run_id: str
    dataset_name: str | None = None
    dataset_digest: str | None = None


class RunChange(msgspec.Struct, frozen=True):
    """What to change of a run; None leaves it, except that a run that is RUNNING again has not ended."""

    status: RunStatus | None = None
    ended_ms: int | None = None
    name: str | None = None


class Query(msgspec.Struct, frozen=True):
    """A search: ``filter`` and ``order`` in the grammar of ``control.search``, and where to go on from."""

    filter: str = ""
    order: tuple[str, ...] = ()
    view: View = "active"
    limit: int = 1000
    token: str | None = None


def run_node(run_id: str) -> str:
    return f"run:{run_id}"


def model_node(model_id: str) -> str:
    return f"logged_model:{model_id[:80]}"


def describe(run: Run) -> dict[str, Any]:
    """What the lineage graph shows of a run."""
    return {"experiment": run.experiment_id, "user": run.user}
