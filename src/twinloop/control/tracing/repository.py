"""Tables and queries of traces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    String,
    Table,
    Text,
    case,
    func,
    literal_column,
    select,
)

from twinloop.control.store.schema import Json, metadata
from twinloop.control.store.sql import upsert
from twinloop.control.tracing.model import Span, SpanEvent, Trace

traces = Table(
    "traces",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("trace_id", String(32), primary_key=True),
    Column("name", String(500), nullable=False),
    Column("endpoint", String(200)),
    Column("release", String(250)),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("status", String(10), nullable=False),
    Column("source", String(20), nullable=False),
    Column("principal", String(200), nullable=False),
    Column("span_count", Integer, nullable=False),
    Column("summary", Json, nullable=False),
    Index("ix_traces_newest", "tenant", "start_ns"),
    Index("ix_traces_endpoint", "tenant", "endpoint", "start_ns"),
    Index("ix_traces_release", "tenant", "release", "start_ns"),
)

spans = Table(
    "spans",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("trace_id", String(32), primary_key=True),
    Column("span_id", String(16), primary_key=True),
    Column("parent_id", String(16)),
    Column("name", String(500), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("status", String(10), nullable=False),
    Column("message", Text, nullable=False),
    Column("attributes", Json, nullable=False),
    Column("events", Json, nullable=False),
)


def add(connection: Connection, tenant: str, found: Sequence[Trace]) -> None:
    """Add traces and their spans; spans of a trace that is there already are added to it, each span once."""
    rows = [
        {
            "tenant": tenant,
            "trace_id": trace.trace_id,
            "name": trace.name[:500],
            "endpoint": trace.endpoint,
            "release": trace.release,
            "start_ns": trace.start_ns,
            "end_ns": trace.end_ns,
            "status": trace.status,
            "source": trace.source,
            "principal": trace.principal,
            "span_count": len(trace.spans),
            "summary": trace.summary,
        }
        for trace in found
    ]
    _add_spans(connection, tenant, found)
    upsert(connection, traces, rows, ("tenant", "trace_id"), _joined)


def _joined(new: Any) -> dict[str, Any]:
    """What a trace becomes when more of its spans come: ``new`` is the row of these. Literals, for no parameter fits here."""
    earlier = new.start_ns < traces.c.start_ns
    counted = (
        select(func.count())
        .select_from(spans)
        # Names as text, because in a conflict's SET a column of the target would join the target into the subquery.
        .where(spans.c.tenant == literal_column("traces.tenant"), spans.c.trace_id == literal_column("traces.trace_id"))
    )
    return {
        "name": case((earlier, new.name), else_=traces.c.name),
        "start_ns": case((earlier, new.start_ns), else_=traces.c.start_ns),
        "end_ns": case((new.end_ns > traces.c.end_ns, new.end_ns), else_=traces.c.end_ns),
        "status": case((new.status == literal_column("'error'"), new.status), else_=traces.c.status),
        "span_count": counted.scalar_subquery(),
    }


def _add_spans(connection: Connection, tenant: str, found: Sequence[Trace]) -> None:
    rows = [
        {
            "tenant": tenant,
            "trace_id": span.trace_id,
            "span_id": span.span_id,
            "parent_id": span.parent_id,
            "name": span.name[:500],
            "kind": span.kind,
            "start_ns": span.start_ns,
            "end_ns": span.end_ns,
            "status": span.status,
            "message": span.message,
            "attributes": span.attributes,
            "events": msgspec.to_builtins(span.events),
        }
        for trace in found
        for span in trace.spans
    ]
    upsert(connection, spans, rows, ("tenant", "trace_id", "span_id"))


def newest(
    connection: Connection,
    tenant: str,
    endpoint: str | None,
    release: str | None,
    status: str | None,
    limit: int,
    before_ns: int | None,
) -> list[Trace]:
    query = select(traces).where(traces.c.tenant == tenant)
    for column, value in ((traces.c.endpoint, endpoint), (traces.c.release, release), (traces.c.status, status)):
        if value is not None:
            query = query.where(column == value)
    if before_ns is not None:
        query = query.where(traces.c.start_ns < before_ns)
    return [_trace(row, ()) for row in connection.execute(query.order_by(traces.c.start_ns.desc()).limit(limit))]


def get(connection: Connection, tenant: str, trace_id: str) -> Trace | None:
    row = connection.execute(
        select(traces).where(traces.c.tenant == tenant, traces.c.trace_id == trace_id)
    ).one_or_none()
    if row is None:
        return None
    rows = connection.execute(
        select(spans).where(spans.c.tenant == tenant, spans.c.trace_id == trace_id).order_by(spans.c.start_ns)
    )
    return _trace(row, tuple(_span(span) for span in rows))


def count(connection: Connection, tenant: str) -> int:
    return int(
        connection.execute(select(func.count()).select_from(traces).where(traces.c.tenant == tenant)).scalar_one()
    )


def _trace(row: Any, found: tuple[Span, ...]) -> Trace:
    return Trace(
        trace_id=row.trace_id,
        name=row.name,
        start_ns=row.start_ns,
        end_ns=row.end_ns,
        status=row.status,
        source=row.source,
        principal=row.principal,
        endpoint=row.endpoint,
        release=row.release,
        span_count=row.span_count,
        summary=row.summary,
        spans=found,
    )


def _span(row: Any) -> Span:
    return Span(
        trace_id=row.trace_id,
        span_id=row.span_id,
        name=row.name,
        start_ns=row.start_ns,
        end_ns=row.end_ns,
        parent_id=row.parent_id,
        kind=row.kind,
        status=row.status,
        message=row.message,
        attributes=row.attributes,
        events=msgspec.convert(row.events, tuple[SpanEvent, ...]),
    )
