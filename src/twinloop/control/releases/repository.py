"""Tables and queries of releases: the traffic now, what it pins, and the append-only history of every change to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Float, Index, Integer, String, Table, Text, insert, select

from twinloop.control.evaluation.model import GateResult
from twinloop.control.lineage import repository as lineage
from twinloop.control.registry import approval_rows as approvals
from twinloop.control.registry import repository as registry
from twinloop.control.releases.kind import RELEASE, release_of
from twinloop.control.releases.model import ReleaseEvent, Traffic
from twinloop.control.store.schema import Json, metadata
from twinloop.control.store.sql import upsert
from twinloop.core.digests import Digest
from twinloop.core.ids import Ref

_EDGES = 10_000

traffic = Table(
    "traffic",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("endpoint", String(200), primary_key=True),
    Column("type", String(20), nullable=False),
    Column("live", Integer),
    Column("canary", Integer),
    Column("weight", Float, nullable=False),
    Column("shadow", Integer),
    Column("previous", Integer),
    Column("updated_ns", BigInteger, nullable=False),
)

release_events = Table(
    "release_events",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("tenant", String(100), nullable=False),
    Column("endpoint", String(200), nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("action", String(20), nullable=False),
    Column("release", String(250), nullable=False),
    Column("stage", String(20), nullable=False),
    Column("by", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("traffic", Json, nullable=False),
    Index("ix_release_events_endpoint", "tenant", "endpoint", "sequence"),
)


def get(connection: Connection, tenant: str, endpoint: str) -> Traffic | None:
    row = connection.execute(
        select(traffic).where(traffic.c.tenant == tenant, traffic.c.endpoint == endpoint)
    ).one_or_none()
    return None if row is None else _traffic(row)


def everything(connection: Connection) -> list[tuple[str, Traffic]]:
    """The traffic of every endpoint of every tenant."""
    return [(row.tenant, _traffic(row)) for row in connection.execute(select(traffic))]


def holds(connection: Connection, tenant: str, digests: Sequence[Digest]) -> dict[Digest, list[str]]:
    """Which of ``digests`` a release pins that answers now or that a rollback returns to, and where: ``say (live say@3)``."""
    wanted = set(digests)
    held: dict[Digest, list[str]] = {}
    for row in connection.execute(select(traffic).where(traffic.c.tenant == tenant)):
        for state in ("live", "canary", "shadow", "previous"):
            number = getattr(row, state)
            revision = (
                None if number is None else registry.by_ref(connection, tenant, Ref(RELEASE, row.endpoint, number))
            )
            if revision is None:
                continue
            release = release_of(revision)
            pinned = {revision.digest, *(pin.digest for pin in (*release.pins.values(), *release.required))}
            for digest in pinned & wanted:
                held.setdefault(digest, []).append(f"{row.endpoint} ({state} {release.ref})")
    return held


def change(connection: Connection, tenant: str, event: ReleaseEvent, pinned: Sequence[Digest] = ()) -> None:
    """Make ``event.traffic`` what is live and add the event to the history, as one.

    Raises:
        Refused: one of ``pinned`` was deleted or rejected, or lacks approvals; nothing is changed.
    """
    approvals.require(connection, tenant, pinned)
    values = msgspec.to_builtins(event.traffic)
    upsert(connection, traffic, [{"tenant": tenant, **values}], ("tenant", "endpoint"), tuple(values))
    connection.execute(
        insert(release_events).values(
            tenant=tenant,
            endpoint=event.traffic.endpoint,
            at_ns=event.at_ns,
            action=event.action,
            release=event.release,
            stage=event.stage,
            by=event.by,
            reason=event.reason,
            traffic=values,
        )
    )


def history(connection: Connection, tenant: str, endpoint: str, limit: int) -> list[ReleaseEvent]:
    """Changes of an endpoint, newest first."""
    rows = connection.execute(
        select(release_events)
        .where(release_events.c.tenant == tenant, release_events.c.endpoint == endpoint)
        .order_by(release_events.c.sequence.desc())
        .limit(limit)
    )
    return [_event(row) for row in rows]


class Tenure(NamedTuple):
    """A time in which a release that pins a revision was ``live``, ``canary`` or ``shadow``.

    ``sequence``, ``action``, ``by`` and ``reason`` are those of the event that began it; ``until_ns`` is None while it
    lasts, ``digest`` is the revision pinned, and ``role`` what it is pinned as.
    """

    sequence: int
    endpoint: str
    release: str
    stage: str
    action: str
    by: str
    reason: str
    weight: float
    since_ns: int
    until_ns: int | None
    digest: str
    role: str
    gate: GateResult | None


def tenures(connection: Connection, tenant: str, digests: Sequence[Digest]) -> list[Tenure]:
    """Every time in which one of ``digests`` answered somewhere, the newest beginning first."""
    pinned: dict[tuple[str, int], list[tuple[str, str]]] = {}
    edges = lineage.children(connection, tenant, digests, leaf=False, limit=_EDGES)
    nodes = {node.key: node for node in lineage.describe(connection, tenant, sorted({edge.child for edge in edges}))}
    for edge in edges:
        node = nodes.get(edge.child)
        if node is not None and node.kind == RELEASE:
            pinned.setdefault((node.name, int(node.version)), []).append((edge.parent, edge.role))
    found: list[Tenure] = []
    for endpoint in sorted({endpoint for endpoint, _ in pinned}):
        numbers = {number for name, number in pinned if name == endpoint}
        for event, stage, number, until_ns in _spans(connection, tenant, endpoint, numbers):
            revision = registry.by_ref(connection, tenant, Ref(RELEASE, endpoint, number))
            found += [
                Tenure(
                    sequence=event.sequence,
                    endpoint=endpoint,
                    release=f"{endpoint}@{number}",
                    stage=stage,
                    action=event.action,
                    by=event.by,
                    reason=event.reason,
                    weight=event.traffic.weight if stage == "canary" else 0.0,
                    since_ns=event.at_ns,
                    until_ns=until_ns,
                    digest=digest,
                    role=role,
                    gate=None if revision is None else release_of(revision).gate,
                )
                for digest, role in pinned[endpoint, number]
            ]
    return sorted(found, key=lambda tenure: (-tenure.sequence, tenure.stage, tenure.release, tenure.role))


def _spans(
    connection: Connection, tenant: str, endpoint: str, numbers: set[int]
) -> Iterator[tuple[ReleaseEvent, str, int, int | None]]:
    """For each stage, the events that brought one of ``numbers`` to it, and when it left."""
    rows = connection.execute(
        select(release_events)
        .where(release_events.c.tenant == tenant, release_events.c.endpoint == endpoint)
        .order_by(release_events.c.sequence)
    )
    began: dict[str, tuple[ReleaseEvent, int]] = {}
    for row in rows:
        event = _event(row)
        for stage in ("live", "canary", "shadow"):
            number = getattr(event.traffic, stage)
            before = began.get(stage)
            if before is not None and before[1] != number:
                yield before[0], stage, before[1], event.at_ns
                del began[stage]
            if number in numbers and stage not in began:
                began[stage] = (event, number)
    for stage, (event, number) in began.items():
        yield event, stage, number, None


def _traffic(row: Any) -> Traffic:
    return Traffic(
        endpoint=row.endpoint,
        type=row.type,
        live=row.live,
        canary=row.canary,
        weight=row.weight,
        shadow=row.shadow,
        previous=row.previous,
        updated_ns=row.updated_ns,
    )


def _event(row: Any) -> ReleaseEvent:
    return ReleaseEvent(
        sequence=row.sequence,
        at_ns=row.at_ns,
        action=row.action,
        release=row.release,
        stage=row.stage,
        by=row.by,
        reason=row.reason,
        traffic=msgspec.convert(row.traffic, Traffic),
    )
