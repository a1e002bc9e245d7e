"""The sentences of retrieved chunks that speak to a question, best first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from twinloop.core.digests import Digest, digest_bytes
from twinloop.llm.documents.reading import readable
from twinloop.llm.documents.sentences import Span, sentences
from twinloop.llm.embeddings.ports import Embedder
from twinloop.llm.retrieval.model import IndexedChunk, Retrieved
from twinloop.llm.retrieval.words import asks_for_number, content_words, numbers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_KEPT_CHUNKS = 2_000
_WORD_WEIGHT = 0.3
_NUMBER_WEIGHT = 0.1
_FRAGMENT_WEIGHT = -0.1
_FRAGMENTS = ("|", "`" * 3, "~" * 3)
_LEAST_WORDS = 3


class Excerpt(msgspec.Struct, frozen=True):
    """Characters ``[start, end)`` of the document: one sentence of the chunk ``source``.

    ``text`` is the sentence as a reader sees it, ``cosine`` its similarity to the question, and ``score`` that plus
    0.3 times the share of the question's content words it holds, 0.1 when the question asks for a number and it holds
    one, and less 0.1 for a row of a table or a block of code, which say little by themselves.
    """

    source: Retrieved
    start: int
    end: int
    text: str
    cosine: float
    score: float


class _Sentences(msgspec.Struct, frozen=True):
    spans: tuple[Span, ...]
    texts: tuple[str, ...]
    vectors: NDArray[np.float32]


class _Asked(NamedTuple):
    text: str
    words: frozenset[str]
    number: bool


class Excerpts:
    """Ranks sentences; keeps the vectors of recently retrieved chunks, so that a second question costs little."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._kept: OrderedDict[Digest, _Sentences] = OrderedDict()

    async def rank(self, question: str, found: Sequence[Retrieved]) -> list[Excerpt]:
        """Statements of at least three words, best score first; a sentence that two chunks share comes once.

        A sentence that holds the question itself is left out, as it asks and does not answer; a question of one or two
        words is a search for them, so that sentences with them stay.
        """
        await self._embed([each.chunk for each in found])
        vector = (await self._embedder.embed([question]))[0]
        asked = _Asked(question.strip(" ?").casefold(), frozenset(content_words(question)), asks_for_number(question))
        best: dict[tuple[str, int], Excerpt] = {}
        for each in found:
            chunk = each.chunk
            kept = self._kept[_key(chunk)]
            for (start, end), text, cosine in zip(kept.spans, kept.texts, kept.vectors @ vector, strict=True):
                if len(asked.text.split()) >= _LEAST_WORDS and asked.text in text.casefold():
                    continue
                score = float(cosine) + _bonus(asked, text, chunk.text.startswith(_FRAGMENTS, start))
                excerpt = Excerpt(each, chunk.start + start, chunk.start + end, text, float(cosine), score)
                best.setdefault((each.document.ref, excerpt.start), excerpt)
        self._forget()
        return sorted(best.values(), key=lambda excerpt: -excerpt.score)

    async def _embed(self, chunks: Sequence[IndexedChunk]) -> None:
        """One call of the embedder for all chunks that are not kept."""
        missing = {_key(chunk): _cut(chunk.text) for chunk in chunks if _key(chunk) not in self._kept}
        vectors = await self._embedder.embed([text for _, texts in missing.values() for text in texts])
        row = 0
        for digest, (spans, texts) in missing.items():
            self._kept[digest] = _Sentences(spans, texts, vectors[row : row + len(texts)])
            row += len(texts)
        for chunk in chunks:
            self._kept.move_to_end(_key(chunk))

    def _forget(self) -> None:
        while len(self._kept) > _KEPT_CHUNKS:
            self._kept.popitem(last=False)


def _bonus(asked: _Asked, text: str, fragment: bool) -> float:
    share = len(asked.words.intersection(content_words(text))) / max(1, len(asked.words))
    number = _NUMBER_WEIGHT if asked.number and numbers(text) else 0.0
    return _WORD_WEIGHT * share + number + (_FRAGMENT_WEIGHT if fragment else 0.0)


def _key(chunk: IndexedChunk) -> Digest:
    """Over the exact text: a chunk's own digest leaves marks out, and spans must not."""
    return digest_bytes(chunk.text.encode())


def _cut(text: str) -> tuple[tuple[Span, ...], tuple[str, ...]]:
    pairs = [(span, readable(text[span.start : span.end])) for span in sentences(text)]
    pairs = [(span, shown) for span, shown in pairs if _says_something(shown)] or pairs[:1]
    return tuple(span for span, _ in pairs), tuple(shown for _, shown in pairs)


def _says_something(sentence: str) -> bool:
    return len(sentence.split()) >= _LEAST_WORDS and not sentence.endswith("?")
