"""The endpoint type ``embed``: texts in, vectors out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from twinloop.control.registry.model import Revision
from twinloop.control.releases.answers import Answer, ChatDelta, EmbedAnswer, EmbedRequest, EndpointKind, Request, Usage
from twinloop.control.tracing.model import SpanBuilder
from twinloop.core.errors import InvalidInput
from twinloop.llm.embeddings.pins import check_pins
from twinloop.llm.embeddings.ports import Embedder, EmbedderFactory

_TEXTS = 2048


class EmbedEndpoint:
    """Pins ``embedder``."""

    name: EndpointKind = "embed"

    def __init__(self, embedders: EmbedderFactory) -> None:
        self._embedders = embedders

    def check(self, pins: Mapping[str, Revision]) -> None:
        check_pins(self.name, pins, ("embedder",))

    def gate_subject(self, pins: Mapping[str, Revision]) -> Revision:
        return pins["embedder"]

    async def activate(self, tenant: str, pins: Mapping[str, Revision], required: Sequence[Revision]) -> EmbedTarget:
        return EmbedTarget(pins["embedder"].ref, await self._embedders.open(pins["embedder"].manifest))


class EmbedTarget:
    def __init__(self, model: str, embedder: Embedder) -> None:
        self._model = model
        self._embedder = embedder

    async def answer(self, request: Request, span: SpanBuilder) -> Answer:
        """Embed up to 2048 texts."""
        if not isinstance(request, EmbedRequest):
            raise InvalidInput("This endpoint embeds texts. Send texts to …/embed.")
        if not 1 <= len(request.texts) <= _TEXTS:
            raise InvalidInput(f"Give between 1 and {_TEXTS} texts.")
        tokens = sum(map(self._embedder.count_tokens, request.texts))
        span.attributes |= {
            "gen_ai.operation.name": "embeddings",
            "gen_ai.request.model": self._model,
            "gen_ai.embeddings.dimension.count": self._embedder.dimensions,
            "gen_ai.usage.input_tokens": tokens,
        }
        span.summarise(texts=len(request.texts), input_tokens=tokens)
        vectors = await self._embedder.embed(request.texts)
        return EmbedAnswer(vectors.tolist(), Usage(prompt_tokens=tokens))

    def stream(self, request: Request, span: SpanBuilder) -> AsyncIterator[ChatDelta]:
        raise InvalidInput("An embed endpoint does not stream. Send texts to …/embed.")

    def metadata(self) -> Mapping[str, Any]:
        return {
            "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
            "outputs": [{"name": "embedding", "datatype": "FP32", "shape": [-1, self._embedder.dimensions]}],
            "platform": self._model,
        }

    async def aclose(self) -> None:
        await self._embedder.aclose()
