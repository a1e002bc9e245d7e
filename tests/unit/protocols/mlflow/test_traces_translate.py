"""Traces, spans and assessments in the forms MLflow's clients read and write."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import ParseDict
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from tests.tracing import BEGAN_MS, key, span, told
from twinloop.control.tracing.info import Assessment, client_id
from twinloop.control.tracing.model import SpanEvent
from twinloop.core.errors import InvalidInput
from twinloop.protocols.mlflow import traces_translate as translate
from twinloop.protocols.mlflow import traces_wire as wire
from twinloop.protocols.mlflow.assessments_translate import assessment_json, assessment_of, change_of
from twinloop.protocols.mlflow.proto_times import duration, parse_duration, parse_timestamp, timestamp
from twinloop.protocols.mlflow.spans_translate import span_file, span_proto

LATEST_MS = 253_402_300_799_999


@given(st.integers(0, LATEST_MS))
def test_times_are_those_protobuf_reads(at_ms: int) -> None:
    read = Timestamp()
    read.FromJsonString(timestamp(at_ms))
    assert read.ToMilliseconds() == at_ms
    assert parse_timestamp(read.ToJsonString(), "t") == at_ms


@given(st.integers(-(10**12), 10**12))
def test_durations_are_those_protobuf_reads(ms: int) -> None:
    read = Duration()
    read.FromJsonString(duration(ms))
    assert read.ToTimedelta() == timedelta(milliseconds=ms)
    assert parse_duration(read.ToJsonString(), "d") == ms


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00.123456789+01:00", "2026-01-31t11:00:00.123z"])
def test_times_may_have_a_zone_and_nanoseconds(text: str) -> None:
    assert parse_timestamp(text, "t") == 1_769_857_200_123


@pytest.mark.parametrize(
    "text", ["", "now", "2026-02-30T12:00:00Z", "2026-01-31", "2026-01-31T12:00:00", "1", "x" * 99]
)
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="'t'"):
        parse_timestamp(text, "t")


@pytest.mark.parametrize("text", ["", "1", "1.s", "s", "1e3s", "--1s", "1.0000000001s"])
def test_a_duration_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="'d'"):
        parse_duration(text, "d")


def full_span() -> Any:
    made = span(1, 2, "call", parent=1, status="error", text="t", n=-(2**63), big=2**70, share=0.5, yes=True)
    made.attributes.update(
        {
            "nothing": None, "list": [1, "a", None, []], "map": {"k": {}}, "json": '{"a": 1}', "not json": "{",
            "otel.links": [{"trace_id": "0f" * 16, "span_id": "0e" * 8, "attributes": {"why": "x"}}, {"broken": 1}],
            "otel.scope": {"name": "lib"},
        }
    )  # fmt: skip
    event = SpanEvent("exception", made.start_ns + 1, {"exception.type": "ValueError"})
    return msgspec.structs.replace(made, message="boom", events=(event,))


def test_a_span_is_what_protobuf_reads() -> None:
    read = ParseDict(span_proto(full_span()), OtlpSpan())
    assert (read.trace_id.hex(), read.span_id.hex(), read.parent_span_id.hex()) == (
        key(1),
        "0" * 15 + "2",
        "0" * 15 + "1",
    )
    assert (read.status.code, read.status.message) == (2, "boom")
    assert read.end_time_unix_nano - read.start_time_unix_nano == 10_000_000
    values = {item.key: item.value for item in read.attributes}
    assert values["n"].int_value == -(2**63)
    assert values["big"].double_value == 2.0**70
    assert values["json"].kvlist_value.values[0].value.int_value == 1
    assert values["not json"].string_value == "{"
    assert values["nothing"].WhichOneof("value") is None
    assert values["mlflow.traceRequestId"].string_value == client_id(key(1))
    assert not any(name.startswith("otel.") for name in values)
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in read.links] == [("0f" * 16, "0e" * 8)]
    assert read.events[0].attributes[0].value.string_value == "ValueError"


def test_a_span_under_way_has_no_end() -> None:
    found = span_proto(span(1, ms=None, status="unset"))
    assert "end_time_unix_nano" not in found
    assert "parent_span_id" not in found
    assert found["status"] == {}


def test_a_span_in_a_file_has_its_attributes_as_json() -> None:
    found = json.loads(msgspec.json.encode(span_file(full_span())))
    assert base64.b64decode(found["trace_id"]).hex() == key(1)
    assert json.loads(found["attributes"]["text"]) == "t"
    assert found["attributes"]["json"] == '{"a": 1}'
    assert found["status"] == {"code": "STATUS_CODE_ERROR", "message": "boom"}
    assert found["links"] == [{"trace_id": "tr-" + "0f" * 16, "span_id": "0e" * 8, "attributes": {"why": "x"}}]


def test_what_a_client_says_of_a_trace_comes_back() -> None:
    body = {
        "trace_id": client_id(key(1)),
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "3"}},
        "request_time": "2023-11-14T22:13:20.250Z",
        "execution_duration": "1.500s",
        "state": "ERROR",
        "client_request_id": "c",
        "request_preview": "q",
        "response_preview": "a",
        "trace_metadata": {"m": "1"},
        "tags": {"t": "2"},
    }
    said = translate.told(msgspec.convert(body, wire.TraceInfo, strict=False), 7)
    assert (said.trace_id, said.experiment, said.request_ms, said.duration_ms) == (key(1), 3, BEGAN_MS + 250, 1500)
    assert translate.info_json(said) == body


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"trace_id": ""}, "trace_id"),
        ({"trace_id": "x" * 101}, "maximum length of 100"),
        ({"trace_location": {}}, "experiment_id"),
        ({"trace_location": {"mlflow_experiment": {"experiment_id": "abc"}}}, "Invalid experiment ID"),
        ({"state": "DONE"}, "state"),
        ({"state": 9}, "state"),
        ({"request_time": "now"}, "request_time"),
        ({"execution_duration": "long"}, "execution_duration"),
    ],
)
def test_what_cannot_be_a_trace_is_refused(change: dict[str, Any], said: str) -> None:
    body = {"trace_id": "tr-1", "trace_location": {"mlflow_experiment": {"experiment_id": "0"}}, **change}
    with pytest.raises(InvalidInput, match=said):
        translate.told(msgspec.convert(body, wire.TraceInfo, strict=False), 7)


def test_long_metadata_and_tags_are_shown_cut() -> None:
    found = translate.info_json(told(1, metadata={"m": "x" * 300}, tags={"t": "x" * 5000}))
    assert (len(found["trace_metadata"]["m"]), len(found["tags"]["t"])) == (250, 4096)


def made(**more: Any) -> Assessment:
    values = {"kind": "feedback", "name": "f", "value": 1, "source_type": "HUMAN", "source_id": "ann"}
    return Assessment(id="a-1", trace_id=key(1), created_ms=BEGAN_MS, updated_ms=BEGAN_MS, **{**values, **more})


@pytest.mark.parametrize(
    "said",
    [
        made(),
        made(value=None, error={"error_code": "E", "error_message": "m", "stack_trace": None}),
        made(value={"k": [1, None, "a"]}, rationale="why", span_id="0" * 16, metadata={"k": "v"}, overrides="a-0"),
        made(kind="expectation", value="text"),
        made(kind="expectation", value={"k": [1, None]}),
        made(kind="expectation", value=True),
        made(kind="issue", value={"issue_name": "slow"}),
    ],
)
def test_an_assessment_comes_back_as_it_was_sent(said: Assessment) -> None:
    sent = json.loads(json.dumps(assessment_json(said)))
    assert assessment_of(msgspec.convert(sent, wire.Assessment), key(1), 9) == said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"assessment_name": "f"}, "Exactly one of"),
        ({"assessment_name": "f", "feedback": {"value": 1}, "expectation": {"value": 1}}, "Exactly one of"),
        ({"feedback": {"value": 1}}, "assessment_name"),
        ({"assessment_name": "f" * 251, "feedback": {"value": 1}}, "maximum length of 250"),
        ({"assessment_name": "f", "expectation": {}}, "must be specified for an expectation"),
        ({"assessment_name": "f", "feedback": {}, "source": {"source_type": "CAT"}}, "source type"),
        (
            {"assessment_name": "f", "expectation": {"serialized_value": {"serialization_format": "XML", "value": ""}}},
            "Unknown serialization format",
        ),
        (
            {"assessment_name": "f", "expectation": {"serialized_value": {"serialization_format": "JSON_FORMAT"}}},
            "not JSON",
        ),
    ],
)
def test_what_cannot_be_an_assessment_is_refused(body: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        assessment_of(msgspec.convert(body, wire.Assessment), key(1), 9)


def test_a_mask_says_what_changes() -> None:
    given_body = {"assessment_name": "g", "feedback": {"value": 2.0}, "rationale": "r", "metadata": {"k": "v"}}
    body = msgspec.convert(given_body, wire.Assessment)
    assert change_of(body, "rationale").value is None
    found = change_of(body, "assessmentName,feedback, metadata")
    assert (found.name, found.kind, found.value, found.rationale, found.metadata) == (
        "g",
        "feedback",
        2,
        None,
        {"k": "v"},
    )
    with pytest.raises(InvalidInput, match="both"):
        change_of(body, "feedback,expectation")


def test_a_long_stack_trace_is_shown_from_its_end() -> None:
    error = {"error_code": "E", "error_message": "", "stack_trace": "x" * 2000 + "end"}
    shown = assessment_json(made(value=None, error=error))["feedback"]["error"]
    assert len(shown["stack_trace"]) == 1000
    assert shown["stack_trace"].endswith("xend")


def test_a_search_may_name_experiments_that_cannot_be_and_none_that_are_no_numbers() -> None:
    def places(*ids: str) -> list[wire.Location]:
        return [wire.Location(mlflow_experiment=wire.Experiment(id)) for id in ids]

    assert translate.experiments_of(places("0", "-1", "12")) == [0, -1, 12]
    for wrong in ("", "-", "x1", "²"):
        with pytest.raises(InvalidInput, match="Experiment ID must be a valid integer"):
            translate.experiments_of(places("0", wrong))
