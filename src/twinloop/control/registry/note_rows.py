"""Queries of what may change about a revision: its note and its tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from twinloop.control.registry import event_rows, keys
from twinloop.control.registry.keys import Key
from twinloop.control.registry.model import Act, Card, Revision, Stage, Status, Version
from twinloop.control.registry.tables import aliases, notes, revision_tags
from twinloop.control.store.sql import upsert


def begin(
    connection: Connection,
    act: Act,
    revision: Revision,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
    status: Status = "READY",
) -> None:
    """The note of a revision that was just added, or that is taken up again after it was deleted."""
    key = {"tenant": act.tenant, "kind": revision.kind, "name": revision.name, "number": revision.number}
    values = {
        "description": description,
        "stage": "None",
        "status": status,
        "deleted": False,
        "updated_ms": act.at_ms,
    }
    upsert(connection, notes, [{**key, **values}], tuple(key), tuple(values))
    connection.execute(delete(revision_tags).where(*_tags_of(act.tenant, revision)))
    if tags:
        connection.execute(insert(revision_tags), [{**key, "key": name, "value": tags[name]} for name in tags])


def tags_of(connection: Connection, tenant: str, wanted: Sequence[Key]) -> dict[Key, dict[str, str]]:
    """Tags by (kind, name, number); a revision without any is left out."""
    query = select(revision_tags).order_by(revision_tags.c.key)
    tags: dict[Key, dict[str, str]] = {}
    for tag in keys.of_revisions(connection, query, revision_tags, tenant, wanted):
        tags.setdefault((tag.kind, tag.name, tag.number), {})[tag.key] = tag.value
    return tags


def is_deleted(connection: Connection, tenant: str, revision: Revision) -> bool:
    return bool(connection.execute(select(notes.c.deleted).where(*_of(tenant, revision))).scalar())


def describe(connection: Connection, act: Act, version: Version, description: str | None) -> None:
    _change(connection, act, version.revision, description=description)
    detail = {"description": description, "before": version.note.description}
    event_rows.append(connection, act, _card(version), "revision.described", version.revision.number, detail)


def set_stage(connection: Connection, act: Act, version: Version, stage: Stage) -> None:
    _change(connection, act, version.revision, stage=stage)
    detail = {"from": version.note.stage, "to": stage}
    event_rows.append(connection, act, _card(version), "revision.staged", version.revision.number, detail)


def at_stage(connection: Connection, tenant: str, card: Card, stage: Stage) -> list[int]:
    """Numbers of the revisions of a card that are at a stage."""
    query = select(notes.c.number).where(*_of_card(tenant, card), notes.c.stage == stage, notes.c.deleted.is_(False))
    return list(connection.execute(query.order_by(notes.c.number)).scalars())


def put_tag(connection: Connection, act: Act, version: Version, key: str, value: str) -> None:
    revision = version.revision
    owner = {
        "tenant": act.tenant,
        "kind": revision.kind,
        "name": revision.name,
        "number": revision.number,
        "key": key,
    }
    upsert(connection, revision_tags, [{**owner, "value": value}], tuple(owner), ("value",))
    event_rows.append(connection, act, _card(version), "revision.tagged", revision.number, {"key": key, "value": value})


def remove_tag(connection: Connection, act: Act, version: Version, key: str) -> None:
    """A tag that is not there is no error."""
    if key not in version.note.tags:
        return
    revision = version.revision
    connection.execute(delete(revision_tags).where(*_tags_of(act.tenant, revision), revision_tags.c.key == key))
    event_rows.append(connection, act, _card(version), "revision.untagged", revision.number, {"key": key})


def remove(connection: Connection, act: Act, version: Version) -> None:
    """Mark a revision deleted and take its aliases away; the history and its digest stay."""
    revision = version.revision
    mine = (aliases.c.tenant == act.tenant, aliases.c.kind == revision.kind, aliases.c.name == revision.name)
    pointing = (*mine, aliases.c.number == revision.number)
    gone = list(connection.execute(select(aliases.c.alias).where(*pointing).order_by(aliases.c.alias)).scalars())
    connection.execute(delete(aliases).where(*pointing))
    for alias in gone:
        event_rows.append(connection, act, _card(version), "alias.removed", revision.number, {"alias": alias})
    _change(connection, act, revision, deleted=True)
    event_rows.append(connection, act, _card(version), "revision.deleted", revision.number)


def remove_all(connection: Connection, act: Act, card: Card) -> None:
    """Mark every revision of a card deleted; the event of the card says it for all."""
    connection.execute(update(notes).where(*_of_card(act.tenant, card)).values(deleted=True, updated_ms=act.at_ms))


def _change(connection: Connection, act: Act, revision: Revision, **values: Any) -> None:
    connection.execute(update(notes).where(*_of(act.tenant, revision)).values(updated_ms=act.at_ms, **values))


def _of(tenant: str, revision: Revision) -> tuple[Any, ...]:
    return (
        notes.c.tenant == tenant,
        notes.c.kind == revision.kind,
        notes.c.name == revision.name,
        notes.c.number == revision.number,
    )


def _tags_of(tenant: str, revision: Revision) -> tuple[Any, ...]:
    return (
        revision_tags.c.tenant == tenant,
        revision_tags.c.kind == revision.kind,
        revision_tags.c.name == revision.name,
        revision_tags.c.number == revision.number,
    )


def _of_card(tenant: str, card: Card) -> tuple[Any, ...]:
    return notes.c.tenant == tenant, notes.c.kind == card.kind, notes.c.name == card.name


def _card(version: Version) -> tuple[str, str, str]:
    return version.revision.kind, version.revision.name, version.title
