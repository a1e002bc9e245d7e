"""The paths under /v1 that OpenAI clients call."""

from __future__ import annotations

import time

from starlette.responses import Response
from starlette.routing import Route

from twinloop.control.gateway.model import StreamReply
from twinloop.control.gateway.service import Gateway
from twinloop.control.releases.answers import Citation, EmbedAnswer, Usage
from twinloop.control.releases.model import Traffic
from twinloop.core.errors import NotFound
from twinloop.protocols.event_stream import EventStream
from twinloop.protocols.http import Call, reply, route
from twinloop.protocols.openai import translate
from twinloop.protocols.openai.errors import OPENAI
from twinloop.protocols.openai.streaming import ChunkWriter, chunks
from twinloop.protocols.openai.wire import ChatCompletionRequest, EmbeddingRequest, Model, ModelList, Provenance

_OFFERED = ("chat", "embed")


def routes(gateway: Gateway) -> list[Route]:
    """Models, chat completions (whole and streamed) and embeddings, answered by the gateway's endpoints."""

    async def models(call: Call) -> ModelList:
        """Chat and embed endpoints, as models."""
        return ModelList([_model(traffic) for traffic in _offered(gateway, call)])

    async def model(call: Call) -> Model:
        """One endpoint, as a model."""
        name = call.path["name"]
        for traffic in _offered(gateway, call):
            if traffic.endpoint == name:
                return _model(traffic)
        raise NotFound(f"There is no chat or embed endpoint {name[:80]!r}. GET /v1/models lists them.")

    async def chat(call: Call) -> Response:
        """Answer a conversation at a chat endpoint, whole or streamed."""
        wire = await call.json(ChatCompletionRequest)
        request = translate.chat_request(wire)
        sticky = wire.safety_identifier or wire.user
        answer = await gateway.stream(call.who, translate.check_model(wire.model), request, sticky=sticky)
        if not wire.stream:
            return await _whole(wire.model, answer)
        include_usage = wire.stream_options is not None and wire.stream_options.include_usage is True
        writer = ChunkWriter(wire.model, int(time.time()), answer.release, answer.trace_id, include_usage)
        headers = _headers(answer.release, answer.trace_id)
        return EventStream(chunks(answer.deltas, writer), headers, answer.deltas.aclose)

    async def embeddings(call: Call) -> Response:
        """One vector per text, from an embed endpoint."""
        wire = await call.json(EmbeddingRequest)
        request = translate.embed_request(wire)
        answer = await gateway.answer(call.who, translate.check_model(wire.model), request)
        assert isinstance(answer.value, EmbedAnswer)
        body = translate.embedding_list(wire, answer.value, Provenance(answer.release, answer.trace_id))
        return reply(body, headers=_headers(answer.release, answer.trace_id))

    return [
        route(OPENAI, "GET", "/v1/models", models),
        route(OPENAI, "GET", "/v1/models/{name:path}", model),
        route(OPENAI, "POST", "/v1/chat/completions", chat),
        route(OPENAI, "POST", "/v1/embeddings", embeddings),
    ]


async def _whole(model: str, answer: StreamReply) -> Response:
    """A chat answer in one piece: the same stream, collected to its end."""
    text: list[str] = []
    citations: list[Citation] = []
    finish: str = "stop"
    usage = Usage()
    async for delta in answer.deltas:
        text.append(delta.text)
        citations.extend(delta.citations)
        finish = delta.finish or finish
        usage = delta.usage or usage
    provenance = Provenance(answer.release, answer.trace_id, finish == "declined", tuple(citations))
    body = translate.chat_completion(
        model=model, created=int(time.time()), text="".join(text), finish=finish, usage=usage, provenance=provenance
    )
    return reply(body, headers=_headers(answer.release, answer.trace_id))


def _offered(gateway: Gateway, call: Call) -> list[Traffic]:
    return [row.traffic for row in gateway.endpoints(call.who) if row.traffic.type in _OFFERED]


def _model(traffic: Traffic) -> Model:
    return Model(id=traffic.endpoint, created=traffic.updated_ns // 1_000_000_000)


def _headers(release: str, trace: str) -> dict[str, str]:
    return {"x-twinloop-release": release, "x-twinloop-trace": trace}
