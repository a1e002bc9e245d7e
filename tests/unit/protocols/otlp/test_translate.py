"""OTLP requests in both encodings, read without a server."""

from __future__ import annotations

import base64
import gzip
import json
import math
import zlib
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc import status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from twinloop.control.tracing.model import Span, SpanEvent
from twinloop.core.errors import InvalidInput, PayloadTooLarge
from twinloop.protocols.http import decode_json
from twinloop.protocols.otlp import wire
from twinloop.protocols.otlp.decode import from_json, from_protobuf
from twinloop.protocols.otlp.errors import status_message
from twinloop.protocols.otlp.routes import inflate
from twinloop.protocols.otlp.translate import Export, export

EXAMPLES = Path(__file__).parents[4].parent / "shared" / "data" / "conformance" / "otlp" / "examples"
TRACE, ROOT, CHILD = b"\xab" * 16, b"\x01" * 8, b"\x02" * 8


def binary(request: ExportTraceServiceRequest) -> Export:
    return export(from_protobuf(request.SerializeToString()), "ann")


def text(value: Any) -> Export:
    return export(from_json(decode_json(json.dumps(value).encode(), wire.ExportRequest)), "ann")


def as_otlp_json(request: ExportTraceServiceRequest) -> Any:
    """Protobuf's JSON with OTLP's deviations: ids in hex."""

    def mend(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: mend(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [mend(item) for item in value]
        return base64.b64decode(value).hex().upper() if key in ("traceId", "spanId", "parentSpanId") else value

    return mend(MessageToDict(request, use_integers_for_enums=True))


def full_request() -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name, scope_spans.scope.version = "lib", "1.0"
    child = scope_spans.spans.add(trace_id=TRACE, span_id=CHILD, parent_span_id=ROOT, name="call", kind=3)
    child.start_time_unix_nano, child.end_time_unix_nano = 1_700_000_000_000_000_500, 1_700_000_000_000_000_900
    child.status.code, child.status.message = 2, "boom"
    child.trace_state = "a=b"
    for key, field, value in (
        ("text", "string_value", "späte"),
        ("yes", "bool_value", True),
        ("no", "bool_value", False),
        ("count", "int_value", -(2**63)),
        ("zero", "int_value", 0),
        ("half", "double_value", 0.5),
        ("nan", "double_value", math.nan),
        ("inf", "double_value", -math.inf),
        ("raw", "bytes_value", b"\x00\xff"),
    ):
        setattr(child.attributes.add(key=key).value, field, value)
    items = child.attributes.add(key="list").value.array_value
    items.values.add().int_value = 1
    items.values.add().kvlist_value.values.add(key="in").value.string_value = "side"
    child.attributes.add(key="empty")
    event = child.events.add(name="exception", time_unix_nano=1_700_000_000_000_000_600)
    event.attributes.add(key="exception.type").value.string_value = "ValueError"
    child.links.add(trace_id=b"\x0f" * 16, span_id=b"\x0e" * 8)
    root = scope_spans.spans.add(trace_id=TRACE, span_id=ROOT, name="GET /", kind=2)
    root.start_time_unix_nano, root.end_time_unix_nano = 1_700_000_000_000_000_000, 1_700_000_000_000_001_000
    return request


def test_both_encodings_say_the_same() -> None:
    request = full_request()
    assert binary(request) == text(as_otlp_json(request))


def test_nothing_of_a_span_is_lost() -> None:
    (trace,) = binary(full_request()).traces
    assert (trace.trace_id, trace.name, trace.status, trace.source, trace.span_count) == (
        TRACE.hex(),
        "GET /",
        "ok",
        "otlp",
        2,
    )
    assert trace.end_ns - trace.start_ns == 1000
    assert trace.principal == "ann"
    assert trace.summary == {"service": "shop"}
    child = trace.spans[0]
    assert child == Span(
        trace_id=TRACE.hex(),
        span_id=CHILD.hex(),
        name="call",
        start_ns=1_700_000_000_000_000_500,
        end_ns=1_700_000_000_000_000_900,
        parent_id=ROOT.hex(),
        kind="client",
        status="error",
        message="boom",
        attributes={
            "text": "späte",
            "yes": True,
            "no": False,
            "count": -(2**63),
            "zero": 0,
            "half": 0.5,
            "nan": "NaN",
            "inf": "-Infinity",
            "raw": "AP8=",
            "list": [1, {"in": "side"}],
            "empty": None,
            "otel.resource": {"service.name": "shop"},
            "otel.scope": {"name": "lib", "version": "1.0"},
            "otel.trace_state": "a=b",
            "otel.links": [{"trace_id": "0f" * 16, "span_id": "0e" * 8}],
        },
        events=(SpanEvent("exception", 1_700_000_000_000_000_600, {"exception.type": "ValueError"}),),
    )


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the conformance examples are not beside this checkout")
def test_the_published_example_is_read() -> None:
    found = text(json.loads((EXAMPLES / "trace.json").read_text()))
    (trace,) = found.traces
    assert trace.trace_id == "5b8efff798038103d269b633813fc60c"
    assert trace.spans[0].parent_id == "eee19b7ec3c1b173"
    assert trace.spans[0].kind == "server"
    assert trace.spans[0].attributes["otel.scope"]["attributes"] == {"my.scope.attribute": "some scope attribute"}


def test_a_request_may_hold_several_traces_and_a_trace_several_services() -> None:
    request = full_request()
    request.resource_spans.add().CopyFrom(request.resource_spans[0])
    other = request.resource_spans[1]
    other.resource.attributes[0].value.string_value = "stock"
    for span in other.scope_spans[0].spans:
        span.trace_id = b"\xcd" * 16
    assert {trace.summary["service"] for trace in binary(request).traces} == {"shop", "stock"}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("trace_id", b"\x01" * 15, "trace id"),
        ("trace_id", b"", "trace id"),
        ("trace_id", b"\x00" * 16, "trace id"),
        ("span_id", b"\x01" * 9, "span id"),
        ("span_id", b"\x00" * 8, "span id"),
        ("parent_span_id", b"\x01", "parent span id"),
        ("start_time_unix_nano", 2**64 - 1, "times"),
        ("start_time_unix_nano", 0, "times"),
    ],
)
def test_a_span_that_cannot_be_kept_does_not_keep_the_others_out(field: str, value: Any, reason: str) -> None:
    request = full_request()
    setattr(request.resource_spans[0].scope_spans[0].spans[0], field, value)
    for found in (binary(request), text(as_otlp_json(request))):
        assert found.rejected == 1
        assert reason in found.reason
        assert [span.name for span in found.traces[0].spans] == ["GET /"]


