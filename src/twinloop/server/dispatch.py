"""Finds the route of a path that has no parameters by one look into a dictionary."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send


class Dispatch:
    """An ASGI application in front of Starlette's router, which tries one route after another.

    The endpoints of ``protocols.http.route`` answer their own errors, so they need none of Starlette's middleware;
    with some hundred routes the search and the middleware cost more than all the rest of a small request.
    """

    def __init__(self, starlette: Starlette, routes: Iterable[BaseRoute]) -> None:
        self._starlette = starlette
        self._exact: dict[tuple[str, str], Any] = {}
        for route in routes:
            if isinstance(route, Route) and "{" not in route.path:
                for method in route.methods or ():
                    self._exact.setdefault((method, route.path), route.endpoint)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._exact.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if endpoint is None:
            await self._starlette(scope, receive, send)
            return
        scope["app"] = self._starlette
        scope["path_params"] = {}
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
