from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from twinloop.llm.documents.sentences import sentences

PROSE = st.text(alphabet=st.sampled_from("aB1 .!?\n-*|#`>\t\"')(é"), max_size=300)


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@given(PROSE)
def test_sentences_hold_every_character_but_white_space_once_and_in_order(text: str) -> None:
    spans = sentences(text)
    assert "".join("".join(text[s:e] for s, e in spans).split()) == "".join(text.split())
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
    assert all(text[s:e] == text[s:e].strip() and s < e for s, e in spans)


def test_a_sentence_ends_at_a_full_stop_before_a_capital_letter() -> None:
    assert cut("It works. It is quick! Is it? Yes.") == ["It works.", "It is quick!", "Is it?", "Yes."]


def test_abbreviations_initials_and_decimals_do_not_end_a_sentence() -> None:
    text = "Dr. Ada met J. Smith, e.g. Tuesday at 3.5 knots. Then they left."
    assert cut(text) == ["Dr. Ada met J. Smith, e.g. Tuesday at 3.5 knots.", "Then they left."]


def test_a_full_stop_before_a_small_letter_does_not_end_a_sentence() -> None:
    assert cut("See docs/flow.md. it is short.") == ["See docs/flow.md. it is short."]


def test_list_items_table_rows_and_paragraphs_stand_apart() -> None:
    text = "One\nline\n\n- first\n- second item\n  goes on\n1. third\n| a | b |\n| c | d |\n"
    assert cut(text) == ["One\nline", "- first", "- second item\n  goes on", "1. third", "| a | b |", "| c | d |"]


def test_a_code_block_is_one_piece() -> None:
    text = "Run this.\n\n```bash\nmake demo. Then\n\n- wait\n```\n\nDone."
    assert cut(text) == ["Run this.", "```bash\nmake demo. Then\n\n- wait\n```", "Done."]


def test_sentences_of_a_part_stay_inside_it() -> None:
    text = "First one. Second one. Third one."
    assert [text[s:e] for s, e in sentences(text, 11, 22)] == ["Second one."]
