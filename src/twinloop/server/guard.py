"""What every request passes before any route: on loopback, nobody from another site may speak to us."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from twinloop.core.errors import Forbidden, InvalidInput, TwinloopError

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]


class Guard:
    """Refuses foreign Host and Origin headers when ``loopback``, and adds headers that browsers heed.

    A page of another site can make a browser send requests to 127.0.0.1, and a rebound DNS name can make them look
    local; the first shows in Origin, the second in Host.
    """

    def __init__(self, application: ASGIApp, loopback: bool, refuse: Callable[[str, TwinloopError], Response]) -> None:
        self._application = application
        self._loopback = loopback
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        error = self._objection(scope)
        if error is not None:
            await self._refuse(scope["path"], error)(scope, receive, send)
            return

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self._application(scope, receive, with_headers)

    def _objection(self, scope: Scope) -> TwinloopError | None:
        if not scope["path"].isprintable() or "\x00" in scope["path"]:
            return InvalidInput("The path holds characters that no path here has.")
        if not self._loopback:
            return None
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if not _is_loopback(host):
            return Forbidden(f"The Host {host[:100]!r} is not this machine. Use http://127.0.0.1 or http://localhost.")
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin and urlsplit(origin).netloc.lower() != host.lower():
            return Forbidden(
                f"Requests from the site {origin[:100]!r} are refused. Open the console of this server instead."
            )
        return None


def _is_loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname if _parses(host) else None
    if name is None:
        return False
    return name in ("localhost", "::1") or (name.startswith("127.") and name.replace(".", "").isdigit())


def _parses(host: str) -> bool:
    try:
        urlsplit(f"//{host}").port  # noqa: B018 - raises when the port is not a number
    except ValueError:
        return False
    return True
