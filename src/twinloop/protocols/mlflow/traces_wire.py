"""Requests on traces, as MLflow's clients send them. Integers of 64 bits come as numbers or as text."""

from __future__ import annotations

from typing import Any

import msgspec

Integer = int | float | str


class Experiment(msgspec.Struct, frozen=True):
    experiment_id: str | int = ""


class Location(msgspec.Struct, frozen=True):
    mlflow_experiment: Experiment | None = None


class Source(msgspec.Struct, frozen=True):
    source_type: str | int = "SOURCE_TYPE_UNSPECIFIED"
    source_id: str = ""


class AssessmentError(msgspec.Struct, frozen=True):
    error_code: str = ""
    error_message: str = ""
    stack_trace: str = ""


class Feedback(msgspec.Struct, frozen=True):
    value: Any = None
    error: AssessmentError | None = None


class Serialized(msgspec.Struct, frozen=True):
    serialization_format: str = ""
    value: str = ""


class Expectation(msgspec.Struct, frozen=True):
    value: Any = None
    serialized_value: Serialized | None = None


class Issue(msgspec.Struct, frozen=True):
    issue_name: str = ""


class Assessment(msgspec.Struct, frozen=True):
    """Exactly one of ``feedback``, ``expectation`` and ``issue`` is given when it is created."""

    assessment_id: str = ""
    assessment_name: str = ""
    trace_id: str = ""
    span_id: str = ""
    source: Source = Source()
    create_time: str | None = None
    last_update_time: str | None = None
    feedback: Feedback | None = None
    expectation: Expectation | None = None
    issue: Issue | None = None
    rationale: str | None = None
    error: AssessmentError | None = None
    metadata: dict[str, str] = {}
    overrides: str = ""


class TraceInfo(msgspec.Struct, frozen=True):
    """Times in RFC 3339, durations as seconds with an ``s``."""

    trace_id: str = ""
    client_request_id: str | None = None
    trace_location: Location = Location()
    request_preview: str | None = None
    response_preview: str | None = None
    request_time: str | None = None
    execution_duration: str | None = None
    state: str | int = "STATE_UNSPECIFIED"
    trace_metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    assessments: list[Assessment] = []


class Trace(msgspec.Struct, frozen=True):
    trace_info: TraceInfo = TraceInfo()


class StartTrace(msgspec.Struct, frozen=True):
    trace: Trace | None = None


class GetTrace(msgspec.Struct, frozen=True):
    trace_id: str = ""
    allow_partial: bool | str = False


class TraceIds(msgspec.Struct, frozen=True):
    trace_ids: list[str] = []
    experiment_ids: list[str] | None = None


class SearchTraces(msgspec.Struct, frozen=True):
    locations: list[Location] = []
    filter: str = ""
    max_results: Integer = 100
    order_by: list[str] = []
    page_token: str = ""


class DeleteTraces(msgspec.Struct, frozen=True):
    experiment_id: str | int = ""
    max_timestamp_millis: Integer | None = None
    max_traces: Integer | None = None
    request_ids: list[str] = []


class Pair(msgspec.Struct, frozen=True):
    key: str = ""
    value: str = ""


class LinkToRun(msgspec.Struct, frozen=True):
    trace_ids: list[str] = []
    run_id: str = ""


class PromptVersion(msgspec.Struct, frozen=True):
    name: str = ""
    version: str | int = ""


class LinkPrompts(msgspec.Struct, frozen=True):
    trace_id: str = ""
    prompt_versions: list[PromptVersion] = []


class Correlate(msgspec.Struct, frozen=True):
    experiment_ids: list[str] = []
    filter_string1: str = ""
    filter_string2: str = ""
    base_filter: str = ""


class Aggregation(msgspec.Struct, frozen=True):
    aggregation_type: str | int = ""
    percentile_value: float | None = None


class Metrics(msgspec.Struct, frozen=True):
    experiment_ids: list[str] = []
    view_type: str | int = ""
    metric_name: str = ""
    aggregations: list[Aggregation] = []
    dimensions: list[str] = []
    filters: list[str] = []
    time_interval_seconds: Integer | None = None
    start_time_ms: Integer | None = None
    end_time_ms: Integer | None = None
    max_results: Integer | None = None


class OfAssessment(msgspec.Struct, frozen=True):
    """``update_mask`` names the fields that change, in camel case, joined by commas."""

    assessment: Assessment | None = None
    update_mask: str = ""


class StartTraceV2(msgspec.Struct, frozen=True):
    experiment_id: str | int = ""
    timestamp_ms: Integer = 0
    request_metadata: list[Pair] = []
    tags: list[Pair] = []


class EndTraceV2(msgspec.Struct, frozen=True):
    timestamp_ms: Integer = 0
    status: str | int = "TRACE_STATUS_UNSPECIFIED"
    request_metadata: list[Pair] = []
    tags: list[Pair] = []


class SearchTracesV2(msgspec.Struct, frozen=True):
    experiment_ids: list[str] = []
    filter: str = ""
    max_results: Integer = 100
    order_by: list[str] = []
    page_token: str = ""


class Artifact(msgspec.Struct, frozen=True):
    request_id: str = ""
    path: str = ""
