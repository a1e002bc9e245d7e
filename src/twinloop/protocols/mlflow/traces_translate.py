"""Between MLflow's trace infos and ours; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from twinloop.control.search.page import Page
from twinloop.control.tracing import info
from twinloop.control.tracing.correlation import Correlation
from twinloop.control.tracing.infos import PAGE, numbers
from twinloop.control.tracing.measures import LIMIT, Aggregation, Point, Question, View
from twinloop.core.errors import InvalidInput
from twinloop.protocols.mlflow import traces_wire as wire
from twinloop.protocols.mlflow.assessments_translate import assessment_json, assessment_of
from twinloop.protocols.mlflow.proto_times import duration, parse_duration, parse_timestamp, timestamp
from twinloop.protocols.mlflow.translate import shown

Json = dict[str, Any]
METADATA_LIMIT = 250
TAG_LIMIT = 4096
_ID_LIMIT = 100
_STATES: tuple[info.State, ...] = ("STATE_UNSPECIFIED", "OK", "ERROR", "IN_PROGRESS")
_STATUSES_V2 = ("TRACE_STATUS_UNSPECIFIED", "OK", "ERROR", "IN_PROGRESS")
_VIEWS: tuple[View, ...] = ("TRACES", "SPANS", "ASSESSMENTS")
_AGGREGATIONS = ("COUNT", "SUM", "AVG", "PERCENTILE", "MIN", "MAX")


def required(value: Any, name: str) -> Any:
    """Raises InvalidInput in MLflow's words when a value is missing or empty."""
    if value in (None, "", []):
        raise InvalidInput(
            f"Missing value for required parameter '{name}'. See the API docs for more information about request parameters."
        )
    return value


def integer(value: wire.Integer, name: str) -> int:
    """Raises InvalidInput when it is no 64-bit integer."""
    try:
        found = int(value) if not isinstance(value, float) or value.is_integer() else None
    except (ValueError, OverflowError):
        found = None
    if found is None or not -(2**63) <= found < 2**63:
        raise InvalidInput(f"Invalid value {shown(value)} for parameter '{name}' supplied: It must be an integer.")
    return found


def optional(value: wire.Integer | None, name: str) -> int | None:
    return None if value is None else integer(value, name)


def page_size(value: wire.Integer) -> int:
    found = integer(value, "max_results")
    if found > PAGE:
        raise InvalidInput(f"Invalid value {found} for parameter 'max_results' supplied. It must be at most {PAGE}.")
    return found


def choice(value: str | int, names: Sequence[str], name: str, first: int = 0) -> str:
    """An enum, which protobuf's JSON gives by name or by number."""
    found = names[value - first] if isinstance(value, int) and 0 <= value - first < len(names) else value
    if found not in names:
        raise InvalidInput(f"Invalid value {str(value)[:60]!r} for parameter '{name}': use one of {', '.join(names)}.")
    return str(found)


def told(trace: wire.TraceInfo, now_ms: int) -> info.TraceInfo:
    """What a client says of a trace."""
    if len(required(trace.trace_id, "trace.trace_info.trace_id")) > _ID_LIMIT:
        raise InvalidInput(f"'trace_id' exceeds the maximum length of {_ID_LIMIT} characters.")
    place = trace.trace_location.mlflow_experiment
    experiment_id = str(required(place and place.experiment_id, "experiment_id"))
    key = info.key_of(trace.trace_id)
    state = choice(trace.state, _STATES, "state")
    return info.TraceInfo(
        trace_id=key,
        experiment=numbers([experiment_id])[0],
        request_ms=parse_timestamp(trace.request_time, "request_time") if trace.request_time else 0,
        state=state,  # type: ignore[arg-type]
        duration_ms=(trace.execution_duration and parse_duration(trace.execution_duration, "execution_duration"))
        or _zero(trace),
        client_request_id=trace.client_request_id,
        request_preview=trace.request_preview,
        response_preview=trace.response_preview,
        tags=trace.tags,
        metadata=trace.trace_metadata,
        assessments=tuple(assessment_of(item, key, now_ms) for item in trace.assessments),
    )


def _zero(trace: wire.TraceInfo) -> int | None:
    return None if trace.execution_duration is None else 0


