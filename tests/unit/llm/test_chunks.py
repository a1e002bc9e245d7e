from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.core.errors import InvalidInput
from twinloop.llm.documents.chunks import Chunker, split
from twinloop.llm.documents.model import Heading

WORDS = st.lists(
    st.sampled_from(["cat", "ship", "Red", "sail.", "x!", "\n\n", "\n- ", "a" * 40, "…", "7"]), max_size=120
)
SECTIONS = st.lists(st.tuples(st.integers(1, 4), WORDS), max_size=5)
LIMITS = st.integers(16, 60)


def count(text: str) -> int:
    return len(re.findall(r"\w{1,8}|[^\w\s]", text))


def document(sections: list[tuple[int, list[str]]]) -> tuple[str, list[Heading]]:
    text, headings = "Intro here. ", []
    for number, (level, words) in enumerate(sections):
        start = len(text)
        text += f"{'#' * level} Part {number}"
        headings.append(Heading(level, f"Part {number}", start, len(text)))
        text += "\n" + " ".join(words) + "\n"
    return text, headings


@given(SECTIONS, LIMITS)
def test_chunks_hold_all_text_but_headings_within_the_limit_and_one_section(
    sections: list[tuple[int, list[str]]], limit: int
) -> None:
    text, headings = document(sections)
    chunks = split(text, headings, Chunker(limit, limit // 4), count)
    held = [False] * len(text)
    for chunk in chunks:
        piece = text[chunk.start : chunk.end]
        assert piece == piece.strip()
        assert 0 < count(piece) <= limit
        assert not any(chunk.start < heading.end and heading.start < chunk.end for heading in headings)
        held[chunk.start : chunk.end] = [True] * (chunk.end - chunk.start)
    inside = [any(h.start <= at < h.end for h in headings) for at in range(len(text))]
    missing = "".join(c for at, c in enumerate(text) if not held[at] and not inside[at])
    assert not re.search(r"\w", missing)
    assert [chunk.start for chunk in chunks] == sorted(chunk.start for chunk in chunks)


def test_a_chunk_begins_with_the_end_of_the_one_before() -> None:
    text = " ".join(f"Sentence number {n} is here." for n in range(40))
    chunks = split(text, [], Chunker(60, 15), count)
    assert len(chunks) > 3
    assert all(second.start < first.end for first, second in pairwise(chunks))


def test_a_chunk_keeps_the_path_of_its_headings() -> None:
    text = "# A\nfirst part\n## B\nsecond part\n# C\nthird part\n"
    marks = [(1, "A", "# A"), (2, "B", "## B"), (1, "C", "# C")]
    headings = [Heading(level, title, text.index(line), text.index(line) + len(line)) for level, title, line in marks]
    chunks = split(text, headings, Chunker(), count)
    assert [(chunk.heading, text[chunk.start : chunk.end]) for chunk in chunks] == [
        (("A",), "first part"),
        (("A", "B"), "second part"),
        (("C",), "third part"),
    ]


def test_a_document_of_headings_alone_is_still_found() -> None:
    text = "# Only a title"
    assert [c.heading for c in split(text, [Heading(1, "Only a title", 0, len(text))], Chunker(), count)] == [()]


def test_a_chunker_that_cannot_cut_is_refused() -> None:
    with pytest.raises(InvalidInput, match="max_tokens between 16"):
        Chunker(4, 0)
    with pytest.raises(InvalidInput, match="overlap_tokens"):
        Chunker(100, 80)
