"""A database from before there were cards."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, insert

from tests.toys import Toy, WordKind
from twinloop.control.registry.event_rows import events_after
from twinloop.control.registry.model import RegistryEvent
from twinloop.control.registry.search import Wish
from twinloop.control.registry.service import Registry
from twinloop.control.registry.tables import alias_events, card_tags, cards, notes, registry_events
from twinloop.control.security.model import LOCAL_ADMIN
from twinloop.control.store.migrations.registry_filling import fill_registry


class ModelKind(WordKind):
    name = "model"


class PromptKind(WordKind):
    name = "prompt"


def _forget(connection: Connection) -> None:
    """Take away what the version before did not write, and write what it wrote."""
    for table in (registry_events, notes, card_tags, cards):
        connection.execute(delete(table))
    connection.execute(
        insert(alias_events).values(
            tenant="default", kind="model", name="a", alias="best.v2", number=2, at_ns=1_700_000_009 * 10**9, by="ada"
        )
    )


async def old(toy: Toy) -> Registry:
    """Two revisions of a model with an alias, and a prompt of the same name."""
    registry = Registry(toy.store, [ModelKind(), PromptKind()], toy.clock, shelves={"prompt": "model"})
    for kind, text in (("model", "1"), ("prompt", "p"), ("model", "2")):
        toy.clock.advance(1)
        await registry.register(LOCAL_ADMIN, kind, "a", {"text": text})
    await registry.set_alias(LOCAL_ADMIN, "model", "a", "best.v2", 2)
    await toy.store.write(_forget)
    return registry


async def told(toy: Toy) -> list[RegistryEvent]:
    return await toy.store.read(lambda c: events_after(c, 0, 100))


async def test_old_revisions_get_cards_notes_and_a_history(toy: Toy) -> None:
    registry = await old(toy)
    await toy.store.write(fill_registry)
    page = await registry.cards.search(LOCAL_ADMIN, Wish("model"))
    assert [(shown.card.ref, shown.card.title, shown.aliases) for shown in page.items] == [
        ("model/a", "a", {"best.v2": 2}),
        ("prompt/a", "a (prompt)", {}),
    ]
    found = await registry.versions.search(LOCAL_ADMIN, Wish("model"))
    assert [(version.title, version.revision.number) for version in found.items] == [
        ("a", 2),
        ("a (prompt)", 1),
        ("a", 1),
    ]
    assert [(event.action, event.kind, event.number, event.by) for event in await told(toy)] == [
        ("card.created", "model", None, "local"),
        ("revision.registered", "model", 1, "local"),
        ("card.created", "prompt", None, "local"),
        ("revision.registered", "prompt", 1, "local"),
        ("revision.registered", "model", 2, "local"),
        ("alias.set", "model", 2, "ada"),
    ]
    assert (await told(toy))[-1].detail == {"alias": "best.v2"}


async def test_filling_twice_changes_nothing(toy: Toy) -> None:
    await old(toy)
    await toy.store.write(fill_registry)
    before: list[Any] = await told(toy)
    await toy.store.write(fill_registry)
    assert await told(toy) == before


async def test_what_was_filled_goes_on_as_anything_else(toy: Toy) -> None:
    registry = await old(toy)
    await toy.store.write(fill_registry)
    assert (await registry.register(LOCAL_ADMIN, "model", "a", {"text": "3"})).revision.number == 3
    await registry.cards.rename(LOCAL_ADMIN, registry.cards.named("model", "a"), "b")
    assert (await registry.versions.get(LOCAL_ADMIN, registry.cards.titled("model", "b"), 1)).note.stage == "None"
