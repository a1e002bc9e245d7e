"""A query becomes the chunks nearest to it, and the trace says which."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from twinloop.control.registry.model import Revision
from twinloop.control.tracing.model import SpanBuilder
from twinloop.core.errors import InvalidInput
from twinloop.llm.documents.manifests import decode
from twinloop.llm.embeddings.ports import Embedder, EmbedderFactory
from twinloop.llm.retrieval.model import IndexManifest, Retrieved
from twinloop.llm.retrieval.opened import OpenIndex, OpenIndexes

_SHOWN_CHARS = 240


class Retriever:
    """An open index with the embedder its queries need."""

    def __init__(self, index: OpenIndex, embedder: Embedder) -> None:
        self.index = index
        self.embedder = embedder

    async def retrieve(self, query: str, k: int, parent: SpanBuilder) -> list[Retrieved]:
        """The ``k`` chunks nearest to ``query``, best first; recorded as a child span and as links of the trace."""
        with parent.child("retrieval") as span:
            span.attributes |= {
                "gen_ai.operation.name": "retrieval",
                "gen_ai.data_source.id": self.index.ref,
                "gen_ai.request.model": self.index.manifest.embedder.ref,
                "gen_ai.request.top_k": k,
                "gen_ai.retrieval.query.text": query,
            }
            vectors = await self.embedder.embed([query])
            found = await self.index.search(vectors[0], k)
            span.attributes["gen_ai.retrieval.documents"] = [_shown(each) for each in found]
            for each in found:
                span.link("retrieved", each.document.digest, chunk_via(each))
            span.status = "ok"
        return found

    async def aclose(self) -> None:
        await self.index.aclose()
        await self.embedder.aclose()


async def open_retriever(
    index: Revision, required: Sequence[Revision], indexes: OpenIndexes, embedders: EmbedderFactory
) -> Retriever:
    """Open ``index`` and, from ``required``, the embedder it was built with; nothing stays open when either fails.

    Raises:
        Refused: the installed embedder gives vectors of another space.
        InvalidInput: the embedder is not among ``required``.
    """
    wanted = decode(index.manifest, IndexManifest, "index").embedder
    revision = next((each for each in required if each.digest == wanted.digest), None)
    if revision is None:
        raise InvalidInput(f"The release does not hold {wanted.ref}, which {index.ref} needs. Release it again.")
    async with AsyncExitStack() as held:
        opened = await indexes.open(index)
        held.push_async_callback(opened.aclose)
        embedder = await embedders.open(revision.manifest)
        held.push_async_callback(embedder.aclose)
        opened.require_space(embedder)
        held.pop_all()
    return Retriever(opened, embedder)


def chunk_via(found: Retrieved, quote: str | None = None) -> dict[str, Any]:
    """The chunk as the part of its document through which an answer used it."""
    chunk = found.chunk
    name = found.document.ref.partition("/")[2].rpartition("@")[0]
    return {
        "kind": "chunk",
        "name": f"{name}#{' > '.join(chunk.heading)}",
        "version": f"{chunk.start}-{chunk.end}",
        "digest": chunk.digest,
        "score": round(found.score, 4),
        "quote": quote or chunk.text[:_SHOWN_CHARS],
    }


def _shown(found: Retrieved) -> dict[str, Any]:
    chunk = found.chunk
    return {
        "id": f"{found.document.ref}#{chunk.start}-{chunk.end}",
        "score": round(found.score, 4),
        "heading": list(chunk.heading),
        "text": chunk.text[:_SHOWN_CHARS],
    }
