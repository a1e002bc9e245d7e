"""The ASGI application: routes of all protocols, the console, and the guard before them."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from twinloop.compose import App
from twinloop.control.security.model import Principal
from twinloop.control.security.service import Keys
from twinloop.core.errors import InvalidInput, NotFound, Unauthenticated
from twinloop.protocols.http import Authenticate
from twinloop.server.console import Console
from twinloop.server.dispatch import Dispatch
from twinloop.server.guard import Guard
from twinloop.server.routes import all_routes, is_api, refuse


def application(app: App, *, loopback: bool = True) -> Guard:
    """The ASGI application of ``app``. Its life is the App's: open before, close after.

    Not on ``loopback``, any name may be asked for and every request needs a key, also when the last one is revoked.
    """
    routes = all_routes(app)
    starlette = Starlette(routes=[*routes, _pages(Console())], exception_handlers={HTTPException: _http_error})
    starlette.router.redirect_slashes = False
    starlette.state.authenticate = app.keys.authenticate if loopback else _with_key(app.keys)
    return Guard(Dispatch(starlette, routes), loopback, refuse)


def _with_key(keys: Keys) -> Authenticate:
    def authenticate(headers: Mapping[str, str]) -> Principal:
        if not keys.any:
            raise Unauthenticated(
                "No key is in force. Stop this server and make one: twinloop keys create NAME --role admin"
            )
        return keys.authenticate(headers)

    return authenticate


def _pages(console: Console) -> Route:
    """Whatever no protocol answers: the console, or an error in the form of the protocol that the path belongs to."""

    async def page(request: Request) -> Response:
        path = request.url.path
        if is_api(path):
            return refuse(path, NotFound(f"There is nothing at {path[:200]}. See /api/v1/openapi.json"))
        try:
            return console.page(request.path_params["path"])
        except NotFound as error:
            return refuse(path, error)

    return Route("/{path:path}", page, methods=["GET"])


async def _http_error(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: an unknown path or a method the path does not take."""
    path = request.url.path
    if isinstance(error, HTTPException) and error.status_code == 405:
        response = refuse(path, InvalidInput(f"{path[:200]} does not take {request.method}."))
        response.status_code = 405
        return response
    return refuse(path, NotFound(f"There is nothing at {path[:200]}."))
