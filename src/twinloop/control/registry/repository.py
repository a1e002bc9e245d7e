"""Tables and queries of the registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Index, Integer, String, Table, func, insert, select, update

from twinloop.control.lineage import repository as lineage
from twinloop.control.lineage.model import Link, Node
from twinloop.control.registry.model import Parent, Registered, Revision
from twinloop.control.store.schema import Json, metadata
from twinloop.control.store.sql import upsert
from twinloop.core.digests import Digest
from twinloop.core.errors import NotFound
from twinloop.core.ids import Ref

revisions = Table(
    "revisions",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("kind", String(100), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("digest", String(71), nullable=False),
    Column("manifest", Json, nullable=False),
    Column("parents", Json, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("run_id", String(64)),
    Column("registered_ns", BigInteger, nullable=False),
    Index("uq_revisions_digest", "tenant", "digest", unique=True),
    Index("ix_revisions_newest", "tenant", "created_ns"),
    Index("ix_revisions_run", "tenant", "run_id"),
)

aliases = Table(
    "aliases",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("kind", String(100), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("alias", String(200), primary_key=True),
    Column("number", Integer, nullable=False),
)

alias_events = Table(
    "alias_events",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("tenant", String(100), nullable=False),
    Column("kind", String(100), nullable=False),
    Column("name", String(200), nullable=False),
    Column("alias", String(200), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("by", String(200), nullable=False),
    Index("ix_alias_events_name", "tenant", "kind", "name"),
)


def add(connection: Connection, tenant: str, wanted: Revision) -> Registered:
    """Add ``wanted`` with the next number, its node and its edges; or return the revision with the same digest.

    That one then counts as the newest again: going back to an earlier declaration, or training the same model again,
    must not leave ``kind/name`` meaning what was registered in between.
    """
    there = by_digest(connection, tenant, wanted.digest)
    if there is not None:
        connection.execute(
            update(revisions)
            .where(revisions.c.tenant == tenant, revisions.c.digest == there.digest)
            .values(registered_ns=wanted.created_ns)
        )
        if wanted.run_id:
            _link_run(connection, tenant, there.digest, wanted.run_id, wanted.created_ns)
        return Registered(there, created=False)
    _require(connection, tenant, [parent.digest for parent in wanted.parents])
    newest = connection.execute(
        select(func.max(revisions.c.number)).where(*_named(tenant, wanted.kind, wanted.name))
    ).scalar()
    made = msgspec.structs.replace(wanted, number=(newest or 0) + 1)
    connection.execute(
        insert(revisions).values(
            tenant=tenant,
            kind=made.kind,
            name=made.name,
            number=made.number,
            digest=made.digest,
            manifest=made.manifest,
            parents=msgspec.to_builtins(made.parents),
            created_ns=made.created_ns,
            created_by=made.created_by,
            run_id=made.run_id,
            registered_ns=made.created_ns,
        )
    )
    node = Node(made.digest, made.kind, made.name, str(made.number), made.digest, made.created_ns)
    links = [Link(parent.role, parent.digest, parent.via) for parent in made.parents]
    if made.run_id:
        links.append(Link("produced_by", f"run:{made.run_id}"))
    lineage.add(connection, tenant, node, links)
    return Registered(made, created=True)


def by_digest(connection: Connection, tenant: str, digest: Digest) -> Revision | None:
    row = connection.execute(
        select(revisions).where(revisions.c.tenant == tenant, revisions.c.digest == digest)
    ).one_or_none()
    return None if row is None else _with_aliases(connection, tenant, [_revision(row)])[0]


def by_ref(connection: Connection, tenant: str, ref: Ref) -> Revision | None:
    number: Any = ref.number
    if ref.alias is not None:
        number = connection.execute(
            select(aliases.c.number).where(
                aliases.c.tenant == tenant,
                aliases.c.kind == ref.kind,
                aliases.c.name == ref.name,
                aliases.c.alias == ref.alias,
            )
        ).scalar()
        if number is None:
            return None
    query = select(revisions).where(*_named(tenant, ref.kind, ref.name))
    query = (
        query.order_by(revisions.c.registered_ns.desc(), revisions.c.number.desc()).limit(1)
        if number is None
        else query.where(revisions.c.number == number)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _with_aliases(connection, tenant, [_revision(row)])[0]


def newest(
    connection: Connection, tenant: str, kind: str | None, name: str | None, limit: int, before: int | None
) -> list[Revision]:
    query = select(revisions).where(revisions.c.tenant == tenant)
    if kind is not None:
        query = query.where(revisions.c.kind == kind)
    if name is not None:
        query = query.where(revisions.c.name == name)
    if before is not None:
        query = query.where(revisions.c.created_ns < before)
    rows = connection.execute(query.order_by(revisions.c.created_ns.desc(), revisions.c.number.desc()).limit(limit))
    return _with_aliases(connection, tenant, [_revision(row) for row in rows])


def count(connection: Connection, tenant: str) -> dict[str, int]:
    """How many revisions of each kind there are."""
    rows = connection.execute(
        select(revisions.c.kind, func.count()).where(revisions.c.tenant == tenant).group_by(revisions.c.kind)
    )
    return {row[0]: row[1] for row in rows}


def move_alias(connection: Connection, tenant: str, revision: Revision, alias: str, at_ns: int, by: str) -> None:
    key = {"tenant": tenant, "kind": revision.kind, "name": revision.name, "alias": alias}
    upsert(connection, aliases, [{**key, "number": revision.number}], tuple(key), ("number",))
    connection.execute(insert(alias_events).values(**key, number=revision.number, at_ns=at_ns, by=by))


def _link_run(connection: Connection, tenant: str, digest: Digest, run_id: str, at_ns: int) -> None:
    lineage.add_links(connection, tenant, digest, [Link("produced_by", f"run:{run_id}")], at_ns)


def _require(connection: Connection, tenant: str, digests: Sequence[Digest]) -> None:
    wanted = sorted(set(digests))
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        known = set(
            connection.execute(
                select(revisions.c.digest).where(revisions.c.tenant == tenant, revisions.c.digest.in_(part))
            ).scalars()
        )
        for digest in part:
            if digest not in known:
                raise NotFound(f"The parent {digest} does not exist. Register it before what is made from it.")


def _named(tenant: str, kind: str, name: str) -> tuple[Any, ...]:
    return revisions.c.tenant == tenant, revisions.c.kind == kind, revisions.c.name == name


def _revision(row: Any) -> Revision:
    return Revision(
        kind=row.kind,
        name=row.name,
        number=row.number,
        digest=row.digest,
        manifest=row.manifest,
        parents=msgspec.convert(row.parents, tuple[Parent, ...]),
        created_ns=row.created_ns,
        created_by=row.created_by,
        run_id=row.run_id,
    )


def _with_aliases(connection: Connection, tenant: str, found: list[Revision]) -> list[Revision]:
    if not found:
        return found
    names = sorted({revision.name for revision in found})
    rows: list[Any] = []
    for start in range(0, len(names), 500):
        rows += connection.execute(
            select(aliases).where(aliases.c.tenant == tenant, aliases.c.name.in_(names[start : start + 500]))
        ).all()
    pointing: dict[tuple[str, str, int], list[str]] = {}
    for row in rows:
        pointing.setdefault((row.kind, row.name, row.number), []).append(row.alias)
    return [
        msgspec.structs.replace(revision, aliases=tuple(sorted(names_)))
        if (names_ := pointing.get((revision.kind, revision.name, revision.number)))
        else revision
        for revision in found
    ]
