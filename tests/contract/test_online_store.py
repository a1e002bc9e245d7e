"""What every OnlineStore must do. A backend joins by adding itself to ``BACKENDS``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from twinloop.backends.memory import MemoryOnlineStore
from twinloop.backends.sqlite import open_store
from twinloop.control.store.ports import Store
from twinloop.core.digests import Digest, digest_bytes
from twinloop.core.errors import NotFound
from twinloop.core.ids import new_id
from twinloop.ml.features.ports import Entity, Generation, OnlineStore, Value

BACKENDS: dict[str, Callable[[Store], OnlineStore]] = {"memory": MemoryOnlineStore}
VIEW = digest_bytes(b"a view")
OTHER = digest_bytes(b"another view")

Item = tuple[Entity, Value]


class Opened:
    """A backend over a store, which can be opened again as after a restart."""

    def __init__(self, make: Callable[[Store], OnlineStore], path: Path) -> None:
        self._make = make
        self._path = path
        self._store = open_store(path)
        self.online = make(self._store)

    async def restart(self) -> OnlineStore:
        await self._store.aclose()
        self._store = open_store(self._path)
        self.online = self._make(self._store)
        return self.online

    async def aclose(self) -> None:
        await self._store.aclose()


@pytest_asyncio.fixture(params=BACKENDS)
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opened]:
    found = Opened(BACKENDS[request.param], tmp_path / "twinloop.db")
    yield found
    await found.aclose()


def generation(dataset: str = "values", clock_us: int | None = None) -> Generation:
    return Generation(new_id(), digest_bytes(dataset.encode()), f"dataset/{dataset}@1", clock_us, 2)


async def batches(*parts: Sequence[Item]) -> AsyncIterator[Sequence[Item]]:
    for part in parts:
        yield part


async def put(online: OnlineStore, items: Sequence[Item], view: Digest = VIEW, tenant: str = "t") -> Generation:
    made = generation()
    await online.put(tenant, view, made, batches(items))
    return made


async def test_values_come_back_in_the_order_asked_with_none_for_strangers(opened: Opened) -> None:
    made = await put(
        opened.online, [(("a", 1), Value((1.5, "x", None, True), 7)), (("b", 2), Value((2, "y", 0.5, False), None))]
    )
    found, values = await opened.online.get_many("t", VIEW, [("b", 2), ("zz", 0), ("a", 1), ("b", 2)])
    assert found == made
    assert values == [
        Value((2, "y", 0.5, False), None),
        None,
        Value((1.5, "x", None, True), 7),
        Value((2, "y", 0.5, False), None),
    ]


async def test_a_view_that_was_never_put_has_no_generation_and_reading_it_says_so(opened: Opened) -> None:
    assert await opened.online.generation("t", VIEW) is None
    with pytest.raises(NotFound, match="no online values"):
        await opened.online.get_many("t", VIEW, [("a",)])


async def test_a_new_generation_replaces_the_whole_old_one(opened: Opened) -> None:
    await put(opened.online, [(("old",), Value((1,), 1)), (("both",), Value((1,), 1))])
    made = await put(opened.online, [(("both",), Value((2,), 2))])
    found, values = await opened.online.get_many("t", VIEW, [("old",), ("both",)])
    assert (found.id, values) == (made.id, [None, Value((2,), 2)])


async def test_views_and_tenants_are_kept_apart(opened: Opened) -> None:
    await put(opened.online, [(("a",), Value((1,), 1))])
    await put(opened.online, [(("a",), Value((2,), 1))], view=OTHER)
    await put(opened.online, [(("a",), Value((3,), 1))], tenant="u")
    answers = [
        await opened.online.get_many(tenant, view, [("a",)])
        for tenant, view in (("t", VIEW), ("t", OTHER), ("u", VIEW))
    ]
    assert [values[0].values[0] for _, values in answers if values[0]] == [1, 2, 3]
    assert await opened.online.generation("u", OTHER) is None


async def test_values_survive_a_restart(opened: Opened) -> None:
    entity: Entity = ("AA", 7, True, "2013-08-01")
    many = [((f"e{n}",), Value((n, None), n)) for n in range(500)]
    await put(opened.online, [(entity, Value((None, "text", 1.25), 1357009200000000))])
    made = generation("many", clock_us=5)
    await opened.online.put("t", OTHER, made, batches(many[:200], many[200:]))
    again = await opened.restart()
    assert (await again.get_many("t", VIEW, [entity]))[1] == [Value((None, "text", 1.25), 1357009200000000)]
    found, values = await again.get_many("t", OTHER, [("e499",), ("e0",)])
    assert (found, values) == (made, [Value((499, None), 499), Value((0, None), 0)])


async def test_a_put_that_breaks_off_leaves_the_old_generation(opened: Opened) -> None:
    async def broken() -> AsyncIterator[Sequence[Item]]:
        yield [(("a",), Value((2,), 2))]
        raise RuntimeError("the source broke off")

    made = await put(opened.online, [(("a",), Value((1,), 1))])
    with pytest.raises(RuntimeError, match="broke off"):
        await opened.online.put("t", VIEW, generation(), broken())
    for online in (opened.online, await opened.restart()):
        found, values = await online.get_many("t", VIEW, [("a",)])
        assert (found.id, values) == (made.id, [Value((1,), 1)])


async def test_readers_see_one_whole_generation_while_another_is_put(opened: Opened) -> None:
    entities: list[Entity] = [(n,) for n in range(100)]
    await put(opened.online, [(entity, Value((0,), 0)) for entity in entities])

    async def slowly(number: int) -> AsyncIterator[Sequence[Item]]:
        for entity in entities:
            yield [(entity, Value((number,), 0))]
            await asyncio.sleep(0)

    seen: set[frozenset[int]] = set()
    writing = asyncio.create_task(opened.online.put("t", VIEW, generation(), slowly(1)))
    while not writing.done():
        _, values = await opened.online.get_many("t", VIEW, entities)
        seen.add(frozenset(value.values[0] for value in values if value))
        await asyncio.sleep(0)
    await writing
    assert seen <= {frozenset({0}), frozenset({1})}
    _, values = await opened.online.get_many("t", VIEW, entities)
    assert {value.values[0] for value in values if value} == {1}
