"""The document that a live server gives is valid, and the server's answers fit it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.serving import ServerProcess

Document = dict[str, Any]


def ask(server: ServerProcess, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, {"content-type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture(scope="module")
def document(server: ServerProcess) -> Document:
    status, found = ask(server, "GET", "/api/v1/openapi.json")
    assert status == 200
    return found  # type: ignore[no-any-return]


def assert_fits(document: Document, method: str, path: str, status: int, answer: Any) -> None:
    """``answer`` has the schema that the document gives for this status of the operation."""
    answers = document["paths"][path][method.lower()]["responses"]
    assert 200 <= status < 300 or status >= 400
    found = answers[str(status) if status < 400 else "default"]
    schema = found["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(answer)


def test_the_document_of_a_live_server_is_valid(document: Document) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_answers_of_a_live_server_fit_the_document(server: ServerProcess, document: Document) -> None:
    calls = [
        ("POST", "/api/v1/revisions", "", {"kind": "endpoint", "name": "described", "manifest": {}}),
        ("POST", "/api/v1/experiments", "", {"name": "described"}),
        ("POST", "/api/v1/runs", "", {"experiment": "described", "tags": {"a": "b"}}),
        ("GET", "/api/v1/status", "", None),
        ("GET", "/api/v1/revisions", "?limit=5", None),
        ("GET", "/api/v1/endpoints", "", None),
        ("GET", "/api/v1/traces", "?limit=5&status=ok", None),
        ("GET", "/api/v1/why", "?node=nothing", None),
        ("GET", "/api/v1/keys", "", None),
        ("GET", "/api/v1/experiments", "", None),
        ("GET", "/api/v1/runs", "?experiment=described", None),
        ("GET", "/api/v1/pipelines/runs", "", None),
        ("GET", "/api/v1/evidence", "?subject=model/none", None),
        ("GET", "/healthz", "", None),
        ("GET", "/readyz", "", None),
    ]
    for method, path, query, body in calls:
        status, answer = ask(server, method, path + query, body)
        assert_fits(document, method, path, status, answer)


@pytest.mark.parametrize("path", ["/api/v1/traces?limit=0", "/api/v1/traces?before=x", "/api/v1/evidence"])
def test_a_query_that_does_not_fit_the_document_is_refused(server: ServerProcess, path: str) -> None:
    status, answer = ask(server, "GET", path)
    assert (status, answer["error"]["code"]) == (400, "invalid_input")
    assert "query parameters" in answer["error"]["message"]
