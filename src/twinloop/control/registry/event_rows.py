"""The history of the registry: one row for every change, written in the transaction that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select

from twinloop.control.registry.model import Act, Action, RegistryEvent
from twinloop.control.registry.tables import registry_events


def append(
    connection: Connection,
    act: Act,
    card: tuple[str, str, str],
    action: Action,
    number: int | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Add one event; ``card`` is its kind, name and title."""
    kind, name, title = card
    imported = {} if act.imported_from is None else {"imported_from": act.imported_from}
    connection.execute(
        insert(registry_events).values(
            tenant=act.tenant,
            kind=kind,
            name=name,
            title=title,
            number=number,
            at_ns=act.at_ns,
            by=act.by,
            action=action,
            detail={**(detail or {}), **imported},
        )
    )


def events_after(connection: Connection, sequence: int, limit: int) -> list[RegistryEvent]:
    """Events of all tenants behind ``sequence``, oldest first, for those who follow the history.

    SQLite has one writer, so sequences are committed in order and none appears behind a follower's back.
    """
    query = select(registry_events).where(registry_events.c.sequence > sequence)
    rows = connection.execute(query.order_by(registry_events.c.sequence).limit(limit))
    return [_event(row) for row in rows]


def last(connection: Connection) -> int:
    """The newest sequence, 0 when nothing has happened yet."""
    query = select(registry_events.c.sequence).order_by(registry_events.c.sequence.desc()).limit(1)
    return connection.execute(query).scalar() or 0


def of_card(
    connection: Connection,
    tenant: str,
    kind: str,
    name: str,
    number: int | None,
    limit: int,
    before: int | None,
) -> list[RegistryEvent]:
    """Events of a card and its revisions, or of one revision, newest first; ``before`` is a sequence."""
    table = registry_events.c
    query = select(registry_events).where(table.tenant == tenant, table.kind == kind, table.name == name)
    if number is not None:
        query = query.where(table.number == number)
    if before is not None:
        query = query.where(table.sequence < before)
    return [_event(row) for row in connection.execute(query.order_by(table.sequence.desc()).limit(limit))]


def _event(row: Any) -> RegistryEvent:
    return RegistryEvent(
        sequence=row.sequence,
        tenant=row.tenant,
        kind=row.kind,
        name=row.name,
        title=row.title,
        number=row.number,
        at_ns=row.at_ns,
        by=row.by,
        action=row.action,
        detail=row.detail,
    )
