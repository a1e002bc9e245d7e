"""How MLflow's REST interface says that something went wrong.

``{"error_code": ..., "message": ..., "sqlstate": ..., "error_class": ...}``; the last two are there where MLflow has
classified the code.
"""

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


# As in MLflow's error_classification: clients read both off their exceptions, and guess others where they are missing.
_USERS, _SYSTEMS = "KAM00", "XXM00"
_CLASSES: dict[str, tuple[str, str]] = {
    "ENDPOINT_NOT_FOUND": (_USERS, "RESOURCE_NOT_FOUND"),
    "INTERNAL_ERROR": (_SYSTEMS, "CLIENT_INTERNAL_ERROR"),
    "INVALID_PARAMETER_VALUE": (_USERS, "INVALID_PARAMETER_VALUE"),
    "PERMISSION_DENIED": (_USERS, "PERMISSION_DENIED"),
    "RESOURCE_ALREADY_EXISTS": (_USERS, "RESOURCE_ALREADY_EXISTS"),
    "RESOURCE_DOES_NOT_EXIST": (_USERS, "RESOURCE_NOT_FOUND"),
    "TEMPORARILY_UNAVAILABLE": (_SYSTEMS, "CLIENT_INTERNAL_ERROR"),
}


class Mlflow:
    def error(self, error: TwinloopError, trace: str | None = None) -> Response:
        for kind, code, status in _CODES:
            if isinstance(error, kind):
                return reply(_said(code, error.message), status)
        return reply(_said("INTERNAL_ERROR", error.message), 500)


def _said(code: str, message: str) -> dict[str, str]:
    said = {"error_code": code, "message": message}
    if code in _CLASSES:
        said["sqlstate"], said["error_class"] = _CLASSES[code]
    return said


MLFLOW = Mlflow()
