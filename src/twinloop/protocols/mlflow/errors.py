"""How MLflow's REST interface says that something went wrong: ``{"error_code": ..., "message": ...}``."""

from __future__ import annotations

from starlette.responses import Response

from twinloop.core.errors import (
    Conflict,
    DeadlineExceeded,
    Forbidden,
    InvalidInput,
    NotFound,
    NotOffered,
    PayloadTooLarge,
    Refused,
    TwinloopError,
    Unauthenticated,
    Unavailable,
)
from twinloop.protocols.http import reply

# Codes and statuses as in MLflow's databricks_pb2.ErrorCode and exceptions.ERROR_CODE_TO_HTTP_STATUS; clients branch on
# RESOURCE_DOES_NOT_EXIST (set_experiment) and on ENDPOINT_NOT_FOUND (fall back to an older call).
_CODES: tuple[tuple[type[TwinloopError], str, int], ...] = (
    (PayloadTooLarge, "INVALID_PARAMETER_VALUE", 413),
    (InvalidInput, "INVALID_PARAMETER_VALUE", 400),
    (NotFound, "RESOURCE_DOES_NOT_EXIST", 404),
    (Conflict, "RESOURCE_ALREADY_EXISTS", 400),
    (Refused, "RESOURCE_CONFLICT", 409),
    (Unauthenticated, "UNAUTHENTICATED", 401),
    (Forbidden, "PERMISSION_DENIED", 403),
    (NotOffered, "ENDPOINT_NOT_FOUND", 404),
    (DeadlineExceeded, "DEADLINE_EXCEEDED", 504),
    (Unavailable, "TEMPORARILY_UNAVAILABLE", 503),
)


class Mlflow:
    def error(self, error: TwinloopError, trace: str | None = None) -> Response:
        for kind, code, status in _CODES:
            if isinstance(error, kind):
                return reply({"error_code": code, "message": error.message}, status)
        return reply({"error_code": "INTERNAL_ERROR", "message": error.message}, 500)


MLFLOW = Mlflow()
