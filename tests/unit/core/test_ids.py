from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.core.errors import InvalidInput
from twinloop.core.ids import Ref, check_kind, check_name, new_id, new_span_id, new_trace_id

names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,10}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,10}){0,2}", fullmatch=True)


def test_ids_sort_by_the_time_they_were_made_at() -> None:
    first = new_id()
    time.sleep(0.003)
    assert first < new_id()
    assert len({new_id() for _ in range(10_000)}) == 10_000
    assert (len(first), first[12]) == (32, "7")


def test_trace_and_span_ids_have_the_lengths_that_w3c_asks_for() -> None:
    assert (len(new_trace_id()), len(new_span_id())) == (32, 16)


@given(names, st.integers(1, 10**6))
def test_a_reference_reads_back_as_it_was_written(name: str, number: int) -> None:
    for ref in (Ref("model", name), Ref("model", name, number=number), Ref("model", name, alias="champion")):
        assert Ref.parse(str(ref)) == ref


@pytest.mark.parametrize(
    "text",
    ["", "model", "model/", "/x", "model/x@", "model/x@a b", "Model/x", "model/../x@1", "model/x@-1", "model/x@1@2"],
)
def test_what_is_not_a_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        Ref.parse(text)


@pytest.mark.parametrize("name", ["..", "a/..", ".hidden", "a\\b", "a\n", "a%2e", "-a", "a" * 201])
def test_names_that_are_path_tricks_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be a name"):
        check_name(name)


def test_a_kind_is_one_lower_case_word() -> None:
    assert check_kind("feature_view") == "feature_view"
    for kind in ("Model", "a-b", "1a", ""):
        with pytest.raises(InvalidInput):
            check_kind(kind)
