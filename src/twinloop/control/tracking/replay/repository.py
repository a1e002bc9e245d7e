"""How far each journal has been replayed, and which of its operations were refused."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import BigInteger, Column, Connection, String, Table, Text, select, update

from twinloop.control.store.schema import metadata
from twinloop.control.store.sql import upsert

replays = Table(
    "replays",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("spool", String(64), primary_key=True),
    Column("last_sequence", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
)

replay_rejections = Table(
    "replay_rejections",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("spool", String(64), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("run", String(64), nullable=False),
    Column("message", Text, nullable=False),
)


class Rejection(msgspec.Struct, frozen=True):
    """An operation that was refused for good; what came after it was applied all the same."""

    sequence: int
    run: str
    message: str


def last(connection: Connection, tenant: str, spool: str) -> int:
    """The number of the last operation of the journal that was dealt with; 0 when none was."""
    query = select(replays.c.last_sequence).where(replays.c.tenant == tenant, replays.c.spool == spool)
    return int(connection.execute(query).scalar() or 0)


def claim(connection: Connection, tenant: str, spool: str) -> int:
    """As ``last``, and no other transaction gets past this for the same journal until ours has ended."""
    fresh = {"tenant": tenant, "spool": spool, "last_sequence": 0, "updated_ms": 0}
    upsert(connection, replays, [fresh], ("tenant", "spool"))
    query = select(replays.c.last_sequence).where(replays.c.tenant == tenant, replays.c.spool == spool)
    return int(connection.execute(query.with_for_update()).scalar_one())


def advance(connection: Connection, tenant: str, spool: str, sequence: int, now_ms: int) -> None:
    mine = (replays.c.tenant == tenant, replays.c.spool == spool)
    connection.execute(update(replays).where(*mine).values(last_sequence=sequence, updated_ms=now_ms))


def reject(connection: Connection, tenant: str, spool: str, found: Iterable[Rejection]) -> None:
    rows = [{"tenant": tenant, "spool": spool, **msgspec.structs.asdict(item)} for item in found]
    upsert(connection, replay_rejections, rows, ("tenant", "spool", "sequence"))


def rejections(connection: Connection, tenant: str, spool: str, first: int, end: int) -> list[Rejection]:
    """What was refused of the operations from ``first`` to ``end``, by number."""
    found = replay_rejections.c
    query = select(found.sequence, found.run, found.message).where(
        found.tenant == tenant, found.spool == spool, found.sequence.between(first, end)
    )
    return [Rejection(*row) for row in connection.execute(query.order_by(found.sequence))]
