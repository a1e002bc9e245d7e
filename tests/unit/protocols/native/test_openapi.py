"""The OpenAPI document says what the native routes do."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.responses import Response

from twinloop.compose import open_app
from twinloop.core.settings import Settings
from twinloop.protocols.http import DescribedRoute
from twinloop.protocols.native import openapi
from twinloop.server.routes import native_routes

METHODS = {"get", "head", "post", "put", "patch", "delete"}
Document = dict[str, Any]


@pytest.fixture
async def routes(tmp_path: Path) -> AsyncIterator[list[DescribedRoute]]:
    app = await open_app(Settings(home=tmp_path / "home"))
    try:
        own = native_routes(app)
        found = [*own, *openapi.routes(own)]
        assert all(isinstance(one, DescribedRoute) for one in found)
        yield found  # type: ignore[misc]
    finally:
        await app.aclose()


@pytest.fixture
def document(routes: list[DescribedRoute]) -> Document:
    """As a client reads it."""
    sent: Document = msgspec.json.decode(msgspec.json.encode(openapi.document(routes)))
    return sent


def operations(document: Document) -> dict[tuple[str, str], Document]:
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def test_every_native_route_is_in_the_document_and_nothing_else(
    routes: list[DescribedRoute], document: Document
) -> None:
    served = {(one.operation.method, re.sub(r":path}", "}", one.path)) for one in routes}
    assert set(operations(document)) == served
    assert len(served) == len(routes)
    assert all(set(item) <= METHODS for item in document["paths"].values())


def test_the_document_is_valid_openapi_3_1(document: Document) -> None:
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


def test_every_body_has_a_schema_unless_it_is_a_stream(routes: list[DescribedRoute], document: Document) -> None:
    found = operations(document)
    streams = ("/api/v1/blobs/{digest}", "/api/v1/artifacts/{path}", "/api/v1/uploads/{id}/parts/{number}")
    for (method, path), operation in found.items():
        content = operation.get("requestBody", {}).get("content", {})
        if path in streams and method == "PUT":
            assert content == {"application/octet-stream": {}}
        elif path == "/api/v1/runs/{id}/restore":
            assert not content  # its path says all
        elif method in ("POST", "PUT", "PATCH"):
            assert content["application/json"]["schema"], path
        else:
            assert "requestBody" not in operation


def test_every_operation_has_a_summary_an_error_form_and_says_who_may_ask(document: Document) -> None:
    public = {"/healthz", "/readyz", openapi.PATH}
    for (method, path), operation in operations(document).items():
        assert re.fullmatch(r"[A-Z].+\.", operation["summary"]), (method, path)
        error = operation["responses"]["default"]["content"]["application/json"]["schema"]
        assert error == {"$ref": "#/components/schemas/Error"}
        assert operation["security"] == ([] if path in public else [{"key": []}, {}])


def test_every_json_answer_has_a_schema(document: Document) -> None:
    for key, operation in operations(document).items():
        [success] = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        for media, content in success.get("content", {}).items():
            assert ("schema" in content) == (media == "application/json"), key


def test_operation_ids_are_unique(document: Document) -> None:
    ids = [operation["operationId"] for operation in operations(document).values()]
    assert len(set(ids)) == len(ids)


def test_what_a_handler_takes_and_returns_is_what_the_document_says(routes: list[DescribedRoute]) -> None:
    for one in routes:
        handler, told = one.operation.handler, one.operation.told
        hints = get_type_hints(handler)
        returned = hints.pop("return")
        if returned is not Response:
            assert returned == told.get("answer"), one.path
        hints.pop("call")
        taken = one.operation.body or one.operation.query
        assert list(hints.values()) == ([] if taken is None else [taken]), one.path
        assert len(inspect.signature(handler).parameters) == 1 + len(hints)


def test_parameters_of_path_and_query_are_listed(document: Document) -> None:
    listing = operations(document)["GET", "/api/v1/traces"]
    limit = next(one for one in listing["parameters"] if one["name"] == "limit")
    assert (limit["in"], limit["required"]) == ("query", False)
    assert limit["schema"]["maximum"] == 1000
    history = operations(document)["GET", "/api/v1/runs/{id}/metrics/{key}"]
    assert {(one["name"], one["in"]) for one in history["parameters"]} >= {("id", "path"), ("key", "path")}
