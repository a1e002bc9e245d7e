"""The ASGI application: routes of all protocols, the console, and the guard before them."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from twinloop.compose import App
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.server import console
from twinloop.server.guard import Guard
from twinloop.server.routes import all_routes, is_api, refuse


def application(app: App) -> Guard:
    """The ASGI application of ``app``. Its life is the App's: open before, close after."""
    routes = [*all_routes(app), Route("/{path:path}", _page, methods=["GET"])]
    starlette = Starlette(routes=routes, exception_handlers={HTTPException: _http_error})
    starlette.router.redirect_slashes = False
    starlette.state.authenticate = app.keys.authenticate
    return Guard(starlette, app.settings.loopback, refuse)


async def _page(request: Request) -> Response:
    if is_api(request.url.path):
        return refuse(
            request.url.path, NotFound(f"There is nothing at {request.url.path[:200]}. See /api/v1/openapi.json")
        )
    return await console.page(request)


async def _http_error(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: an unknown path or a method the path does not take."""
    path = request.url.path
    if isinstance(error, HTTPException) and error.status_code == 405:
        response = refuse(path, InvalidInput(f"{path[:200]} does not take {request.method}."))
        response.status_code = 405
        return response
    return refuse(path, NotFound(f"There is nothing at {path[:200]}."))
