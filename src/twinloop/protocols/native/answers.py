"""/api/v1/endpoints/{name}/predict, chat, embed and search: ask an endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

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
from twinloop.protocols.http import Call, events, reply, route
from twinloop.protocols.native.errors import NATIVE

_ROWS = 100_000
_encoder = msgspec.json.Encoder()


class PredictBody(msgspec.Struct, frozen=True):
    """One map of input names to values per row; a name missing from a row counts as null."""

    rows: list[dict[str, str | int | float | bool | None]]


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


def routes(gateway: Gateway) -> list[Route]:
    async def predict(call: Call) -> Any:
        """Predict one output per row."""
        body = await call.json(PredictBody)
        done = await gateway.answer(call.who, call.path["name"], _columns(body), sticky=_sticky(call))
        answer = done.value
        assert isinstance(answer, PredictAnswer)
        outputs = [dict(zip(answer.columns, row, strict=True)) for row in zip(*answer.columns.values(), strict=True)]
        return _reply({"outputs": outputs}, done.release, done.trace_id)

    async def chat(call: Call) -> Any:
        """Answer a conversation, whole or as server-sent events."""
        body = await call.json(ChatBody)
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
            return events(_chat_events(stream), _headers(stream.release, stream.trace_id))
        return await _whole(stream)

    async def embed(call: Call) -> Any:
        """One vector per text."""
        body = await call.json(EmbedBody)
        done = await gateway.answer(call.who, call.path["name"], EmbedRequest(tuple(body.texts)), sticky=_sticky(call))
        answer = done.value
        assert isinstance(answer, EmbedAnswer)
        return _reply({"vectors": answer.vectors, "usage": answer.usage}, done.release, done.trace_id)

    async def search(call: Call) -> Any:
        """The passages nearest to a query."""
        body = await call.json(SearchBody)
        done = await gateway.answer(
            call.who, call.path["name"], SearchRequest(body.query, body.k), sticky=_sticky(call)
        )
        answer = done.value
        assert isinstance(answer, SearchAnswer)
        return _reply({"hits": answer.hits}, done.release, done.trace_id)

    one = "/api/v1/endpoints/{name:path}"
    return [
        route(NATIVE, "POST", one + "/predict", predict),
        route(NATIVE, "POST", one + "/chat", chat),
        route(NATIVE, "POST", one + "/embed", embed),
        route(NATIVE, "POST", one + "/search", search),
    ]


def _columns(body: PredictBody) -> PredictRequest:
    if not body.rows:
        raise InvalidInput("rows is empty. Send at least one row.")
    if len(body.rows) > _ROWS:
        raise InvalidInput(
            f"There are {len(body.rows)} rows; {_ROWS} is the most of one request. Predict a dataset in batch."
        )
    names = dict.fromkeys(name for row in body.rows for name in row)
    return PredictRequest({name: [row.get(name) for row in body.rows] for name in names}, len(body.rows))


def _sticky(call: Call) -> str | None:
    return call.headers.get("x-twinloop-sticky")


def _headers(release: str, trace_id: str) -> dict[str, str]:
    return {"x-twinloop-release": release, "x-twinloop-trace": trace_id}


def _reply(value: dict[str, Any], release: str, trace_id: str) -> Response:
    return reply({**value, "release": release, "trace": trace_id}, headers=_headers(release, trace_id))


async def _whole(stream: StreamReply) -> Response:
    text: list[str] = []
    citations: list[Citation] = []
    finish, usage = "stop", Usage()
    async for delta in stream.deltas:
        text.append(delta.text)
        citations.extend(delta.citations)
        finish, usage = delta.finish or finish, delta.usage or usage
    answer = {
        "text": "".join(text),
        "citations": citations,
        "declined": finish == "declined",
        "finish": finish,
        "usage": usage,
    }
    return _reply(answer, stream.release, stream.trace_id)


async def _chat_events(stream: StreamReply) -> AsyncIterator[bytes]:
    finish, usage = "stop", Usage()
    try:
        async for delta in stream.deltas:
            finish, usage = delta.finish or finish, delta.usage or usage
            if delta.text or delta.citations:
                yield _event({"delta": delta.text, "citations": delta.citations})
    except TwinloopError as error:
        yield _event({"error": {"code": error.code, "message": error.message, "trace": stream.trace_id}})
        return
    end = {"done": True, "finish": finish, "declined": finish == "declined", "usage": usage}
    yield _event({**end, "release": stream.release, "trace": stream.trace_id})


def _event(value: Any) -> bytes:
    return b"data: " + _encoder.encode(value) + b"\n\n"
