"""Queries of approvals: who said yes or no to a revision, and whether it may go live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from twinloop.control.registry import event_rows
from twinloop.control.registry.model import Act, Approval, Card, Revision
from twinloop.control.registry.tables import approvals, cards, notes, revisions
from twinloop.control.security.model import LOCAL_ADMIN
from twinloop.control.store.sql import upsert
from twinloop.core.digests import Digest
from twinloop.core.errors import Refused

_WITHOUT_KEYS = (
    f" (to a server without keys everybody is {LOCAL_ADMIN.name}; make keys for two people with: twinloop keys create)"
)


def of(connection: Connection, tenant: str, revision: Revision) -> list[Approval]:
    """The last word of each principal, oldest first."""
    query = select(approvals).where(*_of(tenant, revision.kind, revision.name, revision.number))
    rows = connection.execute(query.order_by(approvals.c.at_ns, approvals.c.by))
    return [Approval(row.by, row.approved, row.comment, row.at_ns) for row in rows]


def put(connection: Connection, act: Act, card: Card, revision: Revision, approved: bool, comment: str) -> None:
    """Keep what a principal says; it replaces what the same principal said before."""
    key = {
        "tenant": act.tenant,
        "kind": revision.kind,
        "name": revision.name,
        "number": revision.number,
        "by": act.by,
    }
    values = {"approved": approved, "comment": comment, "at_ns": act.at_ns}
    upsert(connection, approvals, [{**key, **values}], tuple(key), tuple(values))
    event_rows.append(
        connection,
        act,
        (card.kind, card.name, card.title),
        "revision.approved" if approved else "revision.rejected",
        revision.number,
        {"comment": comment, "digest": revision.digest},
    )


def require(connection: Connection, tenant: str, digests: Sequence[Digest]) -> None:
    """Raise Refused unless each of these revisions may go live: not deleted, not rejected, approved where its card asks."""
    for digest in digests:
        row = connection.execute(
            select(revisions.c.kind, revisions.c.name, revisions.c.number, revisions.c.created_by).where(
                revisions.c.tenant == tenant, revisions.c.digest == digest
            )
        ).one_or_none()
        if row is not None:
            _require_one(connection, tenant, row)


def _require_one(connection: Connection, tenant: str, row: Any) -> None:
    ref = f"{row.kind}/{row.name}@{row.number}"
    noted = (
        notes.c.tenant == tenant, notes.c.kind == row.kind, notes.c.name == row.name, notes.c.number == row.number
    )  # fmt: skip
    if connection.execute(select(notes.c.deleted).where(*noted)).scalar():
        raise Refused(f"{ref} was deleted. Register it again, or use another revision.")
    said = connection.execute(
        select(approvals.c.by, approvals.c.approved).where(*_of(tenant, row.kind, row.name, row.number))
    ).all()
    against = sorted(one.by for one in said if not one.approved)
    if against:
        raise Refused(f"{ref} was rejected by {', '.join(against)}. It can go live once who rejected it approves it.")
    carded = (cards.c.tenant == tenant, cards.c.kind == row.kind, cards.c.name == row.name)
    wanted = connection.execute(select(cards.c.approvals).where(*carded)).scalar() or 0
    if len(said) < wanted:
        keys = _WITHOUT_KEYS if row.created_by == LOCAL_ADMIN.name else ""
        raise Refused(
            f"{ref} has {len(said)} of the {wanted} approvals it needs. A releaser other than {row.created_by}, who "
            f"registered it, must say: twinloop approve {ref}{keys}"
        )


def _of(tenant: str, kind: str, name: str, number: int) -> tuple[Any, ...]:
    return (
        approvals.c.tenant == tenant,
        approvals.c.kind == kind,
        approvals.c.name == name,
        approvals.c.number == number,
    )
