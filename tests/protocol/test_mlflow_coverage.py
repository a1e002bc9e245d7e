"""Every endpoint of MLflow's services, with bodies that fit none of them: an answer or MLflow's error form, never a 500."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pytest

from tests.mlflow_endpoints import Known, known
from tests.serving import ServerProcess

NASTY = (
    "x",
    "0",
    "9" * 30,
    "-1",
    "'; DROP TABLE runs; --",
    "ü/🦉",
    "a" * 5000,
    "..",
    "\ud800".encode("utf-8", "replace").decode(),
)
PARAMETERS = ("x", "0", "9" * 30, "%2e%2e%2f", quote("ü'\"`;--"), "a" * 2000)


class Asked(NamedTuple):
    status: int
    body: bytes


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that nobody else uses, because some of what is sent deletes things."""
    with ServerProcess(tmp_path_factory.mktemp("coverage") / "home") as running:
        yield running


@contextlib.contextmanager
def connected(server: ServerProcess) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> Asked:
    connection.request(method, path, body, {"content-type": "application/json"} if body is not None else {})
    with connection.getresponse() as answer:
        return Asked(answer.status, answer.read())


def filled(path: str, value: str) -> str:
    return re.sub(r"{[^}]*}", value, path)


def bodies(endpoint: Known) -> Iterator[bytes]:
    """No JSON, other JSON, and each field with values of every type."""
    yield from (b"", b"nonsense", b"{", b"[]", b"null", b"3", b'"x"', b"{}", b"\xff\xfe", b"[" * 10_000)
    for depth in (400, 900):
        yield b'{"name":' * depth + b"1" + b"}" * depth
        yield b"[" * depth + b"]" * depth
    fields = [field.name for field in endpoint.message.fields]
    values: list[Any] = [None, True, -1, 2**70, 1.5, [], {}, [[]], [{"key": 3}], [None], {"a": {"b": []}}]
    for value in values:
        yield json.dumps(dict.fromkeys(fields, value)).encode()
    for text in NASTY:
        yield json.dumps(dict.fromkeys(fields, text)).encode()
        yield json.dumps({field: [text] for field in fields}).encode()
    yield json.dumps(dict.fromkeys(fields, "\ud800")).encode()
    yield json.dumps({field: "x" for field in fields if field.endswith(("id", "name", "key"))}).encode()


def addresses(endpoint: Known) -> Iterator[str]:
    """Paths with parameters and queries that mean nothing."""
    fields = [field.name for field in endpoint.message.fields]
    plain = filled(endpoint.path, "x")
    for value in (*NASTY, ""):
        yield f"{plain}?{'&'.join(f'{field}={quote(value)}' for field in fields)}"
    yield f"{plain}?{'&'.join(f'{field}=%ff%fe' for field in fields)}"
    yield from (filled(endpoint.path, value) for value in PARAMETERS)


def wrong(method: str, path: str, sent: object, answer: Asked) -> str | None:
    """What is wrong with an answer, if anything."""
    said = f"{method} {path[:120]} {str(sent)[:160]} -> {answer.status} {answer.body[:200]!r}"
    if answer.status == 500 or answer.status not in (*range(200, 300), 400, 404, 409, 413, 501):
        return said
    if answer.status >= 400:
        try:
            found = json.loads(answer.body)
        except ValueError:
            return said
        if not (isinstance(found, dict) and found.get("error_code") and found.get("message")):
            return said
    return None


@pytest.mark.slow
def test_no_body_makes_any_endpoint_of_mlflow_fail(alone: ServerProcess) -> None:
    failures = []
    with connected(alone) as connection:
        for endpoint in known():
            path = filled(endpoint.path, "x")
            for body in bodies(endpoint):
                answer = ask(connection, endpoint.method, path, body)
                failures += filter(None, [wrong(endpoint.method, path, body, answer)])
    assert not failures, "\n".join(failures[:40]) + f"\n{len(failures)} in all\n{alone.log[-3000:]}"


@pytest.mark.slow
def test_no_query_and_no_parameter_makes_any_endpoint_of_mlflow_fail(alone: ServerProcess) -> None:
    failures = []
    with connected(alone) as connection:
        for endpoint in known():
            for path in addresses(endpoint):
                answer = ask(connection, endpoint.method, path)
                failures += filter(None, [wrong(endpoint.method, path, None, answer)])
    assert not failures, "\n".join(failures[:40]) + f"\n{len(failures)} in all\n{alone.log[-3000:]}"


@pytest.mark.parametrize(
    ("method", "path", "says"),
    [
        ("GET", "/api/3.0/mlflow/workspaces", "tenant"),
        ("POST", "/ajax-api/3.0/mlflow/gateway/secrets/create", "Secrets of providers"),
        ("POST", "/gateway/chat/mlflow/invocations", "/v1/chat/completions"),
        ("POST", "/ajax-api/3.0/mlflow/demo/generate", "console"),
        ("GET", "/api/3.0/mlflow/mcp-servers/a/b/versions/1", "tool servers"),
        ("POST", "/api/2.0/mlflow/no/such/thing", "docs/reference/mlflow.md"),
        ("PATCH", "/api/2.0/mlflow/runs/create", "not with this method"),
    ],
)
def test_what_is_not_offered_says_why(server: ServerProcess, method: str, path: str, says: str) -> None:
    with connected(server) as connection:
        answer = ask(connection, method, path, b"{}")
    found = json.loads(answer.body)
    assert (answer.status, found["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
    assert says in found["message"]
