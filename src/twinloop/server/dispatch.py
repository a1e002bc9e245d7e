"""Finds the route of a request: by one look into a dictionary, or by the fixed beginning of its path."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send


class _Pattern(NamedTuple):
    prefix: str
    route: Route


class Dispatch:
    """An ASGI application in front of Starlette's router, which tries one regular expression after another.

    The endpoints of ``protocols.http.route`` answer their own errors, so they need none of Starlette's middleware;
    with some hundred routes the search and the middleware cost more than all the rest of a small request. What no route
    takes goes on to Starlette: the console, and the refusal of unknown paths and methods.
    """

    def __init__(self, starlette: Starlette, routes: Iterable[BaseRoute]) -> None:
        self._starlette = starlette
        self._exact: dict[tuple[str, str], Route] = {}
        self._patterns: dict[str, list[_Pattern]] = defaultdict(list)
        for route in routes:
            if not isinstance(route, Route):
                continue
            for method in route.methods or ():
                if "{" not in route.path:
                    self._exact.setdefault((method, route.path), route)
                else:
                    self._patterns[method].append(_Pattern(route.path.partition("{")[0], route))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoint(scope) if scope["type"] == "http" else None
        if endpoint is None:
            await self._starlette(scope, receive, send)
            return
        scope["app"] = self._starlette
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)

    def _endpoint(self, scope: Scope) -> Any:
        method, path = scope["method"], scope["path"]
        found = self._exact.get((method, path))
        if found is not None:
            scope["path_params"] = {}
            return found.endpoint
        for prefix, route in self._patterns.get(method, ()):
            if path.startswith(prefix):
                match = route.path_regex.match(path)
                if match is not None:
                    converters = route.param_convertors
                    scope["path_params"] = {n: converters[n].convert(v) for n, v in match.groupdict().items()}
                    return route.endpoint
        return None
