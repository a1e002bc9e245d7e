"""How /api/v1 says that something went wrong."""

from __future__ import annotations

from starlette.responses import Response

from twinloop.core.errors import TwinloopError
from twinloop.protocols.http import reply, status_of


class Native:
    def error(self, error: TwinloopError, trace: str | None = None) -> Response:
        body = {"error": {"code": error.code, "message": error.message, "trace": trace}}
        return reply(body, status_of(error))


NATIVE = Native()
