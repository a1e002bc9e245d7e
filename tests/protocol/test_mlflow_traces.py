"""Traces over MLflow's protocol: OTLP in its manner, both orders of arrival, redaction, and other requests meanwhile."""

from __future__ import annotations

import gzip
import json
import secrets
import threading
import time
import urllib.error
import urllib.request
import zlib
from typing import Any, NamedTuple

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.serving import ServerProcess

PROTOBUF, JSON = "application/x-protobuf", "application/json"
BEGAN_NS = 1_700_000_000_000_000_000
SECRET = "sk-proj-abcdefghijklmnop1234"


class Answer(NamedTuple):
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(server: ServerProcess, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    given = {"content-type": JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    request = urllib.request.Request(f"{server.url}{path}", data, given, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return Answer(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read())


def export(
    server: ServerProcess, body: bytes, content_type: str = PROTOBUF, experiment: str = "0", **more: str
) -> Answer:
    return ask(server, "POST", "/v1/traces", body, content_type=content_type, x_mlflow_experiment_id=experiment, **more)


def request_of(trace_id: bytes, *names: str, **attributes: str) -> ExportTraceServiceRequest:
    """The first span is the root, the others are its children."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number, name in enumerate(names, 1):
        one = spans.add(trace_id=trace_id, span_id=bytes([number]) * 8, name=name)
        one.start_time_unix_nano = BEGAN_NS + number
        one.end_time_unix_nano = BEGAN_NS + 5_000_000
        if number > 1:
            one.parent_span_id = b"\x01" * 8
        for key, value in attributes.items():
            one.attributes.add(key=key.replace("__", ".")).value.string_value = value
    return request


def info_of(trace_id: bytes, **more: Any) -> Any:
    info = {
        "trace_id": f"tr-{trace_id.hex()}",
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}},
        "request_time": "2023-11-14T22:13:20Z",
        "execution_duration": "0.099s",
        "state": "OK",
        **more,
    }
    return {"trace": {"trace_info": info}}


def whole(server: ServerProcess, trace_id: bytes) -> Any:
    answer = ask(server, "GET", f"/api/3.0/mlflow/traces/get?trace_id=tr-{trace_id.hex()}")
    assert answer.status == 200, answer.body
    return answer.json["trace"]


def search(server: ServerProcess, filter: str, **more: Any) -> list[Any]:
    locations = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}]
    answer = ask(server, "POST", "/api/3.0/mlflow/traces/search", {"locations": locations, "filter": filter, **more})
    assert answer.status == 200, answer.body
    return answer.json.get("traces", [])  # type: ignore[no-any-return]


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate", "raw deflate"])
def test_spans_come_in_every_encoding(server: ServerProcess, encoding: str) -> None:
    trace_id = secrets.token_bytes(16)
    body = request_of(trace_id, "root", "child").SerializeToString()
    packed = {
        "identity": lambda: body,
        "gzip": lambda: gzip.compress(body),
        "deflate": lambda: zlib.compress(body),
        "raw deflate": lambda: zlib.compress(body)[2:-4],
    }[encoding]()
    assert export(server, packed, content_encoding=encoding.split()[-1]).status == 200
    found = whole(server, trace_id)
    assert [item["name"] for item in found["spans"]] == ["root", "child"]
    assert found["trace_info"]["state"] == "OK"
    assert found["trace_info"]["execution_duration"] == "0.005s"


def test_spans_come_as_json(server: ServerProcess) -> None:
    trace_id = secrets.token_bytes(16)
    span = {
        "traceId": trace_id.hex(), "spanId": "01" * 8, "name": "json root",
        "startTimeUnixNano": str(BEGAN_NS), "endTimeUnixNano": str(BEGAN_NS + 1),
    }  # fmt: skip
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    assert export(server, body, JSON) == Answer(200, b"{}")
    assert whole(server, trace_id)["spans"][0]["name"] == "json root"


@pytest.mark.parametrize(
    ("body", "content_type", "experiment", "status"),
    [
        (b"", PROTOBUF, "0", 400),
        (b"\xff" * 50, PROTOBUF, "0", 400),
        (b"{", JSON, "0", 400),
        (b"x", "text/plain", "0", 400),
        (request_of(b"\x01" * 15, "short id").SerializeToString(), PROTOBUF, "0", 422),
        (request_of(b"\x01" * 16, "nowhere").SerializeToString(), PROTOBUF, "987654", 404),
    ],
)
def test_what_cannot_be_kept_is_refused_in_mlflows_manner(
    server: ServerProcess, body: bytes, content_type: str, experiment: str, status: int
) -> None:
    answer = export(server, body, content_type, experiment)
    assert answer.status == status
    assert answer.json.keys() & {"detail", "error_code"}
    assert b"Traceback" not in answer.body


def test_a_trace_is_the_same_whether_it_is_told_or_sent_first(server: ServerProcess) -> None:
    ids = [secrets.token_bytes(16) for _ in range(2)]
    found = []
    for trace_id, told_first in zip(ids, (True, False), strict=True):
        body = request_of(trace_id, "root", "child", mlflow__spanInputs='"in"').SerializeToString()
        told = info_of(trace_id, tags={"mlflow.traceName": "named"}, trace_metadata={"k": "v"}, request_preview="asked")
        for step in (0, 1, 0, 1) if told_first else (1, 0, 1):  # the last of each comes again
            if step:
                assert export(server, body).status == 200
            else:
                assert ask(server, "POST", "/api/3.0/mlflow/traces", told).status == 200
        shown = json.dumps(whole(server, trace_id)).replace(trace_id.hex(), "id")
        found.append(json.loads(shown))
    for one in found:
        for item in one["spans"]:
            item.pop("trace_id")
    assert found[0] == found[1]
    assert found[0]["trace_info"]["execution_duration"] == "0.099s"
    assert found[0]["trace_info"]["request_preview"] == "asked"
    assert len(found[0]["spans"]) == 2


def test_spans_that_were_announced_are_waited_for(server: ServerProcess) -> None:
    trace_id = secrets.token_bytes(16)
    stats = {"mlflow.trace.sizeStats": json.dumps({"num_spans": 2})}
    assert ask(server, "POST", "/api/3.0/mlflow/traces", info_of(trace_id, trace_metadata=stats)).status == 200
    path = f"/api/3.0/mlflow/traces/get?trace_id=tr-{trace_id.hex()}"
    assert "spans" not in ask(server, "GET", f"{path}&allow_partial=true").json["trace"]
    body = request_of(trace_id, "root", "child").SerializeToString()
    later = threading.Timer(0.5, lambda: export(server, body))
    later.start()
    assert len(whole(server, trace_id)["spans"]) == 2
    later.join()


def test_a_secret_is_nowhere_in_what_is_kept(server: ServerProcess) -> None:
    trace_id = secrets.token_bytes(16)
    body = request_of(trace_id, "root", mlflow__spanInputs=SECRET, mlflow__traceTag__t=SECRET, session__id=SECRET)
    assert export(server, body.SerializeToString()).status == 200
    told = info_of(trace_id, tags={"u": SECRET}, trace_metadata={"m": SECRET}, request_preview=SECRET)
    assert ask(server, "POST", "/api/3.0/mlflow/traces", told).status == 200
    base = f"/api/3.0/mlflow/traces/tr-{trace_id.hex()}"
    assert ask(server, "PATCH", f"{base}/tags", {"key": "w", "value": SECRET}).status == 200
    said = {"assessment": {"assessment_name": "f", "feedback": {"value": SECRET}, "rationale": SECRET}}
    assert ask(server, "POST", f"{base}/assessments", said).status == 200
    assert SECRET not in json.dumps(whole(server, trace_id))
    assert SECRET not in ask(server, "GET", f"/api/v1/traces/{trace_id.hex()}").body.decode()
    for path in server.home.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def test_a_trace_of_mlflows_is_asked_for_by_either_id(server: ServerProcess) -> None:
    trace_id = secrets.token_bytes(16)
    export(server, request_of(trace_id, "root").SerializeToString())
    for id in (trace_id.hex(), f"tr-{trace_id.hex()}"):
        assert ask(server, "GET", f"/api/v1/traces/{id}").json["name"] == "root"


def test_what_clients_say_of_a_trace_is_in_twinloops_own_answer_too(server: ServerProcess) -> None:
    trace_id = secrets.token_bytes(16)
    id = f"tr-{trace_id.hex()}"
    told = info_of(trace_id, request_preview="Why?", response_preview="So.", tags={"team": "ops"})
    assert ask(server, "POST", "/api/3.0/mlflow/traces", told).status == 200
    path = f"/api/3.0/mlflow/traces/{id}/assessments"
    source = {"source_type": "HUMAN", "source_id": "ann"}
    first = {"assessment_name": "right", "feedback": {"value": False}, "source": source, "rationale": "Not so."}
    made = ask(server, "POST", path, {"assessment": first}).json["assessment"]["assessment_id"]
    second = {**first, "feedback": {"value": True}, "overrides": made}
    assert ask(server, "POST", path, {"assessment": second}).status == 200
    for asked in (id, trace_id.hex()):
        notes = ask(server, "GET", f"/api/v1/traces/{asked}/notes").json
        assert (notes["experiment"], notes["request"], notes["response"]) == ("0", "Why?", "So.")
        assert notes["tags"]["team"] == "ops"
        said = {one["value"]: one for one in notes["assessments"]}
        assert (said[False]["valid"], said[True]["valid"]) == (False, True)
        assert (said[True]["by"], said[True]["source"], said[True]["rationale"]) == ("ann", "HUMAN", "Not so.")
    answer = ask(server, "GET", f"/api/v1/traces/tr-{'0' * 32}/notes")
    assert (answer.status, answer.json["error"]["code"]) == (404, "not_found")


def test_a_trace_that_is_not_there_is_said_in_the_words_of_each_question(server: ServerProcess) -> None:
    id = f"tr-{secrets.token_hex(16)}"
    for path, words in (
        (f"/api/3.0/mlflow/traces/get?trace_id={id}", f"Trace with ID {id} is not found."),
        (f"/api/3.0/mlflow/traces/{id}", f"Trace with ID '{id}' not found."),
        (f"/api/3.0/mlflow/traces/{id}/assessments/a-1", f"Trace with request_id '{id}' not found"),
    ):
        answer = ask(server, "GET", path)
        assert (answer.status, answer.json["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
        assert answer.json["message"].startswith(words)


def test_a_name_is_found_and_stays_gone_once_deleted(server: ServerProcess) -> None:
    name = f"span {secrets.token_hex(4)}"
    ids = [secrets.token_bytes(16) for _ in range(3)]
    for trace_id in ids:
        export(server, request_of(trace_id, "root", name).SerializeToString())
    assert len(search(server, f"span.name = '{name}'")) == 3
    gone = {"experiment_id": "0", "request_ids": [f"tr-{ids[0].hex()}", "tr-unknown"]}
    assert ask(server, "POST", "/api/2.0/mlflow/traces/delete-traces", gone).json == {"traces_deleted": 1}
    assert {item["trace_id"] for item in search(server, f"span.name = '{name}'")} == {f"tr-{i.hex()}" for i in ids[1:]}
    answer = ask(server, "GET", f"/api/3.0/mlflow/traces/tr-{ids[0].hex()}")
    assert (answer.status, answer.json["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_other_requests_are_answered_while_a_great_many_spans_come(server: ServerProcess) -> None:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number in range(40_000):
        one = spans.add(trace_id=number.to_bytes(15, "big") + b"\x77", span_id=b"\x01" * 8, name="many")
        one.start_time_unix_nano, one.end_time_unix_nano = BEGAN_NS, BEGAN_NS + 1
    body = request.SerializeToString()
    done: list[int] = []
    sending = threading.Thread(target=lambda: done.append(export(server, body).status))
    slowest, count = 0.0, 0
    sending.start()
    while sending.is_alive():
        begun = time.perf_counter()
        assert ask(server, "GET", "/healthz").status == 200
        slowest, count = max(slowest, time.perf_counter() - begun), count + 1
        time.sleep(0.01)
    assert done == [200]
    assert count > 5
    assert slowest < 1.5  # without pieces, all of it would be waited for
    assert len(search(server, "span.name = 'many'", max_results=7)) == 7
