"""Online values in process memory, kept in the relational store so that a restart finds them again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Integer, String, Table, Text, delete, insert, select

from twinloop.control.store.ports import Store
from twinloop.control.store.schema import metadata
from twinloop.control.store.sql import upsert
from twinloop.core.digests import Digest
from twinloop.core.errors import NotFound
from twinloop.ml.features.ports import Entity, Generation, Value

_VIEWS = Table(
    "online_views",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("view", String(71), primary_key=True),
    Column("generation", String(32), nullable=False),
    Column("dataset", String(71), nullable=False),
    Column("dataset_ref", String(300), nullable=False),
    Column("clock_us", BigInteger),
    Column("entities", Integer, nullable=False),
)

_BATCHES = Table(
    "online_values",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("generation", String(32), primary_key=True),
    Column("batch", Integer, primary_key=True),
    Column("body", Text, nullable=False),
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[tuple[tuple[str | int | bool, ...], Value]]).decode


class MemoryOnlineStore:
    """Implements OnlineStore for one process. Values are read from dictionaries; the store only remembers them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: dict[tuple[str, Digest], tuple[Generation, dict[Entity, Value]]] = {}
        self._writing = asyncio.Lock()

    async def put(
        self, tenant: str, view: Digest, generation: Generation, items: AsyncIterable[Sequence[tuple[Entity, Value]]]
    ) -> None:
        async with self._writing:
            values: dict[Entity, Value] = {}
            batch = 0
            async for part in items:
                values.update(part)
                await self._store.write(_batch_writer(tenant, generation.id, batch, part))
                batch += 1
            await self._store.write(lambda c: _switch(c, tenant, view, generation))
            self._held[tenant, view] = (generation, values)
            await self._store.write(lambda c: _forget(c, tenant))

    async def generation(self, tenant: str, view: Digest) -> Generation | None:
        held = self._held.get((tenant, view)) or await self._load(tenant, view)
        return held[0] if held else None

    async def get_many(
        self, tenant: str, view: Digest, entities: Sequence[Entity]
    ) -> tuple[Generation, Sequence[Value | None]]:
        held = self._held.get((tenant, view)) or await self._load(tenant, view)
        if held is None:
            raise NotFound(
                "This feature view has no online values. Run: twinloop run materialize, or features.materialize."
            )
        generation, values = held
        return generation, [values.get(entity) for entity in entities]

    async def _load(self, tenant: str, view: Digest) -> tuple[Generation, dict[Entity, Value]] | None:
        async with self._writing:
            key = (tenant, view)
            if key not in self._held:
                found = await self._store.read(lambda c: _read(c, tenant, view))
                if found is None:
                    return None
                generation, bodies = found
                values: dict[Entity, Value] = {}
                for body in bodies:
                    values.update(_decode(body))
                self._held[key] = (generation, values)
            return self._held[key]


def _batch_writer(tenant: str, generation: str, batch: int, part: Sequence[tuple[Entity, Value]]) -> Any:
    body = _encode(list(part)).decode()

    def write(connection: Connection) -> None:
        row = {"tenant": tenant, "generation": generation, "batch": batch, "body": body}
        connection.execute(insert(_BATCHES), row)

    return write


def _switch(connection: Connection, tenant: str, view: Digest, generation: Generation) -> None:
    row = {
        "tenant": tenant,
        "view": view,
        "generation": generation.id,
        "dataset": generation.dataset,
        "dataset_ref": generation.dataset_ref,
        "clock_us": generation.clock_us,
        "entities": generation.entities,
    }
    upsert(connection, _VIEWS, [row], ["tenant", "view"], [key for key in row if key not in ("tenant", "view")])


def _forget(connection: Connection, tenant: str) -> None:
    """Drop what no view shows any more: replaced generations, and those that a failure or a crash left half written."""
    shown = select(_VIEWS.c.generation).where(_VIEWS.c.tenant == tenant)
    connection.execute(delete(_BATCHES).where(_BATCHES.c.tenant == tenant, _BATCHES.c.generation.not_in(shown)))


def _read(connection: Connection, tenant: str, view: Digest) -> tuple[Generation, list[str]] | None:
    mine = (_VIEWS.c.tenant == tenant) & (_VIEWS.c.view == view)
    row = connection.execute(select(_VIEWS).where(mine)).mappings().first()
    if row is None:
        return None
    generation = Generation(
        row["generation"], Digest(row["dataset"]), row["dataset_ref"], row["clock_us"], row["entities"]
    )
    batches = (
        select(_BATCHES.c.body)
        .where(_BATCHES.c.tenant == tenant, _BATCHES.c.generation == generation.id)
        .order_by(_BATCHES.c.batch)
    )
    return generation, list(connection.execute(batches).scalars())
