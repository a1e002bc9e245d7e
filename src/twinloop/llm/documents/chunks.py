"""Text becomes chunks: within one section, whole sentences up to a number of tokens, with exact character spans."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from twinloop.core.errors import InvalidInput
from twinloop.llm.documents.model import Heading
from twinloop.llm.documents.sentences import Span, sentences, trimmed

CountTokens = Callable[[str], int]
_SHOWN = re.compile(r"\w")


class Chunker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A chunk has ``max_tokens`` tokens at most and begins with up to ``overlap_tokens`` of the one before it."""

    max_tokens: int = 200
    overlap_tokens: int = 30

    def __post_init__(self) -> None:
        if not 16 <= self.max_tokens <= 4096 or not 0 <= self.overlap_tokens <= self.max_tokens // 2:
            raise InvalidInput(
                "A chunker needs max_tokens between 16 and 4096 and overlap_tokens of at most half of it."
            )


class Chunk(msgspec.Struct, frozen=True):
    """Characters ``[start, end)`` of a document's text, under ``heading`` (a path from the outermost)."""

    start: int
    end: int
    heading: tuple[str, ...]


def split(text: str, headings: Sequence[Heading], chunker: Chunker, count_tokens: CountTokens) -> list[Chunk]:
    """Chunks of ``text`` in order; together they hold all of it but headings and white space.

    No chunk spans two sections. A sentence longer than ``max_tokens`` is cut between words, a word between characters.
    """
    found = [
        Chunk(start, end, path)
        for path, section in _sections(headings, len(text))
        for start, end in _pack(text, section, chunker, count_tokens)
    ]
    if not found and _SHOWN.search(text):
        found = [Chunk(start, end, ()) for start, end in _pack(text, Span(0, len(text)), chunker, count_tokens)]
    return found


def _sections(headings: Sequence[Heading], length: int) -> Iterator[tuple[tuple[str, ...], Span]]:
    path: list[Heading] = []
    yield (), Span(0, headings[0].start if headings else length)
    for index, heading in enumerate(headings):
        while path and path[-1].level >= heading.level:
            path.pop()
        path.append(heading)
        stop = headings[index + 1].start if index + 1 < len(headings) else length
        yield tuple(each.title for each in path), Span(heading.end, stop)


def _pack(text: str, section: Span, chunker: Chunker, count_tokens: CountTokens) -> Iterator[Span]:
    held: list[tuple[Span, int]] = []
    fresh = 0
    for piece, tokens in _pieces(text, section, chunker.max_tokens, count_tokens):
        if fresh and sum(n for _, n in held) + tokens > chunker.max_tokens:
            yield Span(held[0][0].start, held[-1][0].end)
            held, fresh = _tail(held, min(chunker.overlap_tokens, chunker.max_tokens - tokens)), 0
        held.append((piece, tokens))
        fresh += 1
    if fresh and any(_SHOWN.search(text, piece.start, piece.end) for piece, _ in held):
        yield Span(held[0][0].start, held[-1][0].end)


def _tail(held: Sequence[tuple[Span, int]], room: int) -> list[tuple[Span, int]]:
    kept: list[tuple[Span, int]] = []
    for piece, tokens in reversed(held):
        room -= tokens
        if room < 0:
            break
        kept.insert(0, (piece, tokens))
    return kept


def _pieces(text: str, section: Span, limit: int, count_tokens: CountTokens) -> Iterator[tuple[Span, int]]:
    for span in sentences(text, section.start, section.end):
        tokens = count_tokens(text[span.start : span.end])
        if tokens <= limit:
            yield span, tokens
        else:
            yield from _cut(text, span, limit, count_tokens)


def _cut(text: str, span: Span, limit: int, count_tokens: CountTokens) -> Iterator[tuple[Span, int]]:
    """Halve at the line break or word nearest to the middle until each part fits."""
    tokens = count_tokens(text[span.start : span.end])
    if tokens <= limit or span.end - span.start == 1:
        yield span, tokens
        return
    middle = _cut_point(text, span)
    for part in (trimmed(text, span.start, middle), trimmed(text, middle, span.end)):
        if part.start < part.end:
            yield from _cut(text, part, limit, count_tokens)


def _cut_point(text: str, span: Span) -> int:
    middle = (span.start + span.end) // 2
    for separator in ("\n", " "):
        before = text.rfind(separator, span.start + 1, middle)
        after = text.find(separator, middle, span.end - 1)
        points = [point for point in (before, after) if point > span.start]
        if points:
            return min(points, key=lambda point: abs(point - middle))
    return middle