def experiments_of(locations: Iterable[wire.Location]) -> list[int]:
    places = (location.mlflow_experiment for location in locations)
    return numbers(str(place.experiment_id) for place in places if place is not None)


def info_json(found: info.TraceInfo) -> Json:
    """TraceInfoV3, without what is unset."""
    answer: Json = {
        "trace_id": info.client_id(found.trace_id),
        "trace_location": {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": str(found.experiment)},
        },
        "request_time": timestamp(found.request_ms),
        "state": found.state,
    }
    for name, value in (
        ("client_request_id", found.client_request_id),
        ("request_preview", found.request_preview),
        ("response_preview", found.response_preview),
        ("execution_duration", None if found.duration_ms is None else duration(found.duration_ms)),
        ("trace_metadata", _cut(found.metadata, METADATA_LIMIT) or None),
        ("tags", _cut(found.tags, TAG_LIMIT) or None),
        ("assessments", [assessment_json(item) for item in found.assessments] or None),
    ):
        if value is not None:
            answer[name] = value
    return answer


def _cut(pairs: Mapping[str, str], limit: int) -> dict[str, str]:
    """Clients are promised no more than this; the whole stays searchable."""
    return {key[:250]: value[:limit] for key, value in pairs.items()}


def page_json(page: Page[info.TraceInfo], encode: Any) -> Json:
    answer: Json = {"traces": [encode(item) for item in page.items]} if page.items else {}
    return {**answer, "next_page_token": page.next} if page.next else answer


def info_v2_json(found: info.TraceInfo) -> Json:
    """TraceInfo of MLflow's second version."""
    pairs = _cut(found.metadata, METADATA_LIMIT), _cut(found.tags, TAG_LIMIT)
    metadata, tags = ([{"key": key, "value": value} for key, value in kept.items()] for kept in pairs)
    status = "TRACE_STATUS_UNSPECIFIED" if found.state == "STATE_UNSPECIFIED" else found.state
    return {
        "request_id": info.client_id(found.trace_id),
        "experiment_id": str(found.experiment),
        "timestamp_ms": found.request_ms,
        "execution_time_ms": found.duration_ms or 0,
        "status": status,
        **({"request_metadata": metadata} if metadata else {}),
        **({"tags": tags} if tags else {}),
    }


def status_v2(value: str | int) -> str:
    """Our status of a trace for one of MLflow's second version."""
    name = choice(value, _STATUSES_V2, "status")
    return info.STATUSES.get(name, "unset")


def question(asked: wire.Metrics) -> Question:
    """Raises InvalidInput for what cannot be asked."""
    required(asked.experiment_ids, "experiment_ids")
    required(asked.view_type, "view_type")
    required(asked.metric_name, "metric_name")
    required(asked.aggregations, "aggregations")
    return Question(
        experiments=tuple(numbers(asked.experiment_ids)),
        view=choice(asked.view_type, _VIEWS, "view_type", first=1),  # type: ignore[arg-type]
        metric=asked.metric_name,
        aggregations=tuple(
            Aggregation(choice(a.aggregation_type, _AGGREGATIONS, "aggregation_type", first=1), a.percentile_value)
            for a in asked.aggregations
        ),
        dimensions=tuple(asked.dimensions),
        filters=tuple(asked.filters),
        interval_s=optional(asked.time_interval_seconds, "time_interval_seconds"),
        from_ms=optional(asked.start_time_ms, "start_time_ms"),
        until_ms=optional(asked.end_time_ms, "end_time_ms"),
        limit=integer(asked.max_results, "max_results") if asked.max_results is not None else LIMIT,
    )


def points_json(metric: str, points: Iterable[Point]) -> Json:
    found = [
        {
            "metric_name": metric,
            **({"dimensions": point.dimensions} if point.dimensions else {}),
            "values": point.values,
        }
        for point in points
    ]
    return {"data_points": found} if found else {}


def correlation_json(found: Correlation) -> Json:
    counts = found.counts
    answer: Json = {
        "filter1_count": counts.first,
        "filter2_count": counts.second,
        "joint_count": counts.both,
        "total_count": counts.total,
    }
    for name, value in (("npmi", found.npmi), ("npmi_smoothed", found.smoothed)):
        if not math.isnan(value):
            answer[name] = value
    return answer
