from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.toys import Toy
from twinloop.control.registry.differing import Difference, differences
from twinloop.control.security.model import LOCAL_ADMIN
from twinloop.core.errors import InvalidInput

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=10,
)


def test_places_are_named_by_their_path() -> None:
    before = {"a": 1, "inputs": [{"name": "x"}, {"name": "y"}], "gone": True}
    after = {"a": 2, "inputs": [{"name": "x"}, {"name": "z"}, {"name": "w"}], "new": None}
    assert differences(before, after) == [
        Difference("a", "changed", 1, 2),
        Difference("gone", "removed", True),
        Difference("inputs[1].name", "changed", "y", "z"),
        Difference("inputs[2]", "added", after={"name": "w"}),
        Difference("new", "added", after=None),
    ]


def test_one_item_more_in_a_list_is_one_difference() -> None:
    names = [f"item {n}" for n in range(5000)]
    more = [*names[:7], "new", *names[7:]]
    assert differences({"names": names}, {"names": more}) == [Difference("names[7]", "added", after="new")]
    assert differences({"names": more}, {"names": names}) == [Difference("names[7]", "removed", "new")]
    two = [*names[1:100], "b", *names[100:]]
    assert differences({"names": names}, {"names": two}) == [
        Difference("names[0]", "removed", "item 0"),
        Difference("names[99]", "added", after="b"),
    ]


def test_long_lists_that_have_little_in_common_are_compared_place_by_place() -> None:
    before, after = [str(n) for n in range(1000)], [str(-n) for n in range(1, 1001)]
    found = differences({"names": before}, {"names": after})
    assert len(found) == 1000
    assert found[10] == Difference("names[10]", "changed", "10", "-11")


def test_a_template_is_compared_line_by_line() -> None:
    (found,) = differences({"template": "Hi {{name}}\nBye"}, {"template": "Hello {{name}}\nBye"})
    assert found.text.splitlines() == [
        "--- before/template",
        "+++ after/template",
        "@@ -1,2 +1,2 @@",
        "-Hi {{name}}",
        "+Hello {{name}}",
        " Bye",
    ]


def test_true_is_not_one() -> None:
    assert [d.path for d in differences({"a": 1}, {"a": True})] == ["a"]


@given(st.dictionaries(st.text(max_size=2), JSON, max_size=3), st.dictionaries(st.text(max_size=2), JSON, max_size=3))
def test_there_are_differences_exactly_where_the_json_differs(before: dict[str, Any], after: dict[str, Any]) -> None:
    same = json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)
    assert (differences(before, after) == []) == same


async def test_revisions_of_two_kinds_are_not_compared(toy: Toy) -> None:
    await toy.release(await toy.word("one"))
    with pytest.raises(InvalidInput, match="different kinds"):
        await toy.registry.diff(LOCAL_ADMIN, "word/hello@1", "release/say@1")


async def test_two_revisions_are_compared_by_their_manifests(toy: Toy) -> None:
    await toy.word("one")
    await toy.word("two")
    before, after, found = await toy.registry.diff(LOCAL_ADMIN, "word/hello@1", "word/hello")
    assert (before.ref, after.ref) == ("word/hello@1", "word/hello@2")
    assert found == [Difference("text", "changed", "one", "two")]
