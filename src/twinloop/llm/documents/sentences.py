"""Where sentences begin and end, as spans into the text.

Rules, not a model: a sentence ends at ``. ! ?`` before white space and something that can begin a sentence, at a blank
line, and where a list item, table row, quotation or code fence begins. Abbreviations and initials do not end one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_OPENS_BLOCK = re.compile(r"[ \t]*(?:[-*+•][ \t]+|\d{1,3}[.)][ \t]+|\||>|#{1,6}[ \t])")
_LINE = re.compile(r"[^\n]*\n?")
_END = re.compile(r"(?:[.!?…]+[\"'”’)\]*_`]*(?=\s)|[。！？]+)")
_BEGINS = re.compile(r"\s*[\"'“‘(\[*_`<]*[^\W_]|\s*[^\w\s]")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'“])(?:e\.g|i\.e|etc|cf|vs|al|approx|ca|dr|mr|mrs|ms|prof|st|no|nr|fig|figs|eq|sec|vol|pp?|ed|jr|sr|inc|ltd|co|[a-z]|(?:[a-z]\.)+[a-z])\Z",
    re.IGNORECASE,
)


class Span(NamedTuple):
    """Characters ``[start, end)`` of a text."""

    start: int
    end: int


def sentences(text: str, start: int = 0, end: int | None = None) -> list[Span]:
    """Sentences of ``text[start:end]`` in order, without surrounding white space; they hold every other character."""
    found: list[Span] = []
    for block in blocks(text, start, len(text) if end is None else end):
        found += [block] if _FENCE.match(text, block.start) else _in_block(text, block)
    return found


def blocks(text: str, start: int, end: int) -> list[Span]:
    """Paragraphs, list items, table rows and fenced code of ``text[start:end]``, without surrounding white space."""
    found: list[Span] = []
    begin, at, fence = start, start, ""
    while at < end:
        line = _LINE.match(text, at, end)
        stop = line.end() if line else end
        mark = _FENCE.match(text, at, stop)
        blank = not text[at:stop].strip()
        if fence:
            if mark and mark[1].startswith(fence) and text[mark.end() : stop].strip() == "":
                begin, fence = _close(text, begin, stop, found), ""
        elif mark:
            begin, fence = _close(text, begin, at, found), mark[1]
        elif blank or _OPENS_BLOCK.match(text, at, stop):
            begin = _close(text, begin, at, found)
        at = stop
    _close(text, begin, end, found)
    return found


def _close(text: str, begin: int, end: int, found: list[Span]) -> int:
    span = trimmed(text, begin, end)
    if span.start < span.end:
        found.append(span)
    return end


def trimmed(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end)


def _in_block(text: str, block: Span) -> list[Span]:
    found: list[Span] = []
    begin = block.start
    marker = _OPENS_BLOCK.match(text, block.start, block.end)
    at = marker.end() if marker else block.start
    while ends := _END.search(text, at, block.end):
        at = ends.end()
        if _ends_sentence(text, begin, ends, block.end):
            _close(text, begin, at, found)
            begin = at
    _close(text, begin, block.end, found)
    return found


def _ends_sentence(text: str, begin: int, ends: re.Match[str], limit: int) -> bool:
    following = _BEGINS.match(text, ends.end(), limit)
    if following is None:
        return True
    if ends[0].startswith(".") and _ABBREVIATION.search(text[max(begin, ends.start() - 12) : ends.start()]):
        return False
    return not following[0][-1].islower()
