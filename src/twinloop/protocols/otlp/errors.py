"""How OTLP says that something went wrong: a google.rpc.Status in the encoding the client speaks."""

from __future__ import annotations

from starlette.responses import Response

from twinloop.core.errors import (
    DeadlineExceeded,
    Forbidden,
    InvalidInput,
    NotFound,
    NotOffered,
    PayloadTooLarge,
    TwinloopError,
    Unauthenticated,
    Unavailable,
)
from twinloop.protocols.http import reply, status_of

PROTOBUF = "application/x-protobuf"
JSON = "application/json"

# google.rpc.Code of each error.
_CODES: tuple[tuple[type[TwinloopError], int], ...] = (
    (PayloadTooLarge, 8),
    (InvalidInput, 3),
    (NotFound, 5),
    (Unauthenticated, 16),
    (Forbidden, 7),
    (NotOffered, 12),
    (DeadlineExceeded, 4),
    (Unavailable, 14),
)
_INTERNAL = 13

# What MLflow's clients know these errors as.
_NAMES: tuple[tuple[type[TwinloopError], str], ...] = (
    (InvalidInput, "INVALID_PARAMETER_VALUE"),
    (NotFound, "RESOURCE_DOES_NOT_EXIST"),
    (Unauthenticated, "UNAUTHENTICATED"),
    (Forbidden, "PERMISSION_DENIED"),
    (Unavailable, "TEMPORARILY_UNAVAILABLE"),
)


class UnsupportedType(InvalidInput):
    """A content type or content encoding that OTLP over HTTP does not have."""

    code = "unsupported_type"


class NothingKept(InvalidInput):
    """A request that can be read, and none of whose spans can be kept."""

    code = "nothing_kept"


class Otlp:
    """``binary`` answers protobuf, else JSON."""

    def __init__(self, binary: bool) -> None:
        self._binary = binary

    def error(self, error: TwinloopError, trace: str | None = None) -> Response:
        code = next((code for kind, code in _CODES if isinstance(error, kind)), _INTERNAL)
        status = _status(error, 415)
        if self._binary:
            return Response(status_message(code, error.message), status, media_type=PROTOBUF)
        return reply({"code": code, "message": error.message}, status)


def _status(error: TwinloopError, unsupported: int) -> int:
    if isinstance(error, UnsupportedType):
        return unsupported
    return 422 if isinstance(error, NothingKept) else status_of(error)


class ForMlflow:
    """How MLflow's server says it here: its client reads ``error_code`` and ``message``, other tools ``detail``."""

    def error(self, error: TwinloopError, trace: str | None = None) -> Response:
        name = next((name for kind, name in _NAMES if isinstance(error, kind)), "INTERNAL_ERROR")
        said = {"error_code": name, "message": error.message, "detail": error.message}
        return reply(said, _status(error, 400))


def status_message(code: int, message: str) -> bytes:
    """``google.rpc.Status{int32 code = 1; string message = 2}`` on the wire.

    Written by hand because the generated class is in a package that nothing else here needs.
    """
    text = message.encode()
    return bytes((0x08, code, 0x12)) + _varint(len(text)) + text


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


BINARY = Otlp(binary=True)
TEXT = Otlp(binary=False)
FOR_MLFLOW = ForMlflow()
