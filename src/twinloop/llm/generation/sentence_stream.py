"""Pieces of generated text become whole sentences, as early as each is complete."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from twinloop.llm.documents.sentences import sentences


async def whole_sentences(pieces: AsyncIterator[str]) -> AsyncGenerator[str, None]:
    """Every sentence once the next one has begun or the text has ended; white space around them is left out."""
    pending = ""
    async for piece in pieces:
        pending += piece
        found = sentences(pending)
        if len(found) > 1:
            for span in found[:-1]:
                yield pending[span.start : span.end]
            pending = pending[found[-1].start :]
    for span in sentences(pending):
        yield pending[span.start : span.end]
