"""/api/v1/endpoints/{name}/predict, chat, embed and search: ask an endpoint."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from typing import Any, TypedDict

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from twinloop.control.gateway.model import StreamReply
from twinloop.control.gateway.service import Gateway
from twinloop.control.releases.answers import (
    ChatRequest,
    Citation,
    EmbedAnswer,
    EmbedRequest,
    Message,
    PredictAnswer,
    PredictRequest,
    SearchAnswer,
    SearchRequest,
    Usage,
)
from twinloop.core.errors import InvalidInput, TwinloopError
from twinloop.protocols.event_stream import EventStream
from twinloop.protocols.http import JSON, Call, InternalError, reply, route
from twinloop.protocols.native.errors import NATIVE

log = logging.getLogger("twinloop.protocols")

_encoder = msgspec.json.Encoder()


class PredictBody(msgspec.Struct, frozen=True):
    """One map of input names to values per row; a name missing from a row counts as null. A tensor's row is a list."""

    rows: list[dict[str, str | int | float | bool | list[Any] | None]]


class ChatBody(msgspec.Struct, frozen=True):
    messages: list[Message]
    stream: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: list[str] = []


class EmbedBody(msgspec.Struct, frozen=True):
    texts: list[str]


class SearchBody(msgspec.Struct, frozen=True):
    query: str
    k: int = 10


class Answered(TypedDict):
    """``release`` is what answered, ``name@number``; ``trace`` the id of the trace that tells how."""

    release: str
    trace: str


class Predicted(Answered):
    outputs: list[dict[str, Any]]


class Chatted(Answered):
    """``declined`` when the documents of the endpoint do not hold an answer."""

    text: str
    citations: list[Citation]
    declined: bool
    finish: str
    usage: Usage


class Embedded(Answered):
    vectors: list[list[float]]
    usage: Usage


class Found(Answered):
    hits: tuple[Citation, ...]


def routes(gateway: Gateway) -> list[Route]:
    async def predict(call: Call, body: PredictBody) -> Response:
        """Predict one output per row."""
        done = await gateway.answer(call.who, call.path["name"], _columns(body), sticky=_sticky(call))
        answer = done.value
        assert isinstance(answer, PredictAnswer)
        outputs = [dict(zip(answer.columns, row, strict=True)) for row in zip(*answer.columns.values(), strict=True)]
        return _reply(Predicted(outputs=outputs, release=done.release, trace=done.trace_id))

    async def chat(call: Call, body: ChatBody) -> Response:
        """Answer a conversation, whole or as server-sent events."""
        request = ChatRequest(
            messages=tuple(body.messages),
            max_tokens=body.max_tokens,
            temperature=body.temperature,
            top_p=body.top_p,
            seed=body.seed,
            stop=tuple(body.stop),
            whole=not body.stream,
        )
        if not request.messages:
            raise InvalidInput("messages is empty. Send at least one message with the role user.")
        stream = await gateway.stream(call.who, call.path["name"], request, sticky=_sticky(call))
        if body.stream:
            headers = _headers(stream.release, stream.trace_id)
            return EventStream(_chat_events(stream), headers, stream.deltas.aclose)
        return await _whole(stream)

    async def embed(call: Call, body: EmbedBody) -> Response:
        """One vector per text."""
        done = await gateway.answer(call.who, call.path["name"], EmbedRequest(tuple(body.texts)), sticky=_sticky(call))
        answer = done.value
        assert isinstance(answer, EmbedAnswer)
        return _reply(Embedded(vectors=answer.vectors, usage=answer.usage, release=done.release, trace=done.trace_id))

    async def search(call: Call, body: SearchBody) -> Response:
        """The passages nearest to a query."""
        done = await gateway.answer(
            call.who, call.path["name"], SearchRequest(body.query, body.k), sticky=_sticky(call)
        )
        answer = done.value
        assert isinstance(answer, SearchAnswer)
        return _reply(Found(hits=answer.hits, release=done.release, trace=done.trace_id))

    one = "/api/v1/endpoints/{name:path}"
    return [
        route(NATIVE, "POST", one + "/predict", predict, body=PredictBody, answer=Predicted),
        route(NATIVE, "POST", one + "/chat", chat, body=ChatBody, answer=Chatted, gives=[JSON, "text/event-stream"]),
        route(NATIVE, "POST", one + "/embed", embed, body=EmbedBody, answer=Embedded),
        route(NATIVE, "POST", one + "/search", search, body=SearchBody, answer=Found),
    ]


def _columns(body: PredictBody) -> PredictRequest:
    if not body.rows:
        raise InvalidInput("rows is empty. Send at least one row.")
    names = dict.fromkeys(name for row in body.rows for name in row)
    return PredictRequest({name: [row.get(name) for row in body.rows] for name in names}, len(body.rows))


def _sticky(call: Call) -> str | None:
    return call.headers.get("x-twinloop-sticky")


def _headers(release: str, trace_id: str) -> dict[str, str]:
    return {"x-twinloop-release": release, "x-twinloop-trace": trace_id}


def _reply(value: Answered) -> Response:
    return reply(value, headers=_headers(value["release"], value["trace"]))


async def _whole(stream: StreamReply) -> Response:
    text: list[str] = []
    citations: list[Citation] = []
    finish, usage = "stop", Usage()
    async for delta in stream.deltas:
        text.append(delta.text)
        citations.extend(delta.citations)
        finish, usage = delta.finish or finish, delta.usage or usage
    return _reply(
        Chatted(
            text="".join(text),
            citations=citations,
            declined=finish == "declined",
            finish=finish,
            usage=usage,
            release=stream.release,
            trace=stream.trace_id,
        )
    )


async def _chat_events(stream: StreamReply) -> AsyncGenerator[bytes, None]:
    """The events of an answer; an error in the middle becomes an event, after which the stream ends."""
    finish, usage = "stop", Usage()
    try:
        async for delta in stream.deltas:
            finish, usage = delta.finish or finish, delta.usage or usage
            if delta.text or delta.citations:
                yield _event({"delta": delta.text, "citations": delta.citations})
    except TwinloopError as error:
        yield _failure(error, stream.trace_id)
        return
    except Exception:
        log.exception("The streamed answer %s failed", stream.trace_id)
        yield _failure(InternalError("Something went wrong inside Twinloop; its log says what."), stream.trace_id)
        return
    end = {"done": True, "finish": finish, "declined": finish == "declined", "usage": usage}
    yield _event({**end, "release": stream.release, "trace": stream.trace_id})


def _failure(error: TwinloopError, trace_id: str) -> bytes:
    return _event({"error": {"code": error.code, "message": error.message, "trace": trace_id}})


def _event(value: Any) -> bytes:
    return b"data: " + _encoder.encode(value) + b"\n\n"
