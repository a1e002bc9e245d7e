"""OTLP's path for traces. What is acknowledged is durable."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from twinloop.control.tracing.service import Tracing
from twinloop.core.errors import InvalidInput, PayloadTooLarge
from twinloop.protocols.http import BODY_LIMIT, Call, decode_json, reply, route
from twinloop.protocols.otlp import wire
from twinloop.protocols.otlp.decode import from_json, from_protobuf
from twinloop.protocols.otlp.errors import BINARY, JSON, PROTOBUF, TEXT, UnsupportedType
from twinloop.protocols.otlp.translate import Export, export

PATH = "/v1/traces"
_LARGE = 64 * 1024

T = TypeVar("T")


def routes(tracing: Tracing) -> list[Route]:
    handlers = TraceHandlers(tracing)
    binary = route(BINARY, "POST", PATH, handlers.protobuf)
    text = route(TEXT, "POST", PATH, handlers.json)

    async def endpoint(request: Request) -> Response:
        """Errors, of authentication too, are answered in the encoding that the client speaks."""
        chosen = binary if media_type(request.headers.get("content-type", "")) == PROTOBUF else text
        answer: Response = await chosen.endpoint(request)
        return answer

    return [Route(PATH, endpoint, methods=["POST"])]


class TraceHandlers:
    """Decode, record, answer, in either encoding."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    async def protobuf(self, call: Call) -> Response:
        who = call.who.name
        data = await _content(call)
        found = await _aside(data, lambda body: export(from_protobuf(body), who))
        await self._record(call, found)
        return Response(_response(found), media_type=PROTOBUF)

    async def json(self, call: Call) -> Response:
        given = call.headers.get("content-type", "")
        if media_type(given) != JSON:
            raise UnsupportedType(f"The content type {given[:80]!r} is not OTLP. Send {PROTOBUF} or {JSON}.")
        who = call.who.name
        data = await _content(call)
        found = await _aside(data, lambda body: export(from_json(decode_json(body, wire.ExportRequest)), who))
        await self._record(call, found)
        if not found.rejected:
            return reply({})
        return reply({"partialSuccess": {"rejectedSpans": str(found.rejected), "errorMessage": found.reason}})

    async def _record(self, call: Call, found: Export) -> None:
        if found.rejected and not found.traces:
            raise InvalidInput(f"No span of the request can be kept. {found.reason}")
        await self._tracing.record(call.who, found.traces)


def media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


async def _content(call: Call) -> bytes:
    """The body without its content encoding, bounded before and after."""
    encoding = call.headers.get("content-encoding", "identity").strip().lower()
    data = await call.body()
    if encoding in ("", "identity"):
        return data
    if encoding not in ("gzip", "deflate"):
        raise UnsupportedType(f"The content encoding {encoding[:40]!r} is not offered. Send gzip, deflate or none.")
    return await _aside(data, inflate)


def inflate(data: bytes, limit: int = BODY_LIMIT) -> bytes:
    """Undo gzip or zlib.

    Raises:
        InvalidInput: damaged or cut off.
        PayloadTooLarge: over ``limit`` bytes once inflated; no more than that is held in memory.
    """
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: take the header of either format
    try:
        content = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise InvalidInput("The body is not valid gzip. Send it whole, or without content-encoding.") from error
    if len(content) > limit:
        raise PayloadTooLarge(f"The body is over {limit} bytes once inflated. Send smaller batches.")
    if not inflater.eof or inflater.unused_data:
        raise InvalidInput("The gzip body is cut off or has bytes after its end. Send it whole.")
    return content


async def _aside(data: bytes, work: Callable[[bytes], T]) -> T:
    """Large bodies are worked on in a thread, so that other requests go on."""
    return work(data) if len(data) < _LARGE else await asyncio.to_thread(work, data)


def _response(found: Export) -> bytes:
    if not found.rejected:
        return b""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = found.rejected
    response.partial_success.error_message = found.reason
    return bytes(response.SerializeToString())
