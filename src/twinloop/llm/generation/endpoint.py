"""The endpoint type ``chat``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any

import msgspec

from twinloop.control.registry.model import Revision
from twinloop.control.releases.answers import Answer, ChatDelta, ChatRequest, EndpointKind, Request
from twinloop.control.tracing.model import SpanBuilder
from twinloop.core.errors import InvalidInput
from twinloop.llm.embeddings.pins import check_pins
from twinloop.llm.embeddings.ports import EmbedderFactory
from twinloop.llm.generation.conversation import options_of, plain_messages, question_of
from twinloop.llm.generation.engine_call import EngineCall
from twinloop.llm.generation.grounded import GroundedAnswers
from twinloop.llm.generation.ports import ChatEngine, ChatEngineFactory
from twinloop.llm.prompts.asking import Asking, read_asking
from twinloop.llm.retrieval.opened import OpenIndexes
from twinloop.llm.retrieval.retriever import Retriever, open_retriever

_SHOWN_CHARS = 500


class ChatEndpoint:
    """Pins ``prompt`` and ``generator`` and, to answer from documents, ``index``. Either shape of prompt will do."""

    name: EndpointKind = "chat"

    def __init__(self, generators: ChatEngineFactory, indexes: OpenIndexes, embedders: EmbedderFactory) -> None:
        self._generators = generators
        self._indexes = indexes
        self._embedders = embedders

    def check(self, pins: Mapping[str, Revision]) -> None:
        check_pins(self.name, pins, ("prompt", "generator"), optional=("index",))
        _asking(pins)

    def gate_subject(self, pins: Mapping[str, Revision]) -> Revision:
        """The index when there is one, because that is what evidence can be recorded for; else the prompt."""
        return pins.get("index", pins["prompt"])

    async def activate(self, tenant: str, pins: Mapping[str, Revision], required: Sequence[Revision]) -> ChatTarget:
        asking = _asking(pins)
        async with AsyncExitStack() as held:
            engine = await self._generators.open(pins["generator"].manifest)
            held.push_async_callback(engine.aclose)
            retriever = None
            if "index" in pins:
                retriever = await open_retriever(pins["index"], required, self._indexes, self._embedders)
                held.push_async_callback(retriever.aclose)
            held.pop_all()
        return ChatTarget(asking, engine, retriever)


def _asking(pins: Mapping[str, Revision]) -> Asking:
    return read_asking(pins["prompt"].ref, pins["prompt"].manifest, "index" in pins)


class ChatTarget:
    """Answers chats; see ``grounded`` for how it does so from documents."""

    def __init__(self, asking: Asking, engine: ChatEngine, retriever: Retriever | None) -> None:
        self._asking = asking
        self._engine = engine
        self._retriever = retriever
        self._grounded = None if retriever is None else GroundedAnswers(asking.prompt, engine, retriever)

    async def answer(self, request: Request, span: SpanBuilder) -> Answer:
        raise InvalidInput("A chat endpoint answers messages. Send messages to …/chat.")

    async def stream(self, request: Request, span: SpanBuilder) -> AsyncGenerator[ChatDelta, None]:
        """Answer the last message. Closing the iterator stops the generation.

        Raises, from the iteration:
            InvalidInput: not a chat, or its last message is not a question of the user's.
        """
        if not isinstance(request, ChatRequest):
            raise InvalidInput("A chat endpoint answers messages. Send messages to …/chat.")
        question = question_of(request)
        span.attributes["twinloop.question"] = question
        span.summarise(question=question[:_SHOWN_CHARS])
        said: list[str] = []
        source = self._plain(request, span) if self._grounded is None else self._grounded.stream(request, span)
        try:
            async with aclosing(source) as deltas:
                async for delta in deltas:
                    said.append(delta.text)
                    yield delta
        finally:
            answer = "".join(said)
            span.attributes["twinloop.answer"] = answer
            span.summarise(answer=answer[:_SHOWN_CHARS])

    async def _plain(self, request: ChatRequest, span: SpanBuilder) -> AsyncGenerator[ChatDelta, None]:
        options = msgspec.structs.replace(options_of(self._asking.prompt, request), whole=request.whole)
        call = EngineCall(self._engine, plain_messages(self._asking, request), options)
        async with aclosing(call.stream(span)) as pieces:
            async for piece in pieces:
                yield ChatDelta(piece)
        span.summarise(input_tokens=call.usage.prompt_tokens, output_tokens=call.usage.completion_tokens)
        yield ChatDelta(finish=call.finish, usage=call.usage)

    def metadata(self) -> Mapping[str, Any]:
        described = self._engine.describe()
        return {
            "inputs": [{"name": "messages", "datatype": "BYTES", "shape": [-1]}],
            "outputs": [{"name": "text", "datatype": "BYTES", "shape": [1]}],
            "platform": f"{described.engine}/{described.model}",
            "index": None if self._retriever is None else self._retriever.index.ref,
        }

    async def aclose(self) -> None:
        await self._engine.aclose()
        if self._retriever is not None:
            await self._retriever.aclose()
