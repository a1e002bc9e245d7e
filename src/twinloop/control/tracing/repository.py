"""Queries of traces as Twinloop itself shows them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from twinloop.control.tracing.model import Span, SpanEvent, Trace
from twinloop.control.tracing.tables import spans, traces

_CHUNK = 500


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
    return _trace(row, tuple(_ended(span_of(span)) for span in rows))


def _ended(span: Span) -> Span:
    """A span under way has no end yet; it is shown as ending where it began."""
    return span if span.end_ns else msgspec.structs.replace(span, end_ns=span.start_ns)


def spans_of(connection: Connection, tenant: str, keys: Sequence[str]) -> dict[str, tuple[Span, ...]]:
    """Spans by trace, the root first, then by their start."""
    found: dict[str, list[Span]] = defaultdict(list)
    for first in range(0, len(keys), _CHUNK):
        query = select(spans).where(spans.c.tenant == tenant, spans.c.trace_id.in_(keys[first : first + _CHUNK]))
        for row in connection.execute(query):
            found[row.trace_id].append(span_of(row))
    return {key: tuple(sorted(of_one, key=_order)) for key, of_one in found.items()}


def _order(span: Span) -> tuple[bool, int]:
    return span.parent_id is not None, span.start_ns


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
        experiment=row.experiment,
        title=row.title,
    )


def span_of(row: Any) -> Span:
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
