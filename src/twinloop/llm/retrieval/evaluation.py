"""Does an index find what it holds? Known-item search with simulated queries.

For a sample of chunks a query is drawn from each, and it is counted how often the chunk is among the first five. The
queries follow Azzopardi, de Rijke and Balog, "Building Simulated Queries for Known-Item Topics" (SIGIR 2007): words
drawn from the item with a probability proportional to tf·idf. They are bags of six words without the heading, so
neither word order nor the embedded heading path gives the item away; a real question is easier to read and harder to match.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from twinloop.control.evaluation.model import Evidence
from twinloop.control.evaluation.service import EvidenceBook, EvidenceDraft
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import Principal, Role
from twinloop.core.errors import InvalidInput
from twinloop.llm.documents.manifests import decode
from twinloop.llm.documents.reading import readable
from twinloop.llm.embeddings.ports import EmbedderFactory
from twinloop.llm.retrieval.model import IndexedChunk, IndexManifest
from twinloop.llm.retrieval.opened import OpenIndexes
from twinloop.llm.retrieval.retriever import Retriever, open_retriever
from twinloop.llm.retrieval.words import plain_words

METRIC = "known_item_recall_at_5"
_SAMPLE = 400
_QUERY_WORDS = 6
_DEPTH = 5


class Query(NamedTuple):
    """A simulated query and the row of the chunk it was drawn from."""

    text: str
    row: int


class IndexEvaluation:
    def __init__(
        self, registry: Registry, indexes: OpenIndexes, embedders: EmbedderFactory, evidence: EvidenceBook
    ) -> None:
        self._registry = registry
        self._indexes = indexes
        self._embedders = embedders
        self._evidence = evidence

    async def evaluate(self, who: Principal, ref: str, seed: int = 0) -> Evidence:
        """Record ``known_item_recall_at_5`` of an index on up to 400 of its chunks, with its Wilson interval.

        Raises:
            InvalidInput: ``ref`` is not an index, or it holds no chunk with enough words.
        """
        who.require(Role.developer)
        revision = await self._registry.get(who, ref)
        if revision.kind != "index":
            raise InvalidInput(f"{ref} is not an index. Give a reference index/….")
        embedder = await self._registry.get(who, decode(revision.manifest, IndexManifest, "index").embedder.digest)
        retriever = await open_retriever(revision, [embedder], self._indexes, self._embedders)
        try:
            queries = simulated_queries(retriever.index.chunks, seed)
            if not queries:
                raise InvalidInput(f"{ref} holds no chunk of {_QUERY_WORDS} different words. Add documents with text.")
            found = await _found(retriever, queries)
        finally:
            await retriever.aclose()
        from twinloop.control.evaluation.statistics import proportion

        note = f"{len(queries)} simulated known-item queries of {_QUERY_WORDS} words, seed {seed}"
        draft = EvidenceDraft(revision.digest, (proportion(METRIC, found, len(queries)),), note=note)
        return await self._evidence.record(who, draft)


def simulated_queries(chunks: Sequence[IndexedChunk], seed: int) -> list[Query]:
    """Up to 400 queries, each from another chunk that holds at least six different words; equal seeds give equal queries."""
    words = [plain_words(readable(chunk.text)) for chunk in chunks]
    held_by = Counter(word for each in words for word in set(each))
    chance = random.Random(seed)
    rows = [row for row, each in enumerate(words) if len(set(each)) >= _QUERY_WORDS]
    chosen = sorted(chance.sample(rows, min(_SAMPLE, len(rows))))
    return [Query(" ".join(_drawn(words[row], held_by, len(chunks), chance)), row) for row in chosen]


def _drawn(words: Sequence[str], held_by: Counter[str], chunks: int, chance: random.Random) -> list[str]:
    """Six different words, one after another, with a probability proportional to tf·idf."""
    weights = {word: count * math.log(1 + chunks / held_by[word]) for word, count in Counter(words).items()}
    drawn: list[str] = []
    for _ in range(_QUERY_WORDS):
        word = chance.choices(list(weights), list(weights.values()))[0]
        del weights[word]
        drawn.append(word)
    return drawn


async def _found(retriever: Retriever, queries: Sequence[Query]) -> int:
    """How many queries have their chunk, or one of the same text, among the first five."""
    vectors = await retriever.embedder.embed([query.text for query in queries])
    found = 0
    for query, vector in zip(queries, vectors, strict=True):
        wanted = retriever.index.chunks[query.row].digest
        hits = await retriever.index.search(vector, _DEPTH)
        found += any(hit.chunk.digest == wanted for hit in hits)
    return found
