"""Queries of revisions: adding one, and finding it by reference, digest or age."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, insert, select, update

from twinloop.control.lineage import repository as lineage
from twinloop.control.lineage.model import Link, Node
from twinloop.control.registry import event_rows, keys, note_rows
from twinloop.control.registry.event_rows import events_after
from twinloop.control.registry.model import (
    Act,
    Card,
    Note,
    Origin,
    Parent,
    Registered,
    Revision,
    Status,
    Version,
    revision_digest,
)
from twinloop.control.registry.tables import aliases, notes, revisions
from twinloop.core.digests import Digest
from twinloop.core.errors import Conflict, NotFound
from twinloop.core.ids import Ref

__all__ = [
    "Wanted",
    "add",
    "by_digest",
    "by_ref",
    "count",
    "events_after",
    "kept",
    "latest",
    "newest",
    "of_card",
    "versions",
    "with_notes",
]


NOTED = [notes.c[name].label(f"note_{name}") for name in ("description", "stage", "status", "deleted", "updated_ms")]
_SAME = and_(
    notes.c.tenant == revisions.c.tenant,
    notes.c.kind == revisions.c.kind,
    notes.c.name == revisions.c.name,
    notes.c.number == revisions.c.number,
)


class Wanted(msgspec.Struct, frozen=True):
    """A revision to be: ``number`` is the one it must get, if any; with ``gap`` it may leave numbers out before it.

    ``digest`` is that of the revision under the name of its card, where it is known already. ``fresh`` asks for a new
    revision even where the same content is registered; its number then is part of the manifest, as ``version``.
    """

    manifest: dict[str, Any]
    parents: tuple[Parent, ...] = ()
    run_id: str | None = None
    origin: Origin = Origin()
    number: int | None = None
    gap: bool = False
    digest: Digest | None = None
    fresh: bool = False
    description: str | None = None
    tags: dict[str, str] = {}
    status: Status = "READY"
    detail: dict[str, Any] | None = None


def add(connection: Connection, act: Act, card: Card, wanted: Wanted) -> Registered:
    """Add ``wanted`` with the next number, its node and its edges; or return the revision with the same digest.

    That one then counts as the newest again: going back to an earlier declaration, or training the same model again,
    must not leave ``kind/name`` meaning what was registered in between.

    Raises:
        Conflict: the next number is not the one wanted.
        NotFound: a parent does not exist.
    """
    number = _next_number(connection, act.tenant, card, wanted)
    made = _revision_of(act, card, wanted, number)
    there = None if wanted.fresh else by_digest(connection, act.tenant, made.digest)
    if there is not None:
        if wanted.number is not None:
            raise Conflict(f"{there.ref} is registered already. Leave the number out to be given the next one.")
        return _again(connection, act, card, there, wanted)
    _require(connection, act.tenant, [parent.digest for parent in wanted.parents])
    connection.execute(insert(revisions).values(tenant=act.tenant, **_values(made)))
    note_rows.begin(connection, act, made, wanted.description, wanted.tags, wanted.status)
    node = Node(made.digest, made.kind, made.name, str(made.number), made.digest, made.created_ns, wanted.detail)
    links = [Link(parent.role, parent.digest, parent.via) for parent in made.parents]
    lineage.add(connection, act.tenant, node, [*links, *_origins(wanted)])
    event_rows.append(
        connection, act, (card.kind, card.name, card.title), "revision.registered", number, _told(made, wanted)
    )
    return Registered(made, created=True)


def _next_number(connection: Connection, tenant: str, card: Card, wanted: Wanted) -> int:
    highest = connection.execute(select(func.max(revisions.c.number)).where(*_named(tenant, card.kind, card.name)))
    number = (highest.scalar() or 0) + 1
    if wanted.number is not None and wanted.gap and wanted.number > number:
        return wanted.number
    if wanted.number is not None and wanted.number != number:
        raise Conflict(
            f"{card.ref}@{wanted.number} cannot be registered: the next number is {number}. Leave it out to be given that."
        )
    return int(number)


def _revision_of(act: Act, card: Card, wanted: Wanted, number: int) -> Revision:
    manifest = {**wanted.manifest, "version": number} if wanted.fresh else wanted.manifest
    return Revision(
        kind=card.kind,
        name=card.name,
        number=number,
        digest=wanted.digest or revision_digest(card.kind, card.name, manifest, wanted.parents),
        manifest=manifest,
        parents=wanted.parents,
        created_ns=act.at_ns,
        created_by=act.by,
        run_id=wanted.run_id,
        origin=wanted.origin,
    )


def _again(connection: Connection, act: Act, card: Card, there: Revision, wanted: Wanted) -> Registered:
    connection.execute(
        update(revisions)
        .where(revisions.c.tenant == act.tenant, revisions.c.digest == there.digest)
        .values(registered_ns=act.at_ns)
    )
    lineage.add_links(connection, act.tenant, there.digest, _origins(wanted), act.at_ns)
    if note_rows.is_deleted(connection, act.tenant, there):
        note_rows.begin(connection, act, there, wanted.description, wanted.tags, wanted.status)
        detail = {**_told(there, wanted), "again": True}
        event_rows.append(
            connection, act, (card.kind, card.name, card.title), "revision.registered", there.number, detail
        )
    return Registered(there, created=False)


def _origins(wanted: Wanted) -> list[Link]:
    links = [Link("produced_by", f"run:{wanted.run_id}")] if wanted.run_id else []
    return [*links, Link("logged_as", f"logged_model:{wanted.origin.model_id}")] if wanted.origin.model_id else links


def _told(made: Revision, wanted: Wanted) -> dict[str, Any]:
    """What the event of a registration says of it."""
    return {
        "digest": made.digest,
        "source": made.origin.source,
        "run_id": made.run_id,
        "description": wanted.description,
        "tags": wanted.tags,
    }


def _values(made: Revision) -> dict[str, Any]:
    return {
        "kind": made.kind,
        "name": made.name,
        "number": made.number,
        "digest": made.digest,
        "manifest": made.manifest,
        "parents": msgspec.to_builtins(made.parents),
        "created_ns": made.created_ns,
        "created_by": made.created_by,
        "run_id": made.run_id,
        "registered_ns": made.created_ns,
        "source": made.origin.source,
        "origin": {**msgspec.to_builtins(made.origin), "source": None} if made.origin != Origin() else None,
    }


def by_digest(connection: Connection, tenant: str, digest: Digest) -> Revision | None:
    row = connection.execute(
        select(revisions).where(revisions.c.tenant == tenant, revisions.c.digest == digest)
    ).one_or_none()
    return None if row is None else _with_aliases(connection, tenant, [_revision(row)])[0]


def by_ref(connection: Connection, tenant: str, ref: Ref) -> Revision | None:
    """The revision that is not deleted; without number and alias, the one that was registered last."""
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
    query = select(revisions).where(*_named(tenant, ref.kind, ref.name), _in_sight())
    query = (
        query.order_by(revisions.c.registered_ns.desc(), revisions.c.number.desc()).limit(1)
        if number is None
        else query.where(revisions.c.number == number)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _with_aliases(connection, tenant, [_revision(row)])[0]


def with_notes() -> Select[Any]:
    """Revisions beside their notes, as ``versions`` reads them."""
    return select(revisions, *NOTED).select_from(revisions.outerjoin(notes, _SAME))


def of_card(
    connection: Connection, tenant: str, card: Card, number: int | None = None, limit: int | None = None
) -> list[Version]:
    """Revisions of a card that are not deleted, the highest number first; or the one with ``number``."""
    query = with_notes().where(*_named(tenant, card.kind, card.name), notes.c.deleted.is_not(True))
    if number is not None:
        query = query.where(revisions.c.number == number)
    rows = connection.execute(query.order_by(revisions.c.number.desc()).limit(limit)).all()
    return versions(connection, tenant, rows, {(card.kind, card.name): card.title})


def latest(connection: Connection, tenant: str, found: Sequence[Card]) -> dict[tuple[str, str], list[Version]]:
    """The highest revision of each stage in the order of their numbers, by kind and name of its card."""
    titles = {(card.kind, card.name): card.title for card in found}
    newest_of = (
        select(notes.c.kind, notes.c.name, func.max(notes.c.number).label("number"))
        .where(notes.c.deleted.is_(False))
        .group_by(notes.c.kind, notes.c.name, notes.c.stage)
    )
    wanted = [
        (row.kind, row.name, row.number) for row in keys.of_cards(connection, newest_of, notes, tenant, list(titles))
    ]
    rows = keys.of_revisions(connection, with_notes(), revisions, tenant, wanted)
    latest: dict[tuple[str, str], list[Version]] = {}
    for version in versions(connection, tenant, sorted(rows, key=lambda row: row.number), titles):
        latest.setdefault((version.revision.kind, version.revision.name), []).append(version)
    return latest


def kept(connection: Connection, tenant: str, kind: str, name: str, number: int | None) -> dict[Digest, int]:
    """Digest to number of all revisions of this very name, or of the one with ``number``, deleted ones included."""
    query = select(revisions.c.digest, revisions.c.number).where(*_named(tenant, kind, name))
    if number is not None:
        query = query.where(revisions.c.number == number)
    return {Digest(row.digest): row.number for row in connection.execute(query)}


def versions(
    connection: Connection, tenant: str, rows: Sequence[Any], titles: Mapping[tuple[str, str], str]
) -> list[Version]:
    """Rows of ``with_notes`` as values, each with its tags and aliases; ``titles`` are those of their cards."""
    found = _with_aliases(connection, tenant, [_revision(row) for row in rows])
    tags = note_rows.tags_of(connection, tenant, [(r.kind, r.name, r.number) for r in found])
    return [
        Version(titles[r.kind, r.name], r, _note(row, tags.get((r.kind, r.name, r.number), {})))
        for row, r in zip(rows, found, strict=True)
    ]


def _note(row: Any, tags: dict[str, str]) -> Note:
    if row.note_stage is None:  # from before there were notes
        return Note(updated_ms=row.created_ns // 1_000_000, tags=tags)
    return Note(row.note_description, row.note_stage, row.note_status, row.note_deleted, row.note_updated_ms, tags)


def newest(
    connection: Connection, tenant: str, kind: str | None, name: str | None, limit: int, before: int | None
) -> list[Revision]:
    query = select(revisions).where(revisions.c.tenant == tenant, _in_sight())
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
        select(revisions.c.kind, func.count())
        .where(revisions.c.tenant == tenant, _in_sight())
        .group_by(revisions.c.kind)
    )
    return {row[0]: row[1] for row in rows}


def _in_sight() -> ColumnElement[bool]:
    """Not marked deleted."""
    return ~exists().where(_SAME, notes.c.deleted.is_(True))


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
        origin=_origin(row),
    )


def _origin(row: Any) -> Origin:
    if row.source is None and row.origin is None:
        return Origin()
    return msgspec.convert({**(row.origin or {}), "source": row.source}, Origin)


def _with_aliases(connection: Connection, tenant: str, found: list[Revision]) -> list[Revision]:
    if not found:
        return found
    wanted = [(revision.kind, revision.name) for revision in found]
    rows = keys.of_cards(connection, select(aliases), aliases, tenant, wanted)
    pointing: dict[tuple[str, str, int], list[str]] = {}
    for row in rows:
        pointing.setdefault((row.kind, row.name, row.number), []).append(row.alias)
    return [
        msgspec.structs.replace(revision, aliases=tuple(sorted(names_)))
        if (names_ := pointing.get((revision.kind, revision.name, revision.number)))
        else revision
        for revision in found
    ]
