"""What every protocol does with what it should not be sent: its own error form, 4xx, no stack trace, no state change."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.serving import ServerProcess

Answer = tuple[int, dict[str, str], bytes]


class Protocol(NamedTuple):
    """A path that takes JSON, and a check that an error is in the protocol's own form."""

    name: str
    path: str
    is_error: Callable[[Any], bool]


def _native(body: Any) -> bool:
    return set(body) == {"error"} and {"code", "message", "trace"} <= set(body["error"])


def _openai(body: Any) -> bool:
    return set(body) == {"error"} and {"message", "type", "param", "code"} <= set(body["error"])


def _open_inference(body: Any) -> bool:
    return set(body) == {"error"} and isinstance(body["error"], str)


def _otlp(body: Any) -> bool:
    return isinstance(body.get("message"), str) and isinstance(body.get("code", 0), int)


def _mlflow(body: Any) -> bool:
    return isinstance(body.get("error_code"), str) and isinstance(body.get("message"), str)


PROTOCOLS = [
    Protocol("native", "/api/v1/endpoints/none/predict", _native),
    Protocol("native chat", "/api/v1/endpoints/none/chat", _native),
    Protocol("native release", "/api/v1/endpoints/none/releases", _native),
    Protocol("native revision", "/api/v1/revisions", _native),
    Protocol("openai chat", "/v1/chat/completions", _openai),
    Protocol("openai embeddings", "/v1/embeddings", _openai),
    Protocol("open inference", "/v2/models/none/infer", _open_inference),
    Protocol("otlp", "/v1/traces", _otlp),
    Protocol("mlflow run", "/api/2.0/mlflow/runs/create", _mlflow),
    Protocol("mlflow batch", "/api/2.0/mlflow/runs/log-batch", _mlflow),
]
every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)

NESTED = b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
MALFORMED = {
    "empty": b"",
    "cut": b'{"model": "a", "messages": [',
    "not json": b"<xml/>",
    "a list": b"[]",
    "a number": b"42",
    "null": b"null",
    "trailing": b"{} {}",
    "nan": b'{"rows": [{"a": NaN}], "messages": NaN, "inputs": NaN, "name": NaN, "experiment_id": NaN, "resourceSpans": NaN}',
    "infinity": b'{"rows": -Infinity, "messages": Infinity}',
    "invalid utf-8": b'{"rows": "\xff\xfe", "resourceSpans": "\xff", "messages": "\xc3\x28", "model": "\xed\xa0\x80"}',
    "deep nesting": NESTED,
    "nul": b'{"rows"\x00: []}',
}
WRONG_TYPES: list[dict[str, Any]] = [
    {
        "rows": "x",
        "messages": 5,
        "model": 5,
        "inputs": {},
        "input": {},
        "type": [],
        "pins": 3,
        "kind": 1,
        "name": {},
        "experiment_id": {},
        "run_id": 7.5,
        "resourceSpans": "x",
    },
    {
        "rows": [["a"]],
        "messages": ["hi"],
        "model": "m",
        "inputs": [5],
        "input": [{"a": 1}],
        "type": "nope",
        "pins": {"a": 1},
        "kind": "UPPER",
        "name": "n",
        "manifest": [],
        "experiment_id": [1],
        "metrics": "x",
        "resourceSpans": [5],
    },
]


