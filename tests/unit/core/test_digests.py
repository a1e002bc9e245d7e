from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.core.digests import canonical_json, digest_json, is_digest, parse_digest
from twinloop.core.errors import InvalidInput

json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcé", max_size=3), inner, max_size=4),
    max_leaves=12,
)


def shuffled(value: object) -> object:
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(json)
def test_the_order_of_keys_does_not_change_a_digest(value: object) -> None:
    assert digest_json(value) == digest_json(shuffled(value))


@given(json)
def test_what_was_written_reads_back_and_writes_the_same(value: object) -> None:
    written = canonical_json(value)
    assert canonical_json(msgspec.json.decode(written)) == written


def test_the_canonical_form_is_the_same_on_every_machine() -> None:
    assert canonical_json({"b": [1, 2.5, None, True], "a": "ä"}) == '{"a":"ä","b":[1,2.5,null,true]}'.encode()
    assert digest_json({}) == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize(
    "value", [float("nan"), [float("inf")], {"a": {"b": -float("inf")}}, {"s": "\ud800"}, object()]
)
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput):
        digest_json(value)


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:" + "A" * 64, "sha256:" + "a" * 65, "sha512:" + "a" * 64, "a" * 64]
)
def test_what_is_not_a_digest_is_refused(text: str) -> None:
    assert not is_digest(text)
    with pytest.raises(InvalidInput, match="is not a digest"):
        parse_digest(text)
