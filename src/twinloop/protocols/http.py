"""What every HTTP protocol does alike: authenticate, read a bounded body, decode, and turn errors into its own form."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypedDict, TypeVar, Unpack, overload

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from twinloop.control.security.model import Principal, Role
from twinloop.core.errors import (
    Conflict,
    DeadlineExceeded,
    Forbidden,
    InstallationError,
    InvalidInput,
    NotFound,
    NotOffered,
    PayloadTooLarge,
    Refused,
    StorageFull,
    TwinloopError,
    Unauthenticated,
    Unavailable,
    UpstreamError,
)

log = logging.getLogger("twinloop.protocols")

BODY_LIMIT = 16 * 2**20
T = TypeVar("T")

_STATUS: tuple[tuple[type[TwinloopError], int], ...] = (
    (PayloadTooLarge, 413),
    (InvalidInput, 400),
    (NotFound, 404),
    (Refused, 409),
    (Conflict, 409),
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NotOffered, 501),
    (DeadlineExceeded, 504),
    (Unavailable, 503),
    (UpstreamError, 502),
    (StorageFull, 507),
    (InstallationError, 500),
)


class InternalError(TwinloopError):
    """Something nobody foresaw; the log has the details, the caller only learns that it happened."""

    code = "internal"


def status_of(error: TwinloopError) -> int:
    """The HTTP status of a domain error, for protocols that have no other rule."""
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return status
    return 500


class Dialect(Protocol):
    """One protocol's manners: how it says that something went wrong."""

    def error(self, error: TwinloopError, trace: str | None = None) -> Response: ...


class Authenticate(Protocol):
    def __call__(self, headers: Mapping[str, str]) -> Principal:
        """Raise Unauthenticated when the headers carry no known key."""
        ...


class Call:
    """One HTTP request, as a handler sees it."""

    __slots__ = ("_limit", "_request", "who")

    def __init__(self, request: Request, who: Principal, limit: int) -> None:
        self._request = request
        self._limit = limit
        self.who = who

    @property
    def path(self) -> dict[str, Any]:
        return self._request.path_params

    @property
    def query(self) -> Mapping[str, str]:
        return self._request.query_params

    @property
    def headers(self) -> Mapping[str, str]:
        return self._request.headers

    @property
    def url_path(self) -> str:
        return self._request.url.path

    @property
    def method(self) -> str:
        """The method of the request; a path that takes GET is asked by HEAD too."""
        return self._request.method

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, unbounded; for streaming straight to a store."""
        try:
            async for chunk in self._request.stream():
                if chunk:
                    yield chunk
        except ClientDisconnect as error:
            raise InvalidInput("The client closed the connection before the body was complete.") from error

    async def body(self) -> bytes:
        """The whole body. Raises PayloadTooLarge over the route's limit, without reading the rest."""
        declared = self.headers.get("content-length")
        if declared is not None and declared.isdigit() and int(declared) > self._limit:
            raise PayloadTooLarge(f"The body has {declared} bytes; {self._limit} is the most this path takes.")
        parts: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await self._request.receive()
            if message["type"] == "http.disconnect":
                raise InvalidInput("The client closed the connection before the body was complete.")
            chunk = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(chunk)
            if size > self._limit:
                raise PayloadTooLarge(f"The body is over {self._limit} bytes, the most this path takes.")
            parts.append(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def json(self, type: type[T]) -> T:
        """The body decoded as ``type``. Raises InvalidInput naming the field that does not fit."""
        return decode_json(await self.body(), type)


_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def decode_json(data: bytes, type: type[T]) -> T:
    """Decode JSON strictly (no NaN, valid UTF-8, bounded nesting) into ``type``."""
    decoder = _decoders.get(type)
    if decoder is None:
        decoder = _decoders[type] = msgspec.json.Decoder(type)
    try:
        return decoder.decode(data)  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise InvalidInput(f"The body does not fit: {error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"The body is not valid JSON: {error}.") from error


def decode_query(query: Mapping[str, str], type: type[T]) -> T:
    """Decode query parameters into ``type``; numbers and booleans are read from their text."""
    try:
        return msgspec.convert(dict(query), type, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"The query parameters do not fit: {error}.") from error


_encoder = msgspec.json.Encoder()


def reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(_encoder.encode(value), status, dict(headers or {}), "application/json")


Handler = Callable[[Call], Awaitable[Any]]
Taking = Callable[[Call, T], Awaitable[Any]]
JSON = "application/json"


class Told(TypedDict, total=False):
    """What a path may say of itself; ``answer``, ``status``, ``gives``, ``takes`` and ``tag`` go into its document.

    ``limit`` bounds the body in bytes. A ``public`` path asks for no key. ``answer`` is the type of a JSON answer,
    ``status`` what a success has; ``gives`` are its media types and ``takes`` that of a body that is streamed.
    """

    limit: int
    public: bool
    answer: Any
    status: int
    gives: Sequence[str]
    takes: str
    tag: str


class Operation(NamedTuple):
    """One path as its protocol's document describes it. ``body`` and ``query`` are what the handler is given, decoded."""

    method: str
    handler: Callable[..., Awaitable[Any]]
    body: Any
    query: Any
    told: Told


class DescribedRoute(Route):
    """A Starlette route that knows its ``operation``."""

    operation: Operation


@overload
def route(dialect: Dialect, method: str, path: str, handler: Handler, **told: Unpack[Told]) -> Route: ...


@overload
def route(
    dialect: Dialect, method: str, path: str, handler: Taking[T], *, body: type[T], **told: Unpack[Told]
) -> Route: ...


@overload
def route(
    dialect: Dialect, method: str, path: str, handler: Taking[T], *, query: type[T], **told: Unpack[Told]
) -> Route: ...


def route(
    dialect: Dialect,
    method: str,
    path: str,
    handler: Callable[..., Awaitable[Any]],
    *,
    body: type[Any] | None = None,
    query: type[Any] | None = None,
    **told: Unpack[Told],
) -> Route:
    """One path of a protocol. The principal is authenticated first unless the path is ``public``.

    A handler with a ``body`` or a ``query`` is given it decoded as that type, so that the type in the document is the
    one that is decoded. Authentication is found as ``app.state.authenticate``, set once where the application is put
    together.
    """
    public, limit, status = told.get("public", False), told.get("limit", BODY_LIMIT), told.get("status", 200)

    async def endpoint(request: Request) -> Response:
        try:
            who = _ANONYMOUS if public else request.app.state.authenticate(request.headers)
            call = Call(request, who, limit)
            if body is not None:
                answer = await handler(call, await call.json(body))
            elif query is not None:
                answer = await handler(call, decode_query(call.query, query))
            else:
                answer = await handler(call)
            return answer if isinstance(answer, Response) else reply(answer, status)
        except TwinloopError as error:
            if isinstance(error, InstallationError):
                log.error("%s %s: %s", method, request.url.path, error.message)
            return dialect.error(error)
        except Exception:
            log.exception("%s %s failed", method, request.url.path)
            return dialect.error(InternalError("Something went wrong inside Twinloop; its log says what."))

    described = DescribedRoute(path, endpoint, methods=[method])
    described.operation = Operation(method, handler, body, query, told)
    return described


_ANONYMOUS = Principal(name="anonymous", tenant="", role=Role.nobody)
