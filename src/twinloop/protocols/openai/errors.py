"""The OpenAI error form: ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

import re

import msgspec
from starlette.responses import Response

from twinloop.core.errors import (
    Forbidden,
    InvalidInput,
    NotFound,
    NotOffered,
    PayloadTooLarge,
    TwinloopError,
    Unauthenticated,
)
from twinloop.protocols.http import status_of
from twinloop.protocols.openai.wire import ErrorBody, ErrorResponse

_FIELD_IN_MESSAGE = re.compile(r"`\$\.([^`]+)`")


class InvalidParameter(InvalidInput):
    """A parameter of the request has a wrong value."""

    def __init__(self, message: str, param: str, code: str = "invalid_value") -> None:
        super().__init__(message)
        self.param = param
        self.openai_code = code


class UnsupportedParameter(InvalidParameter):
    """A parameter asks for something that endpoints do not do."""

    def __init__(self, param: str, advice: str) -> None:
        super().__init__(f"{param} is not supported by Twinloop endpoints. {advice}", param, "unsupported_parameter")


# Type and code by the first class an error belongs to, so subclasses stand before their bases.
_FORMS: tuple[tuple[type[TwinloopError], str, str | None], ...] = (
    (PayloadTooLarge, "invalid_request_error", "payload_too_large"),
    (InvalidInput, "invalid_request_error", None),
    (NotFound, "invalid_request_error", "model_not_found"),
    (NotOffered, "invalid_request_error", "unsupported_parameter"),
    (Unauthenticated, "authentication_error", "invalid_api_key"),
    (Forbidden, "permission_error", "insufficient_permissions"),
)


def http_status(error: TwinloopError) -> int:
    """As elsewhere, but 400 for what is not offered: OpenAI's clients retry a 5xx."""
    return 400 if isinstance(error, NotOffered) else status_of(error)


def body_of(error: TwinloopError, trace: str | None = None) -> ErrorResponse:
    kind, code = next((form[1:] for form in _FORMS if isinstance(error, form[0])), ("server_error", error.code))
    param = None
    if isinstance(error, InvalidParameter):
        param, code = error.param, error.openai_code
    elif isinstance(error, NotFound):
        param = "model"
    elif isinstance(error, InvalidInput) and (found := _FIELD_IN_MESSAGE.search(error.message)):
        param = found.group(1)
    return ErrorResponse(ErrorBody(error.message, kind, param, code, trace))


class OpenAIDialect:
    def error(self, error: TwinloopError, trace: str | None = None) -> Response:
        body = msgspec.json.encode(body_of(error, trace))
        return Response(body, http_status(error), media_type="application/json")


OPENAI = OpenAIDialect()
