"""The public root is small, lazy and documented."""

from __future__ import annotations

import twinloop


def test_the_public_root_has_at_most_25_names_and_each_is_there() -> None:
    assert len(twinloop.__all__) <= 25
    for name in twinloop.__all__:
        assert getattr(twinloop, name) is not None
    assert sorted(twinloop.__all__) == dir(twinloop)


def test_every_public_name_says_what_it_is() -> None:
    silent = [name for name in twinloop.__all__ if name != "__version__" and not getattr(twinloop, name).__doc__]
    assert silent == []


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    assert not hasattr(twinloop, "registry_internals")
