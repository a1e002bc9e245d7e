"""An answer from documents: every sentence of it is checked against the text before it is sent.

Retrieve, decline when nothing fits, generate, and let through only what the retrieved text says, with a citation. When
the generator says nothing that can be cited, the best sentence of the documents is the answer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from twinloop.control.releases.answers import ChatDelta, ChatRequest, Usage
from twinloop.control.tracing.model import SpanBuilder
from twinloop.llm.documents.reading import readable
from twinloop.llm.generation.citations import Citations
from twinloop.llm.generation.conversation import grounded_messages, options_of, query_of
from twinloop.llm.generation.engine_call import EngineCall
from twinloop.llm.generation.ports import ChatEngine
from twinloop.llm.generation.sentence_stream import whole_sentences
from twinloop.llm.generation.support import Support, find_support
from twinloop.llm.prompts.model import Prompt
from twinloop.llm.prompts.render import Passage
from twinloop.llm.retrieval.excerpts import Excerpt, Excerpts
from twinloop.llm.retrieval.model import Retrieved
from twinloop.llm.retrieval.retriever import Retriever

_PATIENCE = 2
_BESIDE_THE_POINT = 0.1
_AS_GOOD = 0.03


class GroundedAnswers:
    """Answers from one index with one prompt and generator."""

    def __init__(self, prompt: Prompt, engine: ChatEngine, retriever: Retriever) -> None:
        self._prompt = prompt
        self._engine = engine
        self._retriever = retriever
        self._excerpts = Excerpts(retriever.embedder)

    async def stream(self, request: ChatRequest, span: SpanBuilder) -> AsyncGenerator[ChatDelta, None]:
        """Cited sentences, then a last delta with ``finish`` and ``usage``."""
        query = query_of(request)
        found = await self._retriever.retrieve(query, self._prompt.retrieval.k, span)
        excerpts = await self._excerpts.rank(query, found)
        score = max([each.score for each in found] + [each.cosine for each in excerpts], default=-1.0)
        span.summarise(best_score=round(score, 4))
        if score < self._prompt.retrieval.min_score or not excerpts:
            span.summarise(declined=True, citations=0)
            yield ChatDelta(self._prompt.decline)
            yield ChatDelta(finish="declined", usage=Usage())
            return
        call = self._call(request, found, excerpts)
        checked = _Checked(query, excerpts, self._prompt.retrieval.support, Citations(span))
        async with aclosing(call.stream(span)) as pieces, aclosing(whole_sentences(pieces)) as generated:
            async for sentence in generated:
                delta = checked.take(sentence)
                if delta is not None:
                    yield delta
                if checked.exhausted:
                    break
        extractive = not checked.emitted
        if extractive:
            yield checked.best_of_the_text()
        span.attributes["twinloop.grounding.withheld"] = checked.withheld
        span.summarise(
            declined=False,
            citations=len(checked.citations),
            withheld=len(checked.withheld),
            extractive=extractive,
            input_tokens=call.usage.prompt_tokens,
            output_tokens=call.usage.completion_tokens,
        )
        yield ChatDelta(finish="stop" if extractive else call.finish, usage=call.usage)

    def _call(self, request: ChatRequest, found: Sequence[Retrieved], excerpts: Sequence[Excerpt]) -> EngineCall:
        count = self._prompt.retrieval.excerpts
        passages = (
            [_excerpt_passage(each) for each in excerpts[:count]] if count else [_chunk_passage(each) for each in found]
        )
        messages = grounded_messages(self._prompt, request, passages, self._engine.describe().context_tokens)
        return EngineCall(self._engine, messages, options_of(self._prompt, request))


class _Checked:
    """Decides sentence by sentence, and remembers what was sent and what was withheld."""

    def __init__(self, question: str, excerpts: Sequence[Excerpt], least: float, citations: Citations) -> None:
        self._question = question
        self._excerpts = excerpts
        self._least = least
        self.citations = citations
        self.emitted: list[str] = []
        self.withheld: list[str] = []
        self._repeated = False

    @property
    def exhausted(self) -> bool:
        """A generator that repeats itself, or was wrong twice, is not asked on."""
        return self._repeated or len(self.withheld) >= _PATIENCE

    def take(self, sentence: str) -> ChatDelta | None:
        text = readable(sentence)
        if not text:
            return None
        if text.casefold() in self.emitted:
            self._repeated = True
            return None
        support = find_support(text, self._question, self._excerpts, self._least)
        if support is None or not self._to_the_point(support):
            self.withheld.append(text)
            return None
        return self._emit(text, [support.excerpt])

    def best_of_the_text(self) -> ChatDelta:
        """The best sentence of the documents, and the one next to it when it fits the question as well."""
        best = self._excerpts[0]
        chosen = [best]
        for other in self._excerpts[1:2]:
            near = other.source.chunk.digest == best.source.chunk.digest
            if near and other.score >= best.score - _AS_GOOD and _adjacent(best, other, self._excerpts):
                chosen.append(other)
        chosen.sort(key=lambda each: each.start)
        return self._emit(" ".join(each.text for each in chosen), chosen)

    def _to_the_point(self, support: Support) -> bool:
        return support.excerpt.score >= self._excerpts[0].score - _BESIDE_THE_POINT

    def _emit(self, text: str, excerpts: Sequence[Excerpt]) -> ChatDelta:
        known = len(self.citations)
        citation = self.citations.cite(excerpts)
        gap = " " if self.emitted else ""
        self.emitted.append(text.casefold())
        fresh = (citation,) if len(self.citations) > known else ()
        return ChatDelta(f"{gap}{text} [{citation.number}]", citations=fresh)


def _adjacent(first: Excerpt, second: Excerpt, among: Sequence[Excerpt]) -> bool:
    low, high = sorted((first.start, second.start))
    same = first.source.document.ref
    return not any(low < each.start < high and each.source.document.ref == same for each in among)


def _excerpt_passage(excerpt: Excerpt) -> Passage:
    return Passage(" > ".join(excerpt.source.chunk.heading) or excerpt.source.document.title, excerpt.text)


def _chunk_passage(found: Retrieved) -> Passage:
    return Passage(" > ".join((found.document.title, *found.chunk.heading)), readable(found.chunk.text))
