"""MLflow's paths. What is not offered answers MLflow's own error form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Route

from twinloop.core.errors import NotOffered
from twinloop.protocols.http import Call, Handler, route
from twinloop.protocols.mlflow import graphql
from twinloop.protocols.mlflow.coverage import Gap, missing
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.errors import MLFLOW

VERSION = "3.17.0"
"""The MLflow whose protocol this is; clients log spans by OTLP only to 3.4 and later."""

_REST = ("/api/2.0", "/api/3.0", "/ajax-api/2.0", "/ajax-api/3.0")
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def routes(areas: Iterable[Sequence[Endpoint]]) -> list[Route]:
    """Routes of every area, each under ``/api`` for clients and under ``/ajax-api`` for browsers."""
    offered = [endpoint for area in areas for endpoint in area]
    offered += graphql.endpoints(offered)
    found = [
        route(MLFLOW, endpoint.method, path, endpoint.handler, limit=endpoint.limit, public=endpoint.public)
        for endpoint in offered
        for path in endpoint.paths
    ]
    found += [
        route(MLFLOW, "GET", "/version", _version, public=True),
        route(MLFLOW, "GET", "/health", _health, public=True),
    ]
    found += [
        route(MLFLOW, "GET", f"{prefix}/mlflow/server-info", _server_info) for prefix in ("/api/3.0", "/ajax-api/3.0")
    ]
    found += [
        route(MLFLOW, method, path, _refusal(gap))
        for method, written, gap in missing(offered)
        for path in Endpoint(method, written, _not_offered).paths
    ]
    found += [
        route(MLFLOW, method, f"{prefix}/{area}/{{rest:path}}", _not_offered)
        for prefix in _REST
        for area in ("mlflow", "mlflow-artifacts")
        for method in _METHODS
    ]
    return [*found, Route("//{rest:path}", _with_one_slash, methods=list(_METHODS))]


async def _version(call: Call) -> PlainTextResponse:
    """The version of MLflow whose protocol this is."""
    return PlainTextResponse(VERSION)


async def _health(call: Call) -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("OK")


async def _server_info(call: Call) -> dict[str, object]:
    """What clients ask before they choose calls."""
    return {
        "store_type": "SqlStore",
        "workspaces_enabled": False,
        "trace_archival_enabled": False,
        # Parts are taken from clients that are told to send them. Those that read this would send them by themselves, which
        # costs a copy here and, in MLflow 3.17, fails for a file that is given as a pathlib.Path.
        "multipart_uploads_enabled": False,
        "multipart_downloads_enabled": False,
    }


async def _with_one_slash(request: Request) -> RedirectResponse:
    """Sends on who joins a path to an address that ends in a slash, as MLflow's server does.

    The path is quoted again and begins with one slash, so that it can never be read as another host.
    """
    path, query = request.path_params["rest"].lstrip("/"), request.url.query
    return RedirectResponse(f"/{quote(path)}" + (f"?{query}" if query else ""), 308)


def _refusal(gap: Gap) -> Handler:
    async def refuse(call: Call) -> None:
        raise NotOffered(f"Twinloop does not offer {call.url_path[:200]} of MLflow's interface. {gap.why}")

    refuse.__name__ = _not_offered.__name__
    return refuse


async def _not_offered(call: Call) -> None:
    raise NotOffered(
        f"MLflow's interface has no {call.url_path[:200]} that Twinloop knows, or not with this method. "
        "docs/reference/mlflow.md lists what there is."
    )
