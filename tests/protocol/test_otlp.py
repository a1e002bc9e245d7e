"""OpenTelemetry's own exporter, and hand-made requests, against /v1/traces."""

from __future__ import annotations

import gzip
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from google.rpc import status_pb2
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind

from tests.serving import ServerProcess

EXAMPLES = Path(__file__).parents[2].parent / "shared" / "data" / "conformance" / "otlp" / "examples"
PROTOBUF, JSON = "application/x-protobuf", "application/json"


class Answer(NamedTuple):
    status: int
    content_type: str
    body: bytes


def post(server: ServerProcess, body: bytes, content_type: str, **headers: str) -> Answer:
    given = {"content-type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    request = urllib.request.Request(f"{server.url}/v1/traces", body, given)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return Answer(answer.status, answer.headers["content-type"], answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers["content-type"], error.read())


def trace(server: ServerProcess, trace_id: str) -> Any:
    with urllib.request.urlopen(f"{server.url}/api/v1/traces/{trace_id}", timeout=10) as answer:
        return json.load(answer)


def request_of(trace_id: bytes, *span_ids: bytes) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number, span_id in enumerate(span_ids):
        span = spans.add(trace_id=trace_id, span_id=span_id, name=f"s{number}")
        span.start_time_unix_nano = 1_700_000_000_000_000_000 + number
        span.end_time_unix_nano = span.start_time_unix_nano + 1000
    return request


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
def test_the_opentelemetry_sdk_exports_its_spans(server: ServerProcess, compression: Compression) -> None:
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    exporter = OTLPSpanExporter(endpoint=f"{server.url}/v1/traces", compression=compression)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test", "1.0")
    with tracer.start_as_current_span("chat", kind=SpanKind.SERVER) as root:
        root.set_attributes({"gen_ai.request.model": "m", "n": 3, "share": 0.5, "tags": ["a", "b"], "späte": True})
        with tracer.start_as_current_span("tool") as tool:
            tool.add_event("called", {"name": "search"})
            tool.record_exception(ValueError("boom"))
    provider.shutdown()
    found = trace(server, f"{root.get_span_context().trace_id:032x}")
    assert (found["name"], found["source"], found["span_count"]) == ("chat", "otlp", 2)
    spans = {span["name"]: span for span in found["spans"]}
    assert spans["chat"]["kind"] == "server"
    assert spans["chat"]["attributes"]["tags"] == ["a", "b"]
    assert spans["chat"]["attributes"]["späte"] is True
    assert spans["chat"]["attributes"]["otel.resource"]["service.name"] == "shop"
    assert spans["tool"]["parent_id"] == spans["chat"]["span_id"]
    assert [event["name"] for event in spans["tool"]["events"]] == ["called", "exception"]


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the conformance examples are not beside this checkout")
def test_the_published_json_example_is_taken_twice_and_kept_once(server: ServerProcess) -> None:
    body = (EXAMPLES / "trace.json").read_bytes()
    for _ in range(2):
        assert post(server, body, JSON) == Answer(200, JSON, b"{}")
    found = trace(server, "5b8efff798038103d269b633813fc60c")
    assert [span["name"] for span in found["spans"]] == ["I'm a server span"]


def test_a_trace_may_come_in_several_requests(server: ServerProcess) -> None:
    trace_id = b"\x11" * 16
    for span_id in (b"\x01" * 8, b"\x02" * 8):
        assert post(server, request_of(trace_id, span_id).SerializeToString(), PROTOBUF) == Answer(200, PROTOBUF, b"")
    assert trace(server, trace_id.hex())["span_count"] == 2


def test_what_was_refused_is_said_in_the_encoding_of_the_request(server: ServerProcess) -> None:
    trace_id = b"\x12" * 16
    request = request_of(trace_id, b"\x01" * 8, b"\x02" * 7)
    answer = post(server, request.SerializeToString(), PROTOBUF)
    partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
    assert (answer.status, partial.rejected_spans) == (200, 1)
    assert "span id" in partial.error_message
    span = {"name": "a", "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000000000001"}
    good, bad = {**span, "traceId": "13" * 16, "spanId": "01" * 8}, {**span, "traceId": "zz" * 16, "spanId": "01" * 8}
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [good, bad]}]}]}
    answer = post(server, json.dumps(body).encode(), "application/json; charset=utf-8")
    assert json.loads(answer.body)["partialSuccess"]["rejectedSpans"] == "1"
    assert trace(server, "13" * 16)["span_count"] == 1


def test_an_empty_request_is_a_success(server: ServerProcess) -> None:
    assert post(server, b"", PROTOBUF) == Answer(200, PROTOBUF, b"")
    assert post(server, b"{}", JSON) == Answer(200, JSON, b"{}")


@pytest.mark.parametrize(
    ("body", "content_type", "encoding", "status"),
    [
        (request_of(b"\x14" * 16, b"\x01" * 8).SerializeToString()[:-3], PROTOBUF, "identity", 400),
        (b"\xff" * 100, PROTOBUF, "identity", 400),
        (request_of(b"\x14" * 15, b"\x01" * 8).SerializeToString(), PROTOBUF, "identity", 422),
        (b"not gzip", PROTOBUF, "gzip", 400),
        (gzip.compress(b"\x00" * 100, mtime=0)[:-9], PROTOBUF, "gzip", 400),
        (b"x", PROTOBUF, "br", 415),
        (b'{"resourceSpans": 1}', JSON, "identity", 400),
        (b'{"resourceSpans": [', JSON, "identity", 400),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "\xff"}]}]}]}', JSON, "identity", 400),
        (b"[" * 100_000, JSON, "identity", 400),
        (b"{}", "text/plain", "identity", 415),
        (gzip.compress(b"\x00" * (17 * 2**20), mtime=0), PROTOBUF, "gzip", 413),
        (gzip.compress(b" " * (17 * 2**20), mtime=0), JSON, "gzip", 413),
    ],
)
def test_bad_requests_are_refused_with_a_status_message(
    server: ServerProcess, body: bytes, content_type: str, encoding: str, status: int
) -> None:
    answer = post(server, body, content_type, content_encoding=encoding)
    assert answer.status == status
    if content_type == PROTOBUF:
        assert answer.content_type == PROTOBUF
        said = status_pb2.Status.FromString(answer.body)
        assert said.code in (3, 8)
        message = said.message
    else:
        assert answer.content_type == JSON
        message = json.loads(answer.body)["message"]
    assert message
    assert "Traceback" not in message