def send(
    server: ServerProcess, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Answer:
    """One request, its path exactly as given; ``headers`` may replace Host."""
    address = urlsplit(server.url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    given = {"Host": address.netloc, "Content-Type": "application/json", **(headers or {})}
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in given.items():
            connection.putheader(name, value)
        if body is not None and "Transfer-Encoding" not in given:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        try:
            if body is not None:
                connection.send(body)
        except (BrokenPipeError, ConnectionResetError):
            return _answer_so_far(connection)
        response = connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    finally:
        connection.close()


def _answer_so_far(connection: http.client.HTTPConnection) -> Answer:
    """The server may answer and close before it has read a body that is too large."""
    try:
        response = connection.getresponse()
    except (ConnectionError, http.client.HTTPException):
        return 413, {}, b""
    return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()


def state(server: ServerProcess) -> Any:
    status = json.loads(send(server, "GET", "/api/v1/status")[2])
    listed = json.loads(send(server, "GET", "/api/v1/endpoints")[2])
    return status["counts"], status.get("kinds"), listed


@pytest.fixture
def unchanged(server: ServerProcess) -> Iterator[None]:
    """What the server holds is the same after the test as before it."""
    before = state(server)
    yield
    assert state(server) == before


def assert_refused(answer: Answer, protocol: Protocol, *statuses: int) -> None:
    status, _, body = answer
    assert 400 <= status < 500, (status, body[:500])
    if statuses:
        assert status in statuses, (status, body[:500])
    for inside in (b"Traceback", b'File "', b"site-packages", b"msgspec."):
        assert inside not in body
    assert protocol.is_error(json.loads(body)), body[:500]


@every_protocol
@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.usefixtures("unchanged")
def test_malformed_bodies_are_refused(server: ServerProcess, protocol: Protocol, body: bytes) -> None:
    answer = send(server, "POST", protocol.path, body)
    if protocol.name == "mlflow run" and body == b"":
        return  # every field of that request is optional, and MLflow's clients may leave the body out
    assert_refused(answer, protocol, 400)


@every_protocol
@pytest.mark.parametrize("body", WRONG_TYPES, ids=["wrong types", "wrong insides"])
@pytest.mark.usefixtures("unchanged")
def test_fields_of_wrong_types_are_refused(server: ServerProcess, protocol: Protocol, body: Any) -> None:
    assert_refused(send(server, "POST", protocol.path, json.dumps(body).encode()), protocol, 400, 404)


@every_protocol
@pytest.mark.usefixtures("unchanged")
def test_a_body_of_17_megabytes_is_refused_before_it_is_read(server: ServerProcess, protocol: Protocol) -> None:
    answer = send(server, "POST", protocol.path, b" " * (17 * 2**20))
    assert answer[0] == 413
    if answer[2]:
        assert_refused(answer, protocol, 413)


@every_protocol
@pytest.mark.usefixtures("unchanged")
def test_a_chunked_body_of_17_megabytes_is_refused_too(server: ServerProcess, protocol: Protocol) -> None:
    chunk = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    answer = send(server, "POST", protocol.path, chunk * 17 + b"0\r\n\r\n", {"Transfer-Encoding": "chunked"})
    assert answer[0] == 413
    if answer[2]:
        assert_refused(answer, protocol, 413)


@every_protocol
@pytest.mark.usefixtures("unchanged")
def test_a_body_of_10_megabytes_is_read_and_judged(server: ServerProcess, protocol: Protocol) -> None:
    text = json.dumps("x" * (10 * 2**20))
    fields = (
        "rows",
        "messages",
        "input",
        "inputs",
        "pins",
        "manifest",
        "metrics",
        "tags",
        "resourceSpans",
        "experiment_id",
    )
    body = "{" + ", ".join(f'"{field}": {text if field == fields[0] else 7}' for field in fields) + "}"
    assert_refused(send(server, "POST", protocol.path, body.encode()), protocol, 400, 404)


UNKNOWN: list[tuple[str, str, Any, Callable[[Any], bool]]] = [
    ("POST", "/api/v1/endpoints/none/predict", {"rows": [{"a": 1}]}, _native),
    ("POST", "/api/v1/endpoints/none/chat", {"messages": [{"role": "user", "content": "hi"}]}, _native),
    ("POST", "/api/v1/endpoints/none/rollback", {}, _native),
    ("GET", "/api/v1/revisions/model/none@1", None, _native),
    ("GET", "/api/v1/traces/" + "ab" * 16, None, _native),
    ("GET", "/api/v1/why?node=none", None, _native),
    ("GET", "/api/v1/nothing", None, _native),
    ("POST", "/v1/chat/completions", {"model": "none", "messages": [{"role": "user", "content": "hi"}]}, _openai),
    ("POST", "/v1/embeddings", {"model": "none", "input": "a"}, _openai),
    ("GET", "/v1/models/none", None, _openai),
    ("GET", "/v1/nothing", None, _openai),
    ("GET", "/v2/models/none", None, _open_inference),
    (
        "POST",
        "/v2/models/none/infer",
        {"inputs": [{"name": "a", "shape": [1], "datatype": "FP32", "data": [1]}]},
        _open_inference,
    ),
    ("GET", "/v2/nothing", None, _open_inference),
    ("GET", "/api/2.0/mlflow/runs/get?run_id=" + "ab" * 16, None, _mlflow),
    ("GET", "/api/2.0/mlflow/nothing", None, _mlflow),
]


@pytest.mark.parametrize(("method", "path", "body", "is_error"), UNKNOWN, ids=[case[1] for case in UNKNOWN])
@pytest.mark.usefixtures("unchanged")
def test_what_does_not_exist_is_404_in_the_protocols_form(
    server: ServerProcess, method: str, path: str, body: Any, is_error: Callable[[Any], bool]
) -> None:
    raw = None if body is None else json.dumps(body).encode()
    assert_refused(send(server, method, path, raw), Protocol("", path, is_error), 404)


TRICKS = [
    "..",
    "../../etc/passwd",
    "%2e%2e",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%5c..%5cwindows",
    "a%00b",
    "%00",
    "%0d%0aset-cookie:a=b",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "C:%5cWindows",
    "file:%2f%2f%2fetc%2fpasswd",
    "%ff%fe",
    "%c0%ae%c0%ae",
    "~root",
    "a" * 3000,
    "%F0%9F%92%A5",
    "-",
    ".hidden",
]
NAMED = [
    ("/api/v1/endpoints/{}", _native),
    ("/api/v1/revisions/model/{}@1", _native),
    ("/api/v1/blobs/{}", _native),
    ("/api/v1/traces/{}", _native),
    ("/v1/models/{}", _openai),
    ("/v2/models/{}", _open_inference),
    ("/v2/models/{}/ready", _open_inference),
]


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick[:40])
@pytest.mark.parametrize(("path", "is_error"), NAMED, ids=[path for path, _ in NAMED])
@pytest.mark.usefixtures("unchanged")
def test_tricks_in_names_reach_nothing(
    server: ServerProcess, path: str, is_error: Callable[[Any], bool], trick: str
) -> None:
    status, headers, body = send(server, "GET", path.format(trick))
    assert b"root:" not in body
    assert "set-cookie" not in headers
    assert_refused((status, headers, body), Protocol("", path, is_error), 400, 404)


@pytest.mark.parametrize(
    "name", ["..", "../x", "/etc/passwd", "a\x00b", "", "a//b", "a/../b", "é", "a b", "x" * 201, ".a"]
)
@pytest.mark.usefixtures("unchanged")
def test_names_in_bodies_are_held_to_the_same_rule(server: ServerProcess, name: str) -> None:
    native = PROTOCOLS[0]
    revision = {"kind": "dataset", "name": name, "manifest": {}, "parents": []}
    assert_refused(send(server, "POST", "/api/v1/revisions", json.dumps(revision).encode()), native, 400)
    key = {"name": name, "role": "viewer"}
    assert_refused(send(server, "POST", "/api/v1/keys", json.dumps(key).encode()), native, 400)


@every_protocol
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:7700"},
        {"Host": "localhost.evil.example"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
    ids=str,
)
@pytest.mark.usefixtures("unchanged")
def test_foreign_hosts_and_origins_are_refused_on_loopback(
    server: ServerProcess, protocol: Protocol, headers: dict[str, str]
) -> None:
    assert_refused(send(server, "POST", protocol.path, b"{}", headers), protocol, 403)


@every_protocol
@pytest.mark.usefixtures("unchanged")
def test_a_method_that_a_path_does_not_take_is_405(server: ServerProcess, protocol: Protocol) -> None:
    assert_refused(send(server, "DELETE", protocol.path), protocol, 404, 405)


@pytest.mark.parametrize(
    "target", ["*", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/assets/../../../../pyproject.toml"]
)
@pytest.mark.usefixtures("unchanged")
def test_the_console_serves_no_file_outside_its_folder(server: ServerProcess, target: str) -> None:
    status, _, body = send(server, "GET", target)
    assert b"root:" not in body
    assert b"[project]" not in body
    assert status in (200, 400, 404)


@pytest.mark.parametrize(
    "target", ["/api/v1/traces?limit=-1", "/api/v1/traces?limit=abc", "/api/v1/revisions?limit=99999999999999999999"]
)
@pytest.mark.usefixtures("unchanged")
def test_query_parameters_out_of_range_are_refused(server: ServerProcess, target: str) -> None:
    assert_refused(send(server, "GET", target), PROTOCOLS[0], 400)


def test_nothing_of_this_left_a_stack_trace_in_the_log(server: ServerProcess) -> None:
    assert "Traceback" not in server.log
