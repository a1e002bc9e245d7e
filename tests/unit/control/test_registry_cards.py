"""What may change about a model beside its immutable revisions: its title, its tags, and whether it is there at all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.toys import Toy, WordKind
from twinloop.control.registry.card_rows import Titled
from twinloop.control.registry.errors import CardNotFound, Held, TitleTaken, VersionNotFound
from twinloop.control.registry.event_rows import events_after
from twinloop.control.registry.ledger import RegistryChanged
from twinloop.control.registry.model import CardChange, RegistryEvent
from twinloop.control.registry.repository import Wanted
from twinloop.control.registry.search import CARD_ORDER, CARDS, Wish
from twinloop.control.registry.service import Registry
from twinloop.control.releases.repository import holds
from twinloop.control.search.grammar import parse_filter, parse_order
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.core.digests import Digest
from twinloop.core.errors import Forbidden, InvalidInput, NotFound
from twinloop.core.events import Bus

DEVELOPER = Principal("dev", "default", Role.developer)
VIEWER = Principal("v", "default", Role.viewer)
OTHER = Principal("o", "other", Role.admin)


class PhraseKind(WordKind):
    name = "phrase"


@pytest.fixture
def registry(toy: Toy) -> Registry:
    """Words and phrases on one shelf, as models and prompts are."""
    return Registry(toy.store, [WordKind(), PhraseKind()], toy.clock, shelves={"phrase": "word"}, holds=holds)


async def word(registry: Registry, title: str, text: str = "x", **more: Any) -> int:
    wanted = Wanted({"text": text}, fresh=True, **more)
    done = await registry.add_version(LOCAL_ADMIN, registry.cards.titled("word", title), "word", wanted)
    return done.revision.number


async def events(toy: Toy) -> list[RegistryEvent]:
    return await toy.store.read(lambda c: events_after(c, 0, 1000))


async def actions(toy: Toy) -> list[str]:
    return [event.action for event in await events(toy)]


async def test_registering_makes_a_card_and_both_are_told_in_one_transaction(toy: Toy, registry: Registry) -> None:
    await registry.register(LOCAL_ADMIN, "word", "a", {"text": "x"})
    shown = await registry.cards.get(LOCAL_ADMIN, registry.cards.named("word", "a"))
    assert (shown.card.title, shown.card.approvals, [v.revision.number for v in shown.latest]) == ("a", 0, [1])
    assert await actions(toy) == ["card.created", "revision.registered"]


async def test_registering_that_fails_leaves_no_card_and_no_event(toy: Toy, registry: Registry) -> None:
    from twinloop.control.registry.model import Parent

    with pytest.raises(NotFound, match="parent"):
        await registry.register(LOCAL_ADMIN, "word", "a", {"text": "x"}, [Parent("from", Digest("sha256:" + "0" * 64))])
    assert await actions(toy) == []
    with pytest.raises(CardNotFound):
        await registry.cards.get(LOCAL_ADMIN, registry.cards.named("word", "a"))


async def test_a_title_that_can_be_a_name_is_one(registry: Registry) -> None:
    assert (await registry.cards.create(LOCAL_ADMIN, "word", "churn.v2")).card.name == "churn.v2"


@pytest.mark.parametrize("title", ["Ünï ☃", "with space", "☃☃", "a" * 300, "'; DROP TABLE cards; --", "🦊"])
async def test_any_other_title_gets_a_name_of_its_own(registry: Registry, title: str) -> None:
    card = (await registry.cards.create(LOCAL_ADMIN, "word", title)).card
    assert card.title == title
    assert card.name != title
    assert await word(registry, title) == 1
    assert (await registry.get(LOCAL_ADMIN, f"word/{card.name}@1")).name == card.name


@pytest.mark.parametrize("title", ["", "  ", "a\nb", "a\x00b", "x" * 1001])
async def test_a_title_that_nobody_could_read_is_refused(registry: Registry, title: str) -> None:
    with pytest.raises(InvalidInput, match="title"):
        await registry.cards.create(LOCAL_ADMIN, "word", title)


async def test_a_title_is_taken_once_on_a_shelf(registry: Registry) -> None:
    await registry.cards.create(LOCAL_ADMIN, "word", "a")
    with pytest.raises(TitleTaken) as caught:
        await registry.cards.create(LOCAL_ADMIN, "phrase", "a")
    assert caught.value.holder.kind == "word"


async def test_two_kinds_registered_under_one_name_are_called_differently(registry: Registry) -> None:
    await registry.register(LOCAL_ADMIN, "word", "a", {"text": "x"})
    await registry.register(LOCAL_ADMIN, "phrase", "a", {"text": "x"})
    assert (await registry.cards.get(LOCAL_ADMIN, Titled("word", "a"))).card.kind == "word"
    assert (await registry.cards.get(LOCAL_ADMIN, Titled("word", "a (phrase)"))).card.ref == "phrase/a"
    assert (await registry.get(LOCAL_ADMIN, "phrase/a")).kind == "phrase"


async def test_of_twenty_who_make_the_same_card_one_does(registry: Registry) -> None:
    made = await asyncio.gather(
        *(registry.cards.create(LOCAL_ADMIN, "word", "same") for _ in range(20)), return_exceptions=True
    )
    assert sum(not isinstance(one, BaseException) for one in made) == 1
    assert sum(isinstance(one, TitleTaken) for one in made) == 19


async def test_a_rename_changes_the_title_and_no_reference(registry: Registry) -> None:
    await registry.register(LOCAL_ADMIN, "word", "old", {"text": "x"})
    shown = await registry.cards.rename(LOCAL_ADMIN, Titled("word", "old"), "new name")
    assert (shown.card.title, shown.card.ref) == ("new name", "word/old")
    assert (await registry.get(LOCAL_ADMIN, "word/old@1")).ref == "word/old@1"
    with pytest.raises(CardNotFound):
        await registry.cards.get(LOCAL_ADMIN, Titled("word", "old"))
    renamed = (await registry.versions.get(LOCAL_ADMIN, Titled("word", "new name"), 1)).title
    assert renamed == "new name"


async def test_a_reference_may_use_the_title_where_it_is_no_name_of_another(registry: Registry) -> None:
    await registry.register(LOCAL_ADMIN, "word", "old", {"text": "x"})
    await registry.cards.rename(LOCAL_ADMIN, Titled("word", "old"), "new")
    assert (await registry.get(LOCAL_ADMIN, "word/new@1")).ref == "word/old@1"
    assert (await registry.register(LOCAL_ADMIN, "word", "new", {"text": "y"})).revision.ref == "word/old@2"
    assert [r.ref for r in await registry.revisions(LOCAL_ADMIN, "word", "new")] == ["word/old@2", "word/old@1"]


async def test_a_rename_to_a_taken_title_changes_nothing(toy: Toy, registry: Registry) -> None:
    await registry.cards.create(LOCAL_ADMIN, "word", "a")
    await registry.cards.create(LOCAL_ADMIN, "word", "b")
    with pytest.raises(TitleTaken):
        await registry.cards.rename(LOCAL_ADMIN, Titled("word", "a"), "b")
    assert await actions(toy) == ["card.created", "card.created"]


async def test_a_name_that_was_deleted_is_never_another_things_name(registry: Registry) -> None:
    await registry.cards.create(LOCAL_ADMIN, "word", "a")
    assert await word(registry, "a", "first") == 1
    before = await registry.get(LOCAL_ADMIN, "word/a@1")
    await registry.cards.delete(LOCAL_ADMIN, Titled("word", "a"))
    again = (await registry.cards.create(LOCAL_ADMIN, "word", "a")).card
    assert again.name != "a"
    assert await word(registry, "a", "first") == 1
    after = await registry.versions.get(LOCAL_ADMIN, Titled("word", "a"), 1)
    assert after.revision.digest != before.digest
    assert (await registry.get(LOCAL_ADMIN, before.digest)).ref == "word/a@1"


async def test_registering_under_a_deleted_name_goes_on_counting(toy: Toy, registry: Registry) -> None:
    await registry.register(LOCAL_ADMIN, "word", "a", {"text": "x"})
    await registry.cards.delete(LOCAL_ADMIN, registry.cards.named("word", "a"))
    with pytest.raises(NotFound):
        await registry.get(LOCAL_ADMIN, "word/a")
    assert (await registry.register(LOCAL_ADMIN, "word", "a", {"text": "y"})).revision.ref == "word/a@2"
    with pytest.raises(NotFound):
        await registry.get(LOCAL_ADMIN, "word/a@1")
    assert (await events(toy))[-2].detail == {"again": True}


async def test_the_same_content_registered_after_deletion_is_the_same_revision(toy: Toy, registry: Registry) -> None:
    first = await registry.register(LOCAL_ADMIN, "word", "a", {"text": "x"})
    await registry.versions.delete(LOCAL_ADMIN, registry.cards.named("word", "a"), 1)
    again = await registry.register(LOCAL_ADMIN, "word", "a", {"text": "x"})
    assert (again.created, again.revision.ref) == (False, first.revision.ref)
    assert (await registry.get(LOCAL_ADMIN, "word/a@1")).digest == first.revision.digest
    assert (await actions(toy))[-1] == "revision.registered"


async def test_deleting_a_card_takes_aliases_and_tags_and_keeps_the_history(toy: Toy, registry: Registry) -> None:
    await registry.cards.create(LOCAL_ADMIN, "word", "a", "about", {"k": "v"})
    await word(registry, "a")
    await registry.versions.set_alias(LOCAL_ADMIN, Titled("word", "a"), "best", 1)
    await registry.cards.delete(LOCAL_ADMIN, Titled("word", "a"))
    for missing in (registry.get(LOCAL_ADMIN, "word/a@best"), registry.get(LOCAL_ADMIN, "word/a@1")):
        with pytest.raises(NotFound):
            await missing
    with pytest.raises(VersionNotFound):
        await registry.versions.get(LOCAL_ADMIN, Titled("word", "a"), 1)
    told = await toy.store.read(lambda c: registry.told(c, "default", "word/a", 100, None))
    assert [event.action for event in reversed(told.events)] == [
        "card.created",
        "revision.registered",
        "alias.set",
        "card.deleted",
    ]


async def test_several_changes_are_one(toy: Toy, registry: Registry) -> None:
    await registry.cards.create(LOCAL_ADMIN, "word", "a", tags={"gone": "1", "kept": "1"})
    change = CardChange("b", "about", {"gone": None, "new": "2"}, approvals=1)
    card = (await registry.cards.change(LOCAL_ADMIN, Titled("word", "a"), change)).card
    assert (card.title, card.description, card.approvals, card.tags) == ("b", "about", 1, {"kept": "1", "new": "2"})
    told = (await actions(toy))[1:]
    assert sorted(told) == sorted(["card.renamed", "card.described", "card.described", "card.untagged", "card.tagged"])


async def test_a_change_that_fails_in_part_changes_nothing(toy: Toy, registry: Registry) -> None:
    await registry.cards.create(LOCAL_ADMIN, "word", "a")
    await registry.cards.create(LOCAL_ADMIN, "word", "b")
    with pytest.raises(TitleTaken):
        await registry.cards.change(LOCAL_ADMIN, Titled("word", "a"), CardChange("b", "about", {"k": "v"}))
    card = (await registry.cards.get(LOCAL_ADMIN, Titled("word", "a"))).card
    assert (card.description, card.tags) == (None, {})


async def test_taking_away_a_tag_that_is_not_there_is_no_event(toy: Toy, registry: Registry) -> None:
    await registry.cards.create(LOCAL_ADMIN, "word", "a")
    await registry.cards.delete_tag(LOCAL_ADMIN, Titled("word", "a"), "k")
    assert await actions(toy) == ["card.created"]


async def test_who_reads_may_not_change_and_another_tenant_sees_nothing(registry: Registry) -> None:
    await registry.cards.create(LOCAL_ADMIN, "word", "a")
    with pytest.raises(Forbidden):
        await registry.cards.describe(VIEWER, Titled("word", "a"), "x")
    with pytest.raises(CardNotFound):
        await registry.cards.get(OTHER, Titled("word", "a"))
    assert (await registry.cards.create(OTHER, "word", "a")).card.name == "a"


async def test_a_developer_may_not_set_how_many_must_approve(registry: Registry) -> None:
    await registry.cards.create(LOCAL_ADMIN, "word", "a")
    with pytest.raises(Forbidden, match="releaser"):
        await registry.cards.change(DEVELOPER, Titled("word", "a"), CardChange(approvals=0))


async def test_followers_are_woken_once_a_change_can_be_read(toy: Toy) -> None:
    bus = Bus()
    registry = Registry(toy.store, [WordKind()], toy.clock, bus)
    seen: list[int] = []

    async def woken(event: RegistryChanged) -> None:
        seen.append(len(await events(toy)))

    bus.subscribe(RegistryChanged, woken)
    await registry.register(LOCAL_ADMIN, "word", "a", {"text": "x"})
    assert seen == [2]


@pytest.mark.parametrize("stage", ["live", "canary", "shadow", "previous"])
async def test_what_a_release_holds_cannot_be_deleted(toy: Toy, stage: str) -> None:
    first, second = await toy.word("one"), await toy.word("two")
    await toy.release(first)
    if stage in ("canary", "shadow"):
        await toy.release(second, stage)
    elif stage == "previous":
        await toy.release(second)
    number = 2 if stage in ("canary", "shadow") else 1
    which = toy.registry.cards.named("word", "hello")
    for attempt in (
        toy.registry.versions.delete(LOCAL_ADMIN, which, number),
        toy.registry.cards.delete(LOCAL_ADMIN, which),
    ):
        with pytest.raises(Held, match=rf"say \({stage} say@{number}\)"):
            await attempt
    assert (await toy.registry.get(LOCAL_ADMIN, f"word/hello@{number}")).number == number


async def test_what_a_pinned_revision_requires_is_held_too(toy: Toy) -> None:
    base = (await toy.registry.register(LOCAL_ADMIN, "word", "base", {"text": "b"})).revision
    await toy.release(await toy.word("top", needs=[base.digest]))
    with pytest.raises(Held, match="say@1"):
        await toy.registry.cards.delete(LOCAL_ADMIN, toy.registry.cards.named("word", "base"))


async def test_what_no_release_holds_any_more_can_be_deleted(toy: Toy) -> None:
    for text in ("one", "two", "three"):
        await toy.release(await toy.word(text))
    which = toy.registry.cards.named("word", "hello")
    await toy.registry.versions.delete(LOCAL_ADMIN, which, 1)
    with pytest.raises(NotFound):
        await toy.registry.get(LOCAL_ADMIN, "word/hello@1")
    assert [r.number for r in await toy.registry.revisions(LOCAL_ADMIN, "word")] == [3, 2]
    assert (await toy.registry.count(LOCAL_ADMIN))["word"] == 2


async def titles(registry: Registry, filter: str = "", order: Sequence[str] = (), **more: Any) -> list[str]:
    clauses, orders = parse_filter(filter, CARDS), parse_order(order, CARD_ORDER)
    page = await registry.cards.search(LOCAL_ADMIN, Wish("word", None, clauses, orders, **more))
    return [shown.card.title for shown in page.items]


FOUND: Mapping[str, list[str]] = {
    "": ["A", "a", "b c", "ü"],
    "name = 'a'": ["a"],
    "name != 'a'": ["A", "b c", "ü"],
    "name LIKE 'A%'": ["A"],
    "name ILIKE 'A%'": ["A", "a"],
    "name IN ('a', 'ü', 'none')": ["a", "ü"],
    "name NOT IN ('a')": ["A", "b c", "ü"],
    "tags.team = 'x'": ["a", "b c"],
    "tags.team != 'x'": ["A"],
    "tags.team = 'x' AND tag.n LIKE '1%'": ["b c"],
    "tags.missing = 'x'": [],
    "name LIKE '%'": ["A", "a", "b c", "ü"],
}


@pytest.mark.parametrize("filter", FOUND)
async def test_cards_are_found_by_title_and_tag(registry: Registry, filter: str) -> None:
    tags = {"a": {"team": "x"}, "b c": {"team": "x", "n": "10"}, "A": {"team": "y"}, "ü": {}}
    for title, own in tags.items():
        await registry.cards.create(LOCAL_ADMIN, "word", title, tags=own)
    assert await titles(registry, filter) == FOUND[filter]


async def test_pages_of_cards_go_on_where_they_ended_whatever_is_added(registry: Registry) -> None:
    for number in range(10):
        await registry.cards.create(LOCAL_ADMIN, "word", f"w{number}")
    orders = parse_order(["name DESC"], CARD_ORDER)
    seen: list[str] = []
    token: str | None = None
    while True:
        page = await registry.cards.search(LOCAL_ADMIN, Wish("word", None, (), orders, limit=3, token=token))
        seen += [shown.card.title for shown in page.items]
        await registry.cards.create(LOCAL_ADMIN, "word", f"x{len(seen)}")  # behind what was seen already
        token = page.next
        if token is None:
            break
    assert seen == [f"w{number}" for number in reversed(range(10))]


async def test_equal_times_are_ordered_by_title(toy: Toy, registry: Registry) -> None:
    for title in ("b", "a"):
        await registry.cards.create(LOCAL_ADMIN, "word", title)
    toy.clock.advance(1)
    await registry.cards.create(LOCAL_ADMIN, "word", "c")
    assert await titles(registry, order=["timestamp DESC"]) == ["c", "a", "b"]
    assert await titles(registry, order=["last_updated_timestamp", "name DESC"]) == ["b", "a", "c"]


async def test_cards_are_not_ordered_by_tags(registry: Registry) -> None:
    with pytest.raises(InvalidInput, match="tags"):
        await titles(registry, order=["tags.team"])


@pytest.mark.parametrize("token", ["evilhax", "%%%", "WzFd", "bnVsbA==", "WyJhIiwxLDIsM10="])
async def test_a_token_that_was_never_given_is_refused(registry: Registry, token: str) -> None:
    with pytest.raises(InvalidInput, match="page token"):
        await titles(registry, token=token)
