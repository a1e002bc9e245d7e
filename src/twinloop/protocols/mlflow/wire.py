"""Requests of MLflow's REST interface (protobuf messages in JSON) on experiments, runs and metrics.

A request is decoded strictly first and leniently when that fails, so these types say what clients usually send.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from twinloop.control.tracking.model import Metric, RunStatus
from twinloop.protocols.mlflow.request import Int64, Required

Integer = int | str
Number = float | str
# Enumerations come by their name or by their number in protobuf, which a query has as text.
ViewType = Literal["ACTIVE_ONLY", "DELETED_ONLY", "ALL", 1, 2, 3, "1", "2", "3"]
Status = RunStatus | Literal[1, 2, 3, 4, 5]


class Pair(msgspec.Struct, frozen=True):
    key: Required
    value: str = ""


class CreateExperiment(msgspec.Struct, frozen=True):
    name: Required
    artifact_location: str | None = None
    tags: list[Pair] = []


class ExperimentId(msgspec.Struct, frozen=True):
    experiment_id: Required


class ExperimentName(msgspec.Struct, frozen=True):
    experiment_name: Required


class UpdateExperiment(msgspec.Struct, frozen=True):
    experiment_id: Required
    new_name: Required


class SetExperimentTag(msgspec.Struct, frozen=True):
    experiment_id: Required
    key: Required
    value: str = ""


class DeleteExperimentTag(msgspec.Struct, frozen=True):
    experiment_id: Required
    key: Required


class SearchExperiments(msgspec.Struct, frozen=True):
    max_results: Int64 = 1000
    page_token: str | None = None
    filter: str | None = None
    order_by: list[str] = []
    view_type: ViewType = "ACTIVE_ONLY"


class SearchDatasets(msgspec.Struct, frozen=True):
    experiment_ids: list[str] = []


class CreateRun(msgspec.Struct, frozen=True):
    experiment_id: str = ""
    user_id: str | None = None
    run_name: str | None = None
    start_time: Int64 | None = None
    tags: list[Pair] = []


class OfRun(msgspec.Struct, frozen=True):
    """A request about one run; old clients call its id ``run_uuid``, new ones send both."""

    run_id: str = ""
    run_uuid: str = ""


class UpdateRun(OfRun, frozen=True):
    status: Status | None = None
    end_time: Int64 | None = None
    run_name: str | None = None


class MetricPoint(Metric, frozen=True, rename={"at_ms": "timestamp"}):
    """One point, as tracking takes it."""

    key: Required
    value: float
    at_ms: Int64
    step: Int64 = 0


class LogMetric(OfRun, frozen=True, kw_only=True):
    key: Required
    value: float
    timestamp: Int64
    step: Int64 = 0
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class RunPair(OfRun, frozen=True, kw_only=True):
    """A param or a tag to set."""

    key: Required
    value: str = ""


class RunKey(OfRun, frozen=True, kw_only=True):
    key: Required


class LogBatch(OfRun, frozen=True):
    metrics: list[MetricPoint] = []
    params: list[Pair] = []
    tags: list[Pair] = []


class Dataset(msgspec.Struct, frozen=True):
    name: str = ""
    digest: str = ""
    source_type: str = ""
    source: str = ""
    schema: str | None = None
    profile: str | None = None


class InputTag(msgspec.Struct, frozen=True):
    key: str | None = None
    value: str | None = None


class DatasetInput(msgspec.Struct, frozen=True):
    dataset: Dataset | None = None
    tags: list[InputTag] = []


class ModelInput(msgspec.Struct, frozen=True):
    model_id: Required


class ModelOutput(msgspec.Struct, frozen=True):
    model_id: Required
    step: Int64 = 0


class LogInputs(OfRun, frozen=True):
    datasets: list[DatasetInput] = []
    models: list[ModelInput] = []


class LogOutputs(OfRun, frozen=True, kw_only=True):
    models: Annotated[list[ModelOutput], msgspec.Meta(min_length=1)]


class LogModel(OfRun, frozen=True, kw_only=True):
    model_json: Required


class SearchRuns(msgspec.Struct, frozen=True):
    experiment_ids: list[str] = []
    filter: str | None = None
    run_view_type: ViewType = "ACTIVE_ONLY"
    max_results: Int64 = 1000
    order_by: list[str] = []
    page_token: str | None = None


class MetricHistory(OfRun, frozen=True, kw_only=True):
    metric_key: Required
    max_results: Int64 | None = None
    page_token: str | None = None


class HistoryBulk(msgspec.Struct, frozen=True):
    run_id: list[str] = []
    metric_key: str | None = None
    max_results: Int64 = 25_000


class HistorySample(msgspec.Struct, frozen=True):
    run_ids: Annotated[list[str], msgspec.Meta(min_length=1)]
    metric_key: Required
    start_step: Int64 | None = None
    end_step: Int64 | None = None
    max_results: Int64 = 2500
