"""/api/v1/openapi.json: the OpenAPI 3.1 document of the native interface, made from its routes.

A path's parameters, body and answer are the types that its handler decodes and returns, so the document says what the
code does. Schemas are JSON Schema 2020-12, which OpenAPI 3.1 takes unchanged.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from twinloop.protocols.http import JSON, Call, DescribedRoute, Operation, route
from twinloop.protocols.native import wire
from twinloop.protocols.native.errors import NATIVE
from twinloop.version import __version__

PATH = "/api/v1/openapi.json"
_REF = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"{(\w+)(:path)?}")

Json = dict[str, Any]


def routes(described: Sequence[Route]) -> list[Route]:
    """The path that answers with the document of ``described`` and of itself."""
    made: list[bytes] = []

    async def openapi(call: Call) -> Response:
        """This document."""
        if not made:
            made.append(msgspec.json.encode(document([*described, *own])))
        return Response(made[0], media_type=JSON)

    own = [route(NATIVE, "GET", PATH, openapi, public=True, answer=dict[str, Any], tag="status")]
    return own


def document(described: Sequence[Route]) -> Json:
    """The document of all routes among ``described`` that know their operation."""
    found = [one for one in described if isinstance(one, DescribedRoute)]
    types = list(dict.fromkeys(kind for one in found for kind in _types(one.operation)))
    schemas, components = msgspec.json.schema_components([*types, wire.Error], ref_template=_REF)
    known = dict(zip([*types, wire.Error], schemas, strict=True))
    paths: dict[str, Json] = {}
    for one in found:
        paths.setdefault(_PARAMETER.sub(r"{\1}", one.path), {})[one.operation.method.lower()] = _operation(one, known)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Twinloop",
            "version": __version__,
            "summary": "Twinloop's own interface: everything the SDK, the command line and the console use.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key made with `twinloop keys create`. On loopback no key is needed until there is one.",
                }
            },
        },
    }


def _types(operation: Operation) -> Iterator[Any]:
    yield from (one for one in (operation.body, operation.told.get("answer")) if one is not None)


def _operation(found: DescribedRoute, known: dict[Any, Json]) -> Json:
    operation, told = found.operation, found.operation.told
    summary, _, description = inspect.cleandoc(operation.handler.__doc__ or "").partition("\n\n")
    tag = told.get("tag") or found.path.removeprefix("/api/v1/").partition("/")[0]
    described: Json = {
        "operationId": f"{tag}.{operation.handler.__name__.lstrip('_')}",
        "tags": [tag],
        "summary": summary.replace("\n", " "),
        "parameters": [*_path_parameters(found.path), *_query_parameters(operation.query)],
        "responses": {
            str(told.get("status", 200)): {"description": "Done.", **_content(operation, known)},
            "default": {
                "description": "What happened, and what to do.",
                "content": {JSON: {"schema": known[wire.Error]}},
            },
        },
        "security": [] if told.get("public") else [{"key": []}, {}],
    }
    if description:
        described["description"] = description
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": known[operation.body]}}}
    elif "takes" in told:
        described["requestBody"] = {"required": True, "content": {told["takes"]: {}}}
    return described


def _content(operation: Operation, known: dict[Any, Json]) -> Json:
    """What a success holds: JSON of the answer's type, and media types that have no schema."""
    answer = operation.told.get("answer")
    media: Json = {name: {} for name in operation.told.get("gives", [JSON])}
    if answer is not None:
        media[JSON] = {"schema": known[answer]}
    return {"content": media} if media else {}


def _path_parameters(path: str) -> Iterator[Json]:
    for name, slashes in _PARAMETER.findall(path):
        parameter = {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        yield parameter | ({"description": "May hold slashes."} if slashes else {})


def _query_parameters(query: Any) -> Iterator[Json]:
    if query is None:
        return
    _, components = msgspec.json.schema_components([query])
    schema = components[query.__name__]
    for name, shape in schema["properties"].items():
        parameter: Json = {"name": name, "in": "query", "required": name in schema["required"], "schema": shape}
        if "description" in shape:
            parameter["description"] = shape["description"]
        yield parameter
