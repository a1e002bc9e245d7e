"""OTLP's path for traces. What is acknowledged is durable.

MLflow's clients send their spans here too and name the experiment in a header; they are answered in MLflow's manner.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from twinloop.control.security.redaction import may_hold_secrets
from twinloop.control.tracing.infos import LINKS
from twinloop.control.tracing.service import Tracing
from twinloop.core.errors import InvalidInput, PayloadTooLarge, TwinloopError
from twinloop.protocols.http import BODY_LIMIT, Call, Dialect, decode_json, reply, route
from twinloop.protocols.otlp import wire
from twinloop.protocols.otlp.decode import from_json, from_protobuf
from twinloop.protocols.otlp.errors import BINARY, FOR_MLFLOW, JSON, PROTOBUF, TEXT, NothingKept, UnsupportedType
from twinloop.protocols.otlp.translate import Export, export

PATH = "/v1/traces"
EXPERIMENT = "x-mlflow-experiment-id"
RUN = "x-mlflow-run-id"
_LARGE = 64 * 1024

T = TypeVar("T")


def routes(tracing: Tracing) -> list[Route]:
    handlers = TraceHandlers(tracing)

    def variants(binary: Dialect, text: Dialect) -> dict[bool, Route]:
        return {
            True: route(binary, "POST", PATH, handlers.protobuf),
            False: route(text, "POST", PATH, handlers.json),
        }

    plain, of_mlflow = variants(BINARY, TEXT), variants(FOR_MLFLOW, FOR_MLFLOW)

    async def endpoint(request: Request) -> Response:
        """Errors, of authentication too, are answered in the encoding and the manner that the client knows."""
        binary = media_type(request.headers.get("content-type", "")) == PROTOBUF
        chosen = of_mlflow if EXPERIMENT in request.headers else plain
        answer: Response = await chosen[binary].endpoint(request)
        return answer

    return [Route(PATH, endpoint, methods=["POST"])]


class TraceHandlers:
    """Decode, record, answer, in either encoding."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    async def protobuf(self, call: Call) -> Response:
        data = await _content(call)
        who, experiment = call.who.name, _experiment(call)
        found = await _aside(data, lambda body: export(from_protobuf(body), who, experiment))
        # Protobuf holds texts as they are, so a body without the marks of secrets has none.
        await self._record(call, found, scanned=not may_hold_secrets(data))
        return Response(_response(found), media_type=PROTOBUF)

    async def json(self, call: Call) -> Response:
        given = call.headers.get("content-type", "")
        if media_type(given) != JSON:
            raise UnsupportedType(f"Invalid Content-Type: {given[:80]!r} is not OTLP. Send {PROTOBUF} or {JSON}.")
        data = await _content(call)
        who, experiment = call.who.name, _experiment(call)
        found = await _aside(
            data, lambda body: export(from_json(decode_json(body, wire.ExportRequest)), who, experiment)
        )
        await self._record(call, found, scanned=False)
        if not found.rejected:
            return reply({})
        return reply({"partialSuccess": {"rejectedSpans": str(found.rejected), "errorMessage": found.reason}})

    async def _record(self, call: Call, found: Export, scanned: bool) -> None:
        named = call.headers.get(EXPERIMENT)
        if not found.traces:
            if found.rejected:
                raise NothingKept(f"No span of the request can be kept. {found.reason}")
            if named is not None:
                raise InvalidInput("Invalid OpenTelemetry format - no spans found. Send at least one.")
        if named is not None:
            await self._tracing.infos.experiment(call.who, named)
        await self._tracing.record(call.who, found.traces, scanned)
        run = call.headers.get(RUN)
        if run:
            ended = [trace.trace_id for trace in found.traces if trace.status != "running"]
            for first in range(0, len(ended), LINKS):
                await self._tracing.infos.link_run(call.who, ended[first : first + LINKS], run)


def _experiment(call: Call) -> int | None:
    """The number that the request names; whether there is such an experiment is asked once its spans can be read."""
    named = call.headers.get(EXPERIMENT)
    if named is None:
        return None
    return int(named) if named.isascii() and named.isdigit() and len(named) <= 18 else 0


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
    """Undo gzip, zlib, or deflate without zlib's header, which some clients send.

    Raises:
        InvalidInput: damaged or cut off.
        PayloadTooLarge: over ``limit`` bytes once inflated; no more than that is held in memory.
    """
    try:
        return _inflated(data, limit, zlib.MAX_WBITS | 32)  # 32: take the header of either format
    except PayloadTooLarge:
        raise
    except TwinloopError:
        if data[:2] == b"\x1f\x8b":
            raise
        try:
            return _inflated(data, limit, -zlib.MAX_WBITS)
        except InvalidInput as error:
            raise InvalidInput("The body is not valid gzip. Send it whole, or without content-encoding.") from error


def _inflated(data: bytes, limit: int, window: int) -> bytes:
    inflater = zlib.decompressobj(window)
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
