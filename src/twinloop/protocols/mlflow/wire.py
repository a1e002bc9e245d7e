"""Requests of MLflow's REST interface (protobuf messages in JSON): 64-bit integers may be text, unknown fields are ignored."""

from __future__ import annotations

from typing import Literal

import msgspec

Integer = int | str
Number = float | str
ViewType = Literal["ACTIVE_ONLY", "DELETED_ONLY", "ALL"]


class Pair(msgspec.Struct, frozen=True):
    key: str
    value: str = ""


class CreateExperiment(msgspec.Struct, frozen=True):
    name: str
    artifact_location: str | None = None
    tags: list[Pair] = []


class ExperimentId(msgspec.Struct, frozen=True):
    experiment_id: str


class ExperimentName(msgspec.Struct, frozen=True):
    experiment_name: str


class UpdateExperiment(msgspec.Struct, frozen=True):
    experiment_id: str
    new_name: str


class SetExperimentTag(msgspec.Struct, frozen=True):
    experiment_id: str
    key: str
    value: str = ""


class DeleteExperimentTag(msgspec.Struct, frozen=True):
    experiment_id: str
    key: str


class SearchExperiments(msgspec.Struct, frozen=True):
    max_results: Integer = 1000
    page_token: str | None = None
    filter: str | None = None
    order_by: list[str] = []
    view_type: ViewType = "ACTIVE_ONLY"


class CreateRun(msgspec.Struct, frozen=True):
    experiment_id: str
    user_id: str | None = None
    run_name: str | None = None
    start_time: Integer | None = None
    tags: list[Pair] = []


class OfRun(msgspec.Struct, frozen=True):
    """A request about one run; old clients call its id ``run_uuid``, new ones send both."""

    run_id: str | None = None
    run_uuid: str | None = None


class UpdateRun(OfRun, frozen=True):
    status: Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"] | None = None
    end_time: Integer | None = None
    run_name: str | None = None


class MetricPoint(msgspec.Struct, frozen=True):
    key: str
    value: Number
    timestamp: Integer
    step: Integer = 0
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class LogMetric(OfRun, frozen=True, kw_only=True):
    key: str
    value: Number
    timestamp: Integer
    step: Integer = 0
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class RunPair(OfRun, frozen=True, kw_only=True):
    """A param or a tag to set."""

    key: str
    value: str = ""


class RunKey(OfRun, frozen=True, kw_only=True):
    key: str


class LogBatch(OfRun, frozen=True):
    metrics: list[MetricPoint] = []
    params: list[Pair] = []
    tags: list[Pair] = []


class Dataset(msgspec.Struct, frozen=True):
    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None


class DatasetInput(msgspec.Struct, frozen=True):
    dataset: Dataset
    tags: list[Pair] = []


class LogInputs(OfRun, frozen=True):
    datasets: list[DatasetInput] = []
    models: list[msgspec.Raw] = []


class SearchRuns(msgspec.Struct, frozen=True):
    experiment_ids: list[str] = []
    filter: str | None = None
    run_view_type: ViewType = "ACTIVE_ONLY"
    max_results: Integer = 1000
    order_by: list[str] = []
    page_token: str | None = None


class MetricHistory(OfRun, frozen=True, kw_only=True):
    metric_key: str
    max_results: Integer | None = None
    page_token: str | None = None
