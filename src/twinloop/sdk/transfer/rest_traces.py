"""Traces with their assessments as MLflow's REST interface writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from twinloop.sdk.transfer.found import FoundAssessment, FoundTrace
from twinloop.sdk.transfer.spans import LOCATION_TAG, from_otlp

Json = Mapping[str, Any]

_SECONDS = re.compile(r"(-?\d+)(?:\.(\d{1,9}))?s\Z")


def read_trace(experiment_id: str, info: Json, spans: Sequence[Json] | None) -> FoundTrace:
    """Raises ValueError, KeyError or TypeError when it is not written as MLflow writes traces."""
    tags = {str(key): str(value) for key, value in (info.get("tags") or {}).items()}
    return FoundTrace(
        id=str(info["trace_id"]),
        experiment_id=experiment_id,
        started_ms=_time_ms(info["request_time"]),
        duration_ms=None if info.get("execution_duration") is None else _duration_ms(info["execution_duration"]),
        state=str(info.get("state", "STATE_UNSPECIFIED")),
        client_request_id=info.get("client_request_id"),
        request_preview=info.get("request_preview"),
        response_preview=info.get("response_preview"),
        location=tags.get(LOCATION_TAG, ""),
        metadata={str(key): str(value) for key, value in (info.get("trace_metadata") or {}).items()},
        tags=tags,
        assessments=tuple(_assessment(item) for item in info.get("assessments") or ()),
        spans=None if spans is None else tuple(from_otlp(span) for span in spans),
    )


def _assessment(item: Json) -> FoundAssessment:
    kind, value, error = _said(item)
    source = item.get("source") or {}
    metadata = {str(key): str(given) for key, given in (item.get("metadata") or {}).items()}
    return FoundAssessment(
        id=str(item["assessment_id"]),
        name=str(item.get("assessment_name", "")),
        kind=kind,
        value=value,
        error=error,
        rationale=item.get("rationale"),
        source_type=str(source.get("source_type", "")),
        source_id=source.get("source_id"),
        span_id=item.get("span_id") or None,
        run_id=metadata.get("mlflow.assessment.sourceRunId"),
        overrides=item.get("overrides") or None,
        valid=bool(item.get("valid", True)),
        metadata=metadata,
        created_ms=_time_ms(item["create_time"]),
        updated_ms=_time_ms(item["last_update_time"]),
    )


def _said(item: Json) -> tuple[str, Any, dict[str, Any] | None]:
    if "feedback" in item:
        feedback = item["feedback"]
        return "feedback", feedback.get("value"), feedback.get("error")
    if "expectation" in item:
        expectation = item["expectation"]
        if "serialized_value" in expectation:
            return "expectation", msgspec.json.decode(expectation["serialized_value"]["value"]), None
        return "expectation", expectation.get("value"), None
    return "issue", item["issue"], None


def _time_ms(text: str) -> int:
    """Milliseconds of a protocol buffers timestamp, ``2026-11-21T15:43:40.216Z``."""
    moment = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1000 + moment.microsecond // 1000


def _duration_ms(text: str) -> int:
    found = _SECONDS.match(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is not a duration")
    seconds, rest = found.groups()
    return int(seconds) * 1000 + int((rest or "").ljust(9, "0")[:9]) // 1_000_000
