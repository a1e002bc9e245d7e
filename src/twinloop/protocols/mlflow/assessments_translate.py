"""Between MLflow's assessments and ours; pure."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from twinloop.control.tracing.assessments import AssessmentChange, new_id
from twinloop.control.tracing.info import Assessment, AssessmentKind, client_id
from twinloop.core.errors import InvalidInput
from twinloop.protocols.mlflow import traces_wire as wire
from twinloop.protocols.mlflow.proto_times import parse_timestamp, timestamp

Json = dict[str, Any]
SOURCE_RUN = "mlflow.assessment.sourceRunId"
_SOURCES = ("SOURCE_TYPE_UNSPECIFIED", "HUMAN", "LLM_JUDGE", "CODE")
_FORMAT = "JSON_FORMAT"
_TRACE_LIMIT = 1000
_CUT = "[Stack trace is truncated]\n...\n"


def assessment_of(given: wire.Assessment, key: str, now_ms: int) -> Assessment:
    """A new assessment of the trace ``key``. Raises InvalidInput when it says nothing, or two things."""
    kind = kind_of(given)
    if not given.assessment_name:
        raise InvalidInput("Missing value for required parameter 'assessment.assessment_name'. Give it a name.")
    if len(given.assessment_name) > 250:
        raise InvalidInput("'assessment_name' exceeds the maximum length of 250 characters.")
    return Assessment(
        id=given.assessment_id or new_id(),
        trace_id=key,
        kind=kind,
        name=given.assessment_name,
        value=value_of(given, kind),
        source_type=_source(given.source.source_type),
        source_id=given.source.source_id or None,
        created_ms=_time(given.create_time, "create_time") or now_ms,
        updated_ms=_time(given.last_update_time, "last_update_time") or now_ms,
        error=error_of(given),
        run=given.metadata.get(SOURCE_RUN),
        span_id=given.span_id or None,
        rationale=given.rationale or None,
        overrides=given.overrides or None,
        metadata=given.metadata,
    )


def kind_of(given: wire.Assessment) -> AssessmentKind:
    said: tuple[tuple[AssessmentKind, Any], ...] = (
        ("feedback", given.feedback),
        ("expectation", given.expectation),
        ("issue", given.issue),
    )
    kinds = [kind for kind, value in said if value is not None]
    if len(kinds) != 1:
        raise InvalidInput("Exactly one of `expectation`, `feedback`, or `issue` should be specified in an assessment.")
    return kinds[0]


def value_of(given: wire.Assessment, kind: AssessmentKind) -> Any:
    if kind == "issue":
        return {"issue_name": given.issue.issue_name if given.issue else ""}
    if kind == "feedback":
        return _plain(given.feedback.value if given.feedback else None)
    expectation = given.expectation or wire.Expectation()
    serialized = expectation.serialized_value
    value = _plain(expectation.value) if serialized is None else _parsed(serialized)
    if value is None:
        raise InvalidInput("The `value` field must be specified for an expectation.")
    return value


def _parsed(serialized: wire.Serialized) -> Any:
    if serialized.serialization_format != _FORMAT:
        raise InvalidInput(
            f"Unknown serialization format: {serialized.serialization_format[:60]}. Only {_FORMAT} is supported."
        )
    try:
        return msgspec.json.decode(serialized.value)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(f"The serialized value of the expectation is not JSON: {error}.") from error


def _plain(value: Any) -> Any:
    """Protobuf has one kind of number; a whole one is an integer."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def error_of(given: wire.Assessment) -> Json | None:
    error = (given.feedback.error if given.feedback else None) or given.error
    if error is None:
        return None
    return {
        "error_code": error.error_code,
        "error_message": error.error_message or None,
        "stack_trace": error.stack_trace or None,
    }


def _source(value: str | int) -> str:
    found = _SOURCES[value] if isinstance(value, int) and 0 <= value < len(_SOURCES) else value
    if found not in _SOURCES:
        raise InvalidInput(f"Invalid source type {str(value)[:60]!r}. Use one of {', '.join(_SOURCES)}.")
    return str(found)


def _time(text: str | None, name: str) -> int:
    return parse_timestamp(text, name) if text else 0


def change_of(given: wire.Assessment, mask: str) -> AssessmentChange:
    """What the fields named by ``mask`` change."""
    fields = {name.strip() for name in mask.split(",")}
    changes: Json = {}
    if fields & {"expectation", "feedback"}:
        if {"expectation", "feedback"} <= fields:
            raise InvalidInput("Cannot specify both `expectation` and `feedback` parameters. Update one of them.")
        kind = kind_of(given)
        changes.update(kind=kind, value=value_of(given, kind), error=error_of(given) if kind == "feedback" else None)
    if fields & {"assessmentName", "assessment_name"}:
        changes["name"] = given.assessment_name
    if "rationale" in fields:
        changes["rationale"] = given.rationale or ""
    if "metadata" in fields:
        changes["metadata"] = given.metadata
    return AssessmentChange(**changes)


def assessment_json(said: Assessment) -> Json:
    answer: Json = {
        "assessment_id": said.id,
        "assessment_name": said.name,
        "trace_id": client_id(said.trace_id),
        "source": {"source_type": said.source_type, **({"source_id": said.source_id} if said.source_id else {})},
        "create_time": timestamp(said.created_ms),
        "last_update_time": timestamp(said.updated_ms),
        said.kind: _value_json(said),
        "valid": said.valid,
    }
    for name, value in (("span_id", said.span_id), ("rationale", said.rationale), ("overrides", said.overrides)):
        if value is not None:
            answer[name] = value
    return {**answer, "metadata": said.metadata} if said.metadata else answer


def _value_json(said: Assessment) -> Json:
    if said.kind == "issue":
        return {"issue_name": said.value.get("issue_name", "") if isinstance(said.value, dict) else str(said.value)}
    if said.kind == "expectation" and not isinstance(said.value, int | float | str):
        text = json.dumps(said.value, ensure_ascii=False)
        return {"serialized_value": {"serialization_format": _FORMAT, "value": text}}
    if said.kind == "expectation" or not said.error:
        return {"value": said.value}
    error = {key: value for key, value in said.error.items() if value}
    trace = error.get("stack_trace", "")
    if len(trace) > _TRACE_LIMIT:
        error["stack_trace"] = _CUT + trace[-(_TRACE_LIMIT - len(_CUT)) :]
    return {"value": said.value, "error": error}
