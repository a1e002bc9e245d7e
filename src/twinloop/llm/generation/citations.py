"""Numbers citations and links the trace to what was cited."""

from __future__ import annotations

from collections.abc import Sequence

from twinloop.control.releases.answers import Citation
from twinloop.control.tracing.model import SpanBuilder
from twinloop.llm.retrieval.excerpts import Excerpt
from twinloop.llm.retrieval.retriever import chunk_via


class Citations:
    """The citations of one answer. A quote is the document's exact characters."""

    def __init__(self, span: SpanBuilder) -> None:
        self._span = span
        self._numbers: dict[tuple[str, int, int], int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def cite(self, excerpts: Sequence[Excerpt]) -> Citation:
        """The citation of one place: from the first to the last of ``excerpts``, which lie in one chunk.

        The same place keeps its number; its link is recorded once.
        """
        source = excerpts[0].source
        chunk = source.chunk
        start = min(each.start for each in excerpts)
        end = max(each.end for each in excerpts)
        quote = chunk.text[start - chunk.start : end - chunk.start]
        key = (source.document.ref, start, end)
        if key not in self._numbers:
            self._numbers[key] = len(self._numbers) + 1
            self._span.link("cited", source.document.digest, chunk_via(source, quote))
        return Citation(
            number=self._numbers[key],
            document=source.document.ref,
            title=source.document.title,
            heading=chunk.heading,
            start=start,
            end=end,
            quote=quote,
            score=round(max(each.cosine for each in excerpts), 4),
        )
