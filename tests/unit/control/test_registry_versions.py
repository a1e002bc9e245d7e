"""Revisions as their card shows them: numbers, notes, stages and aliases."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.toys import Toy
from twinloop.control.lineage import repository as lineage
from twinloop.control.registry.card_rows import Titled
from twinloop.control.registry.errors import AliasNotFound, CardNotFound, VersionNotFound
from twinloop.control.registry.event_rows import events_after
from twinloop.control.registry.model import NoteChange, Origin
from twinloop.control.registry.repository import Wanted
from twinloop.control.registry.search import VERSION_ORDER, VERSIONS, Wish
from twinloop.control.registry.service import Registry
from twinloop.control.search.grammar import parse_filter, parse_order
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.core.errors import Conflict, Forbidden, InvalidInput, NotFound

A = Titled("word", "a")
VIEWER = Principal("v", "default", Role.viewer)


@pytest.fixture
async def registry(toy: Toy) -> Registry:
    await toy.registry.cards.create(LOCAL_ADMIN, "word", "a")
    return toy.registry


async def add(registry: Registry, title: str = "a", text: str = "x", **more: Any) -> int:
    wanted = Wanted({"text": text}, fresh=True, **more)
    return (await registry.add_version(LOCAL_ADMIN, Titled("word", title), "word", wanted)).revision.number


async def told(toy: Toy) -> list[tuple[str, int | None, dict[str, Any]]]:
    events = await toy.store.read(lambda c: events_after(c, 0, 1000))
    return [(event.action, event.number, event.detail) for event in events]


async def test_the_same_source_twice_is_two_versions(registry: Registry) -> None:
    assert [await add(registry), await add(registry)] == [1, 2]
    first, second = [(await registry.versions.get(LOCAL_ADMIN, A, number)).revision for number in (1, 2)]
    assert first.digest != second.digest
    assert (first.manifest["version"], second.manifest["version"]) == (1, 2)


async def test_versions_made_at_once_have_no_gaps(registry: Registry) -> None:
    assert sorted(await asyncio.gather(*(add(registry) for _ in range(40)))) == list(range(1, 41))


async def test_of_twenty_who_want_the_same_number_one_gets_it(registry: Registry) -> None:
    async def register(text: str) -> int:
        done = await registry.register(LOCAL_ADMIN, "word", "n", {"text": text}, number=1)
        return done.revision.number

    made = await asyncio.gather(*(register(str(n)) for n in range(20)), return_exceptions=True)
    assert sum(one == 1 for one in made) == 1
    assert sum(isinstance(one, Conflict) for one in made) == 19
    with pytest.raises(Conflict, match="next number is 2"):
        await registry.register(LOCAL_ADMIN, "word", "n", {"text": "z"}, number=3)


async def test_a_number_asked_for_twice_with_the_same_content_is_given_once(registry: Registry) -> None:
    await registry.register(LOCAL_ADMIN, "word", "n", {"text": "z"}, number=1)
    with pytest.raises(Conflict, match=r"registered already|next number"):
        await registry.register(LOCAL_ADMIN, "word", "n", {"text": "z"}, number=1)
    with pytest.raises(Conflict, match="registered already"):
        await registry.register(LOCAL_ADMIN, "word", "n", {"text": "z"}, number=2)


async def test_a_version_is_told_with_its_origin_and_linked_to_it(toy: Toy, registry: Registry) -> None:
    await add(
        registry,
        run_id="r1",
        origin=Origin("s3://b/m", "s3://b/m", "m-1", "http://run"),
        description="d",
        tags={"k": "v"},
    )
    version = await registry.versions.get(LOCAL_ADMIN, A, 1)
    assert version.revision.origin == Origin("s3://b/m", "s3://b/m", "m-1", "http://run")
    assert (version.note.description, version.note.tags, version.note.stage) == ("d", {"k": "v"}, "None")
    edges = await toy.store.read(lambda c: lineage.parents(c, "default", [version.revision.digest]))
    assert {(edge.role, edge.parent) for edge in edges} == {
        ("produced_by", "run:r1"),
        ("logged_as", "logged_model:m-1"),
    }
    action, number, detail = (await told(toy))[-1]
    assert (action, number) == ("revision.registered", 1)
    assert (detail["source"], detail["run_id"], detail["tags"]) == ("s3://b/m", "r1", {"k": "v"})


async def test_a_version_of_a_card_that_is_not_there_is_refused(registry: Registry) -> None:
    with pytest.raises(CardNotFound):
        await add(registry, "b")


async def test_a_manifest_its_kind_refuses_is_no_version(registry: Registry) -> None:
    with pytest.raises(InvalidInput, match="text"):
        await registry.add_version(LOCAL_ADMIN, A, "word", Wanted({"text": 3}, fresh=True))
    with pytest.raises(InvalidInput, match="NaN"):
        await registry.add_version(LOCAL_ADMIN, A, "word", Wanted({"text": "x", "n": float("nan")}, fresh=True))


async def test_a_deleted_version_is_gone_but_for_its_digest_and_its_number(toy: Toy, registry: Registry) -> None:
    for _ in range(2):
        await add(registry)
    digest = (await registry.get(LOCAL_ADMIN, "word/a@2")).digest
    await registry.versions.set_alias(LOCAL_ADMIN, A, "best", 2)
    await registry.versions.delete(LOCAL_ADMIN, A, 2)
    for ref in ("word/a@2", "word/a@best"):
        with pytest.raises(NotFound):
            await registry.get(LOCAL_ADMIN, ref)
    assert (await registry.get(LOCAL_ADMIN, "word/a")).number == 1
    assert (await registry.get(LOCAL_ADMIN, digest)).number == 2
    with pytest.raises(AliasNotFound):
        await registry.versions.by_alias(LOCAL_ADMIN, A, "best")
    with pytest.raises(VersionNotFound):
        await registry.versions.delete(LOCAL_ADMIN, A, 2)
    assert await add(registry) == 3
    assert [action for action, _, _ in await told(toy)][-4:] == [
        "alias.set",
        "alias.removed",
        "revision.deleted",
        "revision.registered",
    ]


async def test_a_deleted_revision_that_is_registered_again_has_what_is_said_of_it_then(registry: Registry) -> None:
    async def again(**tags: str) -> dict[str, str]:
        made = await registry.versions.add(LOCAL_ADMIN, A, "word", Wanted({"text": "same"}, tags=tags))
        assert made.revision.number == 1
        return made.note.tags

    assert await again(k="1", old="x") == {"k": "1", "old": "x"}
    await registry.versions.delete(LOCAL_ADMIN, A, 1)
    assert await again(k="2") == {"k": "2"}
    await registry.versions.delete(LOCAL_ADMIN, A, 1)
    await registry.register(LOCAL_ADMIN, "word", "a", {"text": "same"})
    assert (await registry.versions.get(LOCAL_ADMIN, A, 1)).note.tags == {}


async def test_stages_of_several_versions_and_the_latest_at_each(registry: Registry) -> None:
    for _ in range(4):
        await add(registry)
    await registry.versions.set_stage(LOCAL_ADMIN, A, 1, "Production")
    await registry.versions.set_stage(LOCAL_ADMIN, A, 2, "Production")
    await registry.versions.set_stage(LOCAL_ADMIN, A, 3, "Staging")
    latest = await registry.versions.latest(LOCAL_ADMIN, A, ["None", "Staging", "Production"])
    assert {v.note.stage: v.revision.number for v in latest} == {"None": 4, "Staging": 3, "Production": 2}
    await registry.versions.delete(LOCAL_ADMIN, A, 2)
    latest = await registry.versions.latest(LOCAL_ADMIN, A, ["Production"])
    assert [v.revision.number for v in latest] == [1]


async def test_moving_to_a_stage_can_archive_what_was_there(toy: Toy, registry: Registry) -> None:
    for _ in range(3):
        await add(registry)
    await registry.versions.set_stage(LOCAL_ADMIN, A, 1, "Staging")
    await registry.versions.set_stage(LOCAL_ADMIN, A, 2, "Staging")
    await registry.versions.set_stage(LOCAL_ADMIN, A, 3, "Staging", archive_others=True)
    stages = [(await registry.versions.get(LOCAL_ADMIN, A, number)).note.stage for number in (1, 2, 3)]
    assert stages == ["Archived", "Archived", "Staging"]
    assert [(n, d["from"], d["to"]) for a, n, d in (await told(toy)) if a == "revision.staged"][2:] == [
        (1, "Staging", "Archived"),
        (2, "Staging", "Archived"),
        (3, "None", "Staging"),
    ]
    with pytest.raises(InvalidInput, match="not an Active stage"):
        await registry.versions.set_stage(LOCAL_ADMIN, A, 3, "Archived", archive_others=True)


async def test_notes_change_as_one_and_say_what_changed(toy: Toy, registry: Registry) -> None:
    await add(registry, tags={"gone": "1"})
    change = NoteChange("better", {"gone": None, "k": "v"}, "Staging")
    note = (await registry.versions.change(LOCAL_ADMIN, A, 1, change)).note
    assert (note.description, note.tags, note.stage) == ("better", {"k": "v"}, "Staging")
    assert [action for action, _, _ in await told(toy)][2:] == [
        "revision.described",
        "revision.staged",
        "revision.untagged",
        "revision.tagged",
    ]
    with pytest.raises(InvalidInput, match="exceeds"):
        await registry.versions.change(LOCAL_ADMIN, A, 1, NoteChange("x", {"k": "x" * 100_001}))
    assert (await registry.versions.get(LOCAL_ADMIN, A, 1)).note.description == "better"


async def test_who_reads_may_not_note(registry: Registry) -> None:
    await add(registry)
    with pytest.raises(Forbidden):
        await registry.versions.set_stage(VIEWER, A, 1, "Staging")


async def test_changing_a_version_leaves_its_revision_as_it_was(registry: Registry) -> None:
    await add(registry)
    before = await registry.get(LOCAL_ADMIN, "word/a@1")
    await registry.versions.change(LOCAL_ADMIN, A, 1, NoteChange("d", {"k": "v"}, "Archived"))
    assert await registry.get(LOCAL_ADMIN, "word/a@1") == before


async def test_times_follow_what_happens(toy: Toy, registry: Registry) -> None:
    await add(registry)
    toy.clock.advance(1)
    await registry.versions.describe(LOCAL_ADMIN, A, 1, "d")
    version = await registry.versions.get(LOCAL_ADMIN, A, 1)
    card = (await registry.cards.get(LOCAL_ADMIN, A)).card
    assert version.note.updated_ms - version.revision.created_ns // 10**6 == 1000
    assert card.updated_ms == version.revision.created_ns // 10**6
    await registry.versions.set_stage(LOCAL_ADMIN, A, 1, "Staging")
    assert (await registry.cards.get(LOCAL_ADMIN, A)).card.updated_ms == version.note.updated_ms


async def found(
    registry: Registry, filter: str = "", order: tuple[str, ...] = (), **more: Any
) -> list[tuple[str, int]]:
    wish = Wish("word", None, parse_filter(filter, VERSIONS), parse_order(order, VERSION_ORDER), **more)
    page = await registry.versions.search(LOCAL_ADMIN, wish)
    return [(version.title, version.revision.number) for version in page.items]


FOUND: dict[str, list[tuple[str, int]]] = {
    "": [("a", 1), ("a", 2), ("b", 1)],
    "name = 'a'": [("a", 1), ("a", 2)],
    "version_number > 1": [("a", 2)],
    "version_number > '1'": [("a", 2)],
    "version_number != 1": [("a", 2)],
    "run_id = 'r1'": [("a", 1)],
    "run_id IN ('r1', 'r2')": [("a", 1), ("b", 1)],
    "run_id NOT IN ('r1')": [("a", 2), ("b", 1)],
    "run_id != 'r1'": [("a", 2), ("b", 1)],
    "run_id = ''": [("a", 2)],
    "source_path LIKE 's3:%'": [("a", 1), ("b", 1)],
    "source_path ILIKE 'S3://A%'": [("a", 1)],
    "tags.k = 'v' AND version_number = 1": [("a", 1)],
    "tags.k != 'v'": [("b", 1)],
    "name = 'none'": [],
}


@pytest.mark.parametrize("filter", FOUND)
async def test_versions_are_found_across_cards(registry: Registry, filter: str) -> None:
    await registry.cards.create(LOCAL_ADMIN, "word", "b")
    await add(registry, "a", run_id="r1", origin=Origin("s3://a/1"), tags={"k": "v"})
    await add(registry, "a", tags={"k": "v"})
    await add(registry, "b", run_id="r2", origin=Origin("s3://b/1"), tags={"k": "w"})
    assert sorted(await found(registry, filter)) == FOUND[filter]


async def test_versions_come_last_updated_first_and_in_pages(toy: Toy, registry: Registry) -> None:
    for _ in range(7):
        await add(registry)
    toy.clock.advance(1)
    await registry.versions.describe(LOCAL_ADMIN, A, 3, "touched")
    expected = [3, 7, 6, 5, 4, 2, 1]
    assert [number for _, number in await found(registry)] == expected
    seen: list[int] = []
    token: str | None = None
    while True:
        page = await registry.versions.search(LOCAL_ADMIN, Wish("word", limit=2, token=token))
        seen += [version.revision.number for version in page.items]
        token = page.next
        if token is None:
            break
    assert seen == expected


async def test_a_search_for_versions_shows_neither_deleted_ones_nor_those_of_deleted_cards(registry: Registry) -> None:
    await registry.cards.create(LOCAL_ADMIN, "word", "b")
    for title in ("a", "a", "b"):
        await add(registry, title)
    await registry.versions.delete(LOCAL_ADMIN, A, 1)
    await registry.cards.delete(LOCAL_ADMIN, Titled("word", "b"))
    assert await found(registry) == [("a", 2)]


@pytest.mark.parametrize("filter", ["name LIKE", "name LIKE AND tag.k != 'v'", "name = and name = 'a'", "name ="])
def test_a_comparison_without_a_value_is_no_clause(filter: str) -> None:
    with pytest.raises(InvalidInput, match=r"Invalid clause\(s\) in filter string"):
        parse_filter(filter, VERSIONS)


async def test_a_number_is_compared_with_whole_numbers(registry: Registry) -> None:
    for value in ("1.5", "'1.5'", "'one'", "''", "'99999999999999999999'"):
        with pytest.raises(InvalidInput, match="Invalid value for numeric attribute 'version_number'"):
            await found(registry, f"version_number = {value}")


async def test_versions_are_not_ordered_by_tags(registry: Registry) -> None:
    with pytest.raises(InvalidInput, match="tags"):
        await found(registry, order=("name", "tags.k"))
