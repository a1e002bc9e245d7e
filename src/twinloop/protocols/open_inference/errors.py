"""The protocol's error form: ``{"error": "..."}``."""

from __future__ import annotations

from starlette.responses import Response

from twinloop.core.errors import TwinloopError
from twinloop.protocols.http import reply, status_of


class OpenInferenceDialect:
    def error(self, error: TwinloopError, trace: str | None = None) -> Response:
        return reply({"error": error.message}, status_of(error))


OPEN_INFERENCE = OpenInferenceDialect()
