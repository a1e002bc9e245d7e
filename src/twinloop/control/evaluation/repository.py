"""Tables and queries of evidence."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Index, String, Table, insert, select

from twinloop.control.evaluation.model import Evidence
from twinloop.control.store.schema import Json, metadata

evidence = Table(
    "evidence",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("subject", String(71), nullable=False),
    Column("dataset", String(71)),
    Column("baseline", String(71)),
    Column("created_ns", BigInteger, nullable=False),
    Column("body", Json, nullable=False),
    Index("ix_evidence_subject", "tenant", "subject", "created_ns"),
)


def add(connection: Connection, tenant: str, item: Evidence) -> None:
    connection.execute(
        insert(evidence),
        {
            "tenant": tenant,
            "id": item.id,
            "subject": item.subject,
            "dataset": item.dataset,
            "baseline": item.baseline,
            "created_ns": item.created_ns,
            "body": msgspec.to_builtins(item),
        },
    )


def of_subject(connection: Connection, tenant: str, subject: str, limit: int) -> Sequence[Evidence]:
    """Evidence of a subject, newest first."""
    query = (
        select(evidence.c.body)
        .where(evidence.c.tenant == tenant, evidence.c.subject == subject)
        .order_by(evidence.c.created_ns.desc(), evidence.c.id.desc())
        .limit(limit)
    )
    return [msgspec.convert(body, Evidence) for body in connection.execute(query).scalars()]
