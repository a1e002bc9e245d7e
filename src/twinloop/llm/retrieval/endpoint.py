"""The endpoint type ``search``: a query in, the nearest chunks out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from twinloop.control.registry.model import Revision
from twinloop.control.releases.answers import (
    Answer,
    ChatDelta,
    Citation,
    EndpointKind,
    Request,
    SearchAnswer,
    SearchRequest,
)
from twinloop.control.tracing.model import SpanBuilder
from twinloop.core.errors import InvalidInput
from twinloop.llm.embeddings.pins import check_pins
from twinloop.llm.embeddings.ports import EmbedderFactory
from twinloop.llm.retrieval.opened import OpenIndexes
from twinloop.llm.retrieval.retriever import Retriever, open_retriever

_MOST = 100


class SearchEndpoint:
    """Pins ``index``; the embedder comes with it."""

    name: EndpointKind = "search"

    def __init__(self, indexes: OpenIndexes, embedders: EmbedderFactory) -> None:
        self._indexes = indexes
        self._embedders = embedders

    def check(self, pins: Mapping[str, Revision]) -> None:
        check_pins(self.name, pins, ("index",))

    def gate_subject(self, pins: Mapping[str, Revision]) -> Revision:
        return pins["index"]

    async def activate(self, tenant: str, pins: Mapping[str, Revision], required: Sequence[Revision]) -> SearchTarget:
        return SearchTarget(await open_retriever(pins["index"], required, self._indexes, self._embedders))


class SearchTarget:
    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever

    async def answer(self, request: Request, span: SpanBuilder) -> Answer:
        if not isinstance(request, SearchRequest):
            raise InvalidInput("This endpoint searches. Send a query to …/search.")
        if not request.query.strip() or not 1 <= request.k <= _MOST:
            raise InvalidInput(f"Give a query with text and k between 1 and {_MOST}.")
        found = await self._retriever.retrieve(request.query, request.k, span)
        span.summarise(hits=len(found))
        return SearchAnswer(
            tuple(
                Citation(
                    number=number,
                    document=each.document.ref,
                    title=each.document.title,
                    heading=each.chunk.heading,
                    start=each.chunk.start,
                    end=each.chunk.end,
                    quote=each.chunk.text,
                    score=each.score,
                )
                for number, each in enumerate(found, 1)
            )
        )

    def stream(self, request: Request, span: SpanBuilder) -> AsyncIterator[ChatDelta]:
        raise InvalidInput("A search endpoint does not stream. Send a query to …/search.")

    def metadata(self) -> Mapping[str, Any]:
        return {
            "inputs": [{"name": "query", "datatype": "BYTES", "shape": [1]}],
            "outputs": [{"name": "hits", "datatype": "BYTES", "shape": [-1]}],
            "platform": self._retriever.index.ref,
        }

    async def aclose(self) -> None:
        await self._retriever.aclose()
