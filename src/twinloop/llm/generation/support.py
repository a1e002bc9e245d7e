"""Does the text really say this? A generated sentence is held against the sentences of the retrieved chunks.

A sentence is supported by a place when the place holds nearly all its content words, most neighbouring pairs of them
in the same order, every number and every name, and denies when it denies. The rule is lexical on purpose: it can be
read, it errs towards withholding, and what it lets through stands in the cited text almost word for word.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from twinloop.llm.retrieval.excerpts import Excerpt
from twinloop.llm.retrieval.words import content_words, names, negated, numbers

_NEAR = 3
_LEAST_WORDS = 2


class Support(msgspec.Struct, frozen=True):
    """The excerpts (one, or two neighbours) that say it, and the share of words and pairs found in them."""

    excerpts: tuple[Excerpt, ...]
    share: float


def find_support(sentence: str, excerpts: Sequence[Excerpt], least: float) -> Support | None:
    """The best place that supports ``sentence`` with a share of at least ``least``, or None.

    One sentence is preferred to two neighbours that say no more.
    """
    stated = content_words(sentence)
    if len(stated) < _LEAST_WORDS or sentence.rstrip().endswith("?"):
        return None
    best: Support | None = None
    for place in [*((each,) for each in excerpts), *_neighbours(excerpts)]:
        share = _share(sentence, stated, place)
        if share >= least and (best is None or share > best.share):
            best = Support(place, share)
    return best


def _share(sentence: str, stated: Sequence[str], place: tuple[Excerpt, ...]) -> float:
    text = " ".join(each.text for each in place)
    said = content_words(text)
    heading = content_words(" ".join((*place[0].source.chunk.heading, place[0].source.document.title)))
    known = {*said, *heading}
    if not numbers(sentence) <= numbers(text) or not names(sentence) <= known or negated(sentence) != negated(text):
        return 0.0
    found = sum(word in known for word in stated) / len(stated)
    pairs = list(pairwise(stated))
    ordered = sum(_follows(first, second, said) for first, second in pairs) / len(pairs)
    return min(found, ordered)


def _follows(first: str, second: str, said: Sequence[str]) -> bool:
    """Whether ``second`` comes within three words after ``first``."""
    return any(word == first and second in said[place + 1 : place + 1 + _NEAR] for place, word in enumerate(said))


def _neighbours(excerpts: Sequence[Excerpt]) -> list[tuple[Excerpt, Excerpt]]:
    placed = sorted(excerpts, key=lambda each: (each.source.document.ref, each.start))
    return [
        (first, second) for first, second in pairwise(placed) if first.source.chunk.digest == second.source.chunk.digest
    ]
