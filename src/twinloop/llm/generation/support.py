"""Does the text really say this? A generated sentence is held against the sentences of the retrieved chunks.

A sentence is supported by one that holds nearly all its content words, most neighbouring pairs of them in the same
order, every number and every name, that denies when it denies, and that holds every word the generator may have taken
from the question: asked what engineers wear, a weak generator says of engineers what the text says of the deck crew.
The rule is lexical on purpose: it can be read, it errs towards withholding, and what it lets through stands in the
cited text almost word for word.
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
    """The excerpt that says it, and the share of words and pairs of words found in it."""

    excerpt: Excerpt
    share: float


def find_support(sentence: str, question: str, excerpts: Sequence[Excerpt], least: float) -> Support | None:
    """The place that supports ``sentence`` best, with a share of at least ``least``, or None."""
    stated = content_words(sentence)
    if len(stated) < _LEAST_WORDS or sentence.rstrip().endswith("?"):
        return None
    asked = set(content_words(question))
    best: Support | None = None
    for excerpt in excerpts:
        share = _share(sentence, stated, asked, excerpt)
        if share >= least and (best is None or share > best.share):
            best = Support(excerpt, share)
    return best


def _share(sentence: str, stated: Sequence[str], asked: set[str], excerpt: Excerpt) -> float:
    said = content_words(excerpt.text)
    heading = content_words(" ".join((*excerpt.source.chunk.heading, excerpt.source.document.title)))
    known = {*said, *heading}
    if not numbers(sentence) <= numbers(excerpt.text) or not names(sentence) <= known:
        return 0.0
    if negated(sentence) != negated(excerpt.text) or not asked.intersection(stated) <= known:
        return 0.0
    found = sum(word in known for word in stated) / len(stated)
    pairs = list(pairwise(stated))
    ordered = sum(_follows(first, second, said) for first, second in pairs) / len(pairs)
    return min(found, ordered)


def _follows(first: str, second: str, said: Sequence[str]) -> bool:
    """Whether ``second`` comes within three words after ``first``."""
    return any(word == first and second in said[place + 1 : place + 1 + _NEAR] for place, word in enumerate(said))