def test_unknown_fields_and_enum_values_are_let_pass() -> None:
    body = as_otlp_json(full_request())
    body["later"] = {"deep": [1]}
    span = body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span["kind"], span["status"]["code"], span["newField"] = 99, 99, {}
    (trace,) = text(body).traces
    assert (trace.spans[0].kind, trace.spans[0].status) == ("internal", "unset")


@pytest.mark.parametrize("cut", [1, 7, 40, 200])
def test_truncated_protobuf_is_refused(cut: int) -> None:
    with pytest.raises(InvalidInput, match="protobuf"):
        list(from_protobuf(full_request().SerializeToString()[:-cut]))


@pytest.mark.parametrize(
    "value", [{"intValue": "12x"}, {"intValue": 2**70}, {"doubleValue": "half"}, {"intValue": "9" * 30}]
)
def test_numbers_that_are_none_are_refused(value: Any) -> None:
    body = as_otlp_json(full_request())
    body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"] = [{"key": "a", "value": value}]
    with pytest.raises(InvalidInput):
        text(body)


def test_values_nested_without_end_are_refused() -> None:
    value: Any = {"stringValue": "x"}
    for _ in range(100):
        value = {"arrayValue": {"values": [value]}}
    body = as_otlp_json(full_request())
    body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"] = [{"key": "a", "value": value}]
    with pytest.raises(InvalidInput, match="nested"):
        text(body)


def test_inflating_is_bounded() -> None:
    data = b"x" * 1000
    assert inflate(gzip.compress(data)) == inflate(zlib.compress(data)) == data
    with pytest.raises(PayloadTooLarge):
        inflate(gzip.compress(b"\x00" * (64 * 2**20)))
    for bad in (b"", b"not gzip", gzip.compress(data)[:-4], gzip.compress(data) + b"x"):
        with pytest.raises(InvalidInput):
            inflate(bad)


@pytest.mark.parametrize("message", ["", "short", "ü" * 300, "x" * 20_000])
def test_an_error_is_a_google_rpc_status(message: str) -> None:
    assert status_pb2.Status.FromString(status_message(3, message)) == status_pb2.Status(code=3, message=message)
