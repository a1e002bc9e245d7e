from __future__ import annotations

import asyncio

import pytest

from tests.toys import Toy
from twinloop.control.registry.model import Parent
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.core.digests import Digest
from twinloop.core.errors import Forbidden, InvalidInput, NotFound

VIEWER = Principal("v", "default", Role.viewer)
OTHER = Principal("o", "other", Role.admin)


async def test_the_same_content_registered_again_is_the_same_revision(toy: Toy) -> None:
    first = await toy.registry.register(LOCAL_ADMIN, "word", "a", {"text": "x"})
    again = await toy.registry.register(LOCAL_ADMIN, "word", "a", {"text": "x"})
    assert first.created
    assert not again.created
    assert again.revision.ref == first.revision.ref == "word/a@1"


async def test_concurrent_registrations_get_different_numbers_without_gaps(toy: Toy) -> None:
    done = await asyncio.gather(*(toy.registry.register(LOCAL_ADMIN, "word", "a", {"text": str(i)}) for i in range(50)))
    assert sorted(d.revision.number for d in done) == list(range(1, 51))


async def test_concurrent_registrations_of_the_same_content_have_one_winner(toy: Toy) -> None:
    done = await asyncio.gather(*(toy.registry.register(LOCAL_ADMIN, "word", "a", {"text": "x"}) for _ in range(20)))
    assert sum(d.created for d in done) == 1
    assert {d.revision.ref for d in done} == {"word/a@1"}


async def test_a_parent_must_exist(toy: Toy) -> None:
    missing = Digest("sha256:" + "0" * 64)
    with pytest.raises(NotFound, match="parent"):
        await toy.registry.register(LOCAL_ADMIN, "word", "a", {"text": "x"}, [Parent("from", missing)])
    assert await toy.registry.revisions(LOCAL_ADMIN) == []


async def test_a_manifest_its_kind_refuses_is_not_registered(toy: Toy) -> None:
    with pytest.raises(InvalidInput, match="text"):
        await toy.registry.register(LOCAL_ADMIN, "word", "a", {"text": 3})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
async def test_numbers_that_json_cannot_say_are_refused(toy: Toy, value: float) -> None:
    with pytest.raises(InvalidInput, match="NaN"):
        await toy.registry.register(LOCAL_ADMIN, "word", "a", {"text": "x", "score": value})


@pytest.mark.parametrize("name", ["", "../x", "a//b", "/a", "a/", ".a", "a b", "a\x00", "ä", "x" * 201, "a/../b"])
async def test_a_name_that_is_a_path_trick_is_refused(toy: Toy, name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be a name"):
        await toy.registry.register(LOCAL_ADMIN, "word", name, {"text": "x"})


async def test_an_alias_moves_and_resolves(toy: Toy) -> None:
    await toy.word("one")
    await toy.word("two")
    await toy.registry.set_alias(LOCAL_ADMIN, "word", "hello", "champion", 1)
    await toy.registry.set_alias(LOCAL_ADMIN, "word", "hello", "champion", 2)
    found = await toy.registry.get(LOCAL_ADMIN, "word/hello@champion")
    assert (found.number, found.aliases) == (2, ("champion",))
    assert (await toy.registry.get(LOCAL_ADMIN, "word/hello@1")).aliases == ()


async def test_a_viewer_may_not_register(toy: Toy) -> None:
    with pytest.raises(Forbidden, match="developer"):
        await toy.registry.register(VIEWER, "word", "a", {"text": "x"})


async def test_a_tenant_does_not_see_anothers_revisions(toy: Toy) -> None:
    ref = await toy.word("one")
    with pytest.raises(NotFound):
        await toy.registry.get(OTHER, ref)
    assert await toy.registry.revisions(OTHER) == []


async def test_the_closure_holds_everything_required_once(toy: Toy) -> None:
    base = (await toy.registry.register(LOCAL_ADMIN, "word", "base", {"text": "b"})).revision
    left = (await toy.registry.register(LOCAL_ADMIN, "word", "left", {"text": "l", "needs": [base.digest]})).revision
    top = await toy.registry.register(LOCAL_ADMIN, "word", "top", {"text": "t", "needs": [left.digest, base.digest]})
    assert [r.name for r in await toy.registry.closure(LOCAL_ADMIN, [top.revision])] == ["top", "left", "base"]
