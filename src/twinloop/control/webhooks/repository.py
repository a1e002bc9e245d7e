"""Tables and queries of webhooks and their deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)

from twinloop.control.store.schema import Json, metadata
from twinloop.control.store.sql import upsert
from twinloop.control.webhooks.model import Delivery, Parcel, Webhook
from twinloop.core.errors import NotFound

webhooks = Table(
    "webhooks",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("id", String(36), primary_key=True),
    Column("name", String(63), nullable=False),
    Column("url", Text, nullable=False),
    Column("events", Json, nullable=False),
    Column("description", Text),
    Column("active", Boolean, nullable=False),
    Column("secret", String(100)),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("since_ns", BigInteger, nullable=False),
    Column("deleted", Boolean, nullable=False),
)

deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("tenant", String(100), nullable=False),
    Column("id", String(36), nullable=False),
    Column("webhook", String(36), nullable=False),
    Column("source", String(40), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("event", String(100), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", String(10), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("due_ns", BigInteger, nullable=False),
    Column("ended_ns", BigInteger),
    Column("status", Integer),
    Column("note", Text),
    Index("uq_webhook_deliveries_id", "tenant", "id", unique=True),
    Index("uq_webhook_deliveries_told", "webhook", "source", "sequence", "event", unique=True),
    Index("ix_webhook_deliveries_due", "state", "due_ns"),
    Index("ix_webhook_deliveries_webhook", "webhook", "state", "position"),
    Index("ix_webhook_deliveries_ended", "ended_ns"),
)

# How far each outbox was read. One row for all tenants, because an outbox is one history.
cursors = Table(
    "webhook_cursors",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("source", String(40), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
)

_EVERY_TENANT = "*"
_THERE = webhooks.c.deleted.is_(False)
_OWN = (webhooks.c.tenant == deliveries.c.tenant) & (webhooks.c.id == deliveries.c.webhook)


def add(connection: Connection, webhook: Webhook) -> None:
    connection.execute(insert(webhooks).values(**_values(webhook), deleted=False))


def get(connection: Connection, tenant: str, id: str) -> Webhook:
    """Raises NotFound."""
    row = connection.execute(select(webhooks).where(*_mine(tenant, id))).one_or_none()
    if row is None:
        raise NotFound(f"Webhook with ID {id[:100]} not found. List the webhooks to see their ids.")
    return _webhook(row)


def page(connection: Connection, tenant: str, limit: int, before: str | None) -> list[Webhook]:
    """Webhooks, newest first; ``before`` is the id of the last one seen (ids sort by when they were made)."""
    query = select(webhooks).where(webhooks.c.tenant == tenant, _THERE)
    if before is not None:
        query = query.where(webhooks.c.id < before)
    return [_webhook(row) for row in connection.execute(query.order_by(webhooks.c.id.desc()).limit(limit))]


def replace(connection: Connection, webhook: Webhook) -> None:
    connection.execute(update(webhooks).where(*_mine(webhook.tenant, webhook.id)).values(**_values(webhook)))


def remove(connection: Connection, tenant: str, id: str, now_ns: int) -> Webhook:
    """Take a webhook out of sight and return what it was; what was sent stays in the books, what was not is cancelled.

    Raises NotFound.
    """
    gone = get(connection, tenant, id)
    connection.execute(update(webhooks).where(*_mine(tenant, id)).values(deleted=True, active=False, secret=None))
    waiting = (deliveries.c.tenant == tenant, deliveries.c.webhook == id, deliveries.c.state == "pending")
    connection.execute(update(deliveries).where(*waiting).values(state="cancelled", ended_ns=now_ns))
    return gone


def listening(connection: Connection) -> list[Webhook]:
    """Every webhook of every tenant that is switched on."""
    return [_webhook(row) for row in connection.execute(select(webhooks).where(_THERE, webhooks.c.active.is_(True)))]


def secrets(connection: Connection) -> set[str]:
    """The names of the secrets that are in use."""
    return set(connection.execute(select(webhooks.c.secret).where(webhooks.c.secret.is_not(None))).scalars())


def cursor(connection: Connection, source: str) -> int:
    """How far an outbox was read; 0 at first."""
    return connection.execute(select(cursors.c.sequence).where(cursors.c.source == source)).scalar() or 0


def move_cursor(connection: Connection, source: str, sequence: int) -> None:
    row = {"tenant": _EVERY_TENANT, "source": source, "sequence": sequence}
    upsert(connection, cursors, [row], ("tenant", "source"), ("sequence",))


def post(connection: Connection, tenant: str, delivery: Delivery, told: tuple[str, int], body: bytes) -> None:
    """Add a delivery unless the webhook was told already; ``told`` is an outbox and the sequence in it."""
    source, sequence = told
    row = {
        "tenant": tenant,
        "id": delivery.id,
        "webhook": delivery.webhook,
        "source": source,
        "sequence": sequence,
        "event": delivery.event,
        "body": body,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "created_ns": delivery.created_ns,
        "due_ns": delivery.due_ns,
    }
    upsert(connection, deliveries, [row], ("webhook", "source", "sequence", "event"))


def due(connection: Connection, now_ns: int) -> list[tuple[str, str]]:
    """The tenant and id of each webhook that is switched on and has something to send now."""
    query = select(deliveries.c.tenant, deliveries.c.webhook).distinct().select_from(deliveries.join(webhooks, _OWN))
    query = query.where(deliveries.c.state == "pending", deliveries.c.due_ns <= now_ns, webhooks.c.active.is_(True))
    return [(row.tenant, row.webhook) for row in connection.execute(query)]


def next_parcel(connection: Connection, tenant: str, webhook: str, now_ns: int) -> Parcel | None:
    """The oldest delivery of a webhook that is due, if it is still switched on."""
    query = select(deliveries).where(
        deliveries.c.tenant == tenant,
        deliveries.c.webhook == webhook,
        deliveries.c.state == "pending",
        deliveries.c.due_ns <= now_ns,
    )
    row = connection.execute(query.order_by(deliveries.c.position).limit(1)).one_or_none()
    if row is None:
        return None
    owner = connection.execute(select(webhooks).where(*_mine(tenant, webhook), webhooks.c.active.is_(True)))
    found = owner.one_or_none()
    return None if found is None else Parcel(tenant, _delivery(row), _webhook(found), row.body)


def settle(connection: Connection, tenant: str, delivery: Delivery) -> None:
    """Write what became of an attempt, unless the delivery was cancelled meanwhile."""
    mine = (deliveries.c.tenant == tenant, deliveries.c.id == delivery.id, deliveries.c.state == "pending")
    connection.execute(
        update(deliveries)
        .where(*mine)
        .values(
            state=delivery.state,
            attempts=delivery.attempts,
            due_ns=delivery.due_ns,
            ended_ns=delivery.ended_ns,
            status=delivery.status,
            note=delivery.note,
        )
    )


def again(connection: Connection, tenant: str, webhook: str, id: str, now_ns: int) -> Delivery:
    """Make a delivery that ended due once more. Raises NotFound."""
    mine = (deliveries.c.tenant == tenant, deliveries.c.webhook == webhook, deliveries.c.id == id)
    fresh = {"state": "pending", "attempts": 0, "due_ns": now_ns, "ended_ns": None}
    if connection.execute(update(deliveries).where(*mine).values(fresh)).rowcount == 0:
        raise NotFound(f"The webhook {webhook[:100]} has no delivery {id[:100]}. List its deliveries to see their ids.")
    return _delivery(connection.execute(select(deliveries).where(*mine)).one())


def history(
    connection: Connection, tenant: str, webhook: str, state: str | None, limit: int, before_ns: int | None
) -> list[Delivery]:
    """Deliveries of a webhook, newest first."""
    query = select(deliveries).where(deliveries.c.tenant == tenant, deliveries.c.webhook == webhook)
    if state is not None:
        query = query.where(deliveries.c.state == state)
    if before_ns is not None:
        query = query.where(deliveries.c.created_ns < before_ns)
    return [_delivery(row) for row in connection.execute(query.order_by(deliveries.c.position.desc()).limit(limit))]


def due_after(connection: Connection, now_ns: int) -> int | None:
    """When the next delivery that is not due yet will be; None when none is waiting."""
    later = (deliveries.c.state == "pending", deliveries.c.due_ns > now_ns)
    return connection.execute(select(func.min(deliveries.c.due_ns)).where(*later)).scalar()


def forget(connection: Connection, ended_before_ns: int) -> None:
    """Drop deliveries that ended long ago."""
    connection.execute(delete(deliveries).where(deliveries.c.ended_ns < ended_before_ns))


def _mine(tenant: str, id: str) -> Sequence[Any]:
    return webhooks.c.tenant == tenant, webhooks.c.id == id, _THERE


def _values(webhook: Webhook) -> dict[str, Any]:
    return {
        "tenant": webhook.tenant,
        "id": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "events": list(webhook.events),
        "description": webhook.description,
        "active": webhook.active,
        "secret": webhook.secret,
        "created_ms": webhook.created_ms,
        "updated_ms": webhook.updated_ms,
        "since_ns": webhook.since_ns,
    }


def _webhook(row: Any) -> Webhook:
    return Webhook(
        id=row.id,
        tenant=row.tenant,
        name=row.name,
        url=row.url,
        events=tuple(row.events),
        description=row.description,
        active=row.active,
        secret=row.secret,
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
        since_ns=row.since_ns,
    )


def _delivery(row: Any) -> Delivery:
    return Delivery(
        id=row.id,
        webhook=row.webhook,
        event=row.event,
        state=row.state,
        attempts=row.attempts,
        created_ns=row.created_ns,
        due_ns=row.due_ns,
        ended_ns=row.ended_ns,
        status=row.status,
        note=row.note,
    )
