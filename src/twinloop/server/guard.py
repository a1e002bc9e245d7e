"""What every request passes before any route: on loopback, nobody from another site may speak to us."""

from __future__ import annotations

import re
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from twinloop.core.errors import Forbidden, InvalidInput, TwinloopError

# Written out, because a URL parser accepts more than a browser sends: users, paths, names that only begin like these.
_LOOPBACK = re.compile(r"(?:localhost|\[::1\]|127(?:\.[0-9]{1,3}){3})(?::(?P<port>[0-9]{0,5}))?")
_HIGHEST_PORT = 65535


class Guard:
    """Refuses foreign Host and Origin headers when ``loopback``.

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
        await self._application(scope, receive, send)

    def _objection(self, scope: Scope) -> TwinloopError | None:
        if not scope["path"].isprintable() or "\x00" in scope["path"]:
            return InvalidInput("The path holds characters that no path here has.")
        if not self._loopback:
            return None
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) > 1:
            return InvalidInput("The request has more than one Host header. Send one.")
        host = hosts[0].decode("latin-1") if hosts else ""
        if not _is_loopback(host):
            return Forbidden(f"The Host {host[:100]!r} is not this machine. Use http://127.0.0.1 or http://localhost.")
        origin = dict(scope["headers"]).get(b"origin", b"").decode("latin-1")
        if origin and origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower()):
            return Forbidden(
                f"Requests from the site {origin[:100]!r} are refused. Open the console of this server instead."
            )
        return None


def _is_loopback(host: str) -> bool:
    found = _LOOPBACK.fullmatch(host.lower())
    return found is not None and int(found["port"] or 0) <= _HIGHEST_PORT
