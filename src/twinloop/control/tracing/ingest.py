"""Writes traces with their spans. A trace may come in any number of parts, before or after a client says what it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, func, select, update

from twinloop.control.store.sql import BulkInsert
from twinloop.control.tracing.facts import SpanFacts, TraceFacts, cost_of, span_facts, usage_of
from twinloop.control.tracing.model import Span
from twinloop.control.tracing.tables import spans, trace_metadata, trace_tags, traces
from twinloop.control.tracing.usage import COSTS, TOKENS, cost_columns, token_columns

USER = "mlflow.trace.user"
_TOKEN_COLUMNS = tuple(TOKENS.values())
_COST_COLUMNS = tuple(COSTS.values())
_UNFINISHED = ("running", "unset")
_CHUNK = 500

_KEPT = (
    *("trace_id", "name", "title", "endpoint", "release", "start_ns", "end_ns", "status", "told", "duration_ms"),
    *("request_preview", "response_preview", "session", "span_count", "summary", *_TOKEN_COLUMNS, *_COST_COLUMNS),
)
_SPAN_KEY = ("tenant", "trace_id", "span_id")
_SPAN_REST = (
    *("parent_id", "name", "kind", "start_ns", "end_ns", "status", "message", "attributes", "events"),
    *("type", "model", "provider", *_COST_COLUMNS),
)
_ADD_SPANS = BulkInsert(spans, (*_SPAN_KEY, *_SPAN_REST), _SPAN_KEY, _SPAN_REST)
_ADD_TRACES = BulkInsert(
    traces,
    (
        *("tenant", "trace_id", "name", "endpoint", "release", "start_ns", "end_ns", "status", "source", "principal"),
        *(
            "span_count",
            "summary",
            "experiment",
            "title",
            "duration_ms",
            "request_preview",
            "response_preview",
            "session",
        ),
        *(*_TOKEN_COLUMNS, *_COST_COLUMNS),
    ),
    ("tenant", "trace_id"),
)
_PAIR = ("tenant", "trace_id", "key")
_PUT_TAGS = BulkInsert(trace_tags, (*_PAIR, "value"), _PAIR, ("value",))
_ADD_METADATA = BulkInsert(trace_metadata, (*_PAIR, "value"), _PAIR)

_encode = msgspec.json.Encoder().encode
_NO_EVENTS = "[]"


def add(connection: Connection, tenant: str, found: Sequence[TraceFacts]) -> None:
    """Add traces and their spans. A span that comes again replaces the one that came before."""
    while found:
        # A trace that comes twice in one call is written in two rounds, so that the second finds the first.
        first = {item.trace.trace_id: item for item in reversed(found)}
        _add(connection, tenant, list(reversed(first.values())))
        found = [item for item in found if first[item.trace.trace_id] is not item]


def _add(connection: Connection, tenant: str, found: Sequence[TraceFacts]) -> None:
    flat: list[Any] = []
    for item in found:
        flat += _trace_row(tenant, item)
    fresh = _ADD_TRACES.rows(connection, flat) == len(found)
    flat = []
    for item in found:
        for span in _each_once(item.spans):
            flat += _span_row(tenant, span)
    _ADD_SPANS.rows(connection, flat)
    if not fresh:
        # Which of them were there before is not known; to merge a new one with itself changes nothing.
        known = _known(connection, tenant, [item.trace.trace_id for item in found])
        for item in found:
            _merge(connection, tenant, known[item.trace.trace_id], item)
    put_tags(connection, tenant, {item.trace.trace_id: item.tags for item in found if item.tags})
    users = [value for item in found if item.user for value in (tenant, item.trace.trace_id, USER, item.user)]
    _ADD_METADATA.rows(connection, users)


def _each_once(found: Sequence[SpanFacts]) -> Iterable[SpanFacts]:
    """A request may hold a span twice; the last one counts."""
    by_id = {item.span.span_id: item for item in found}
    return found if len(by_id) == len(found) else by_id.values()


def _known(connection: Connection, tenant: str, ids: Sequence[str]) -> dict[str, Row[Any]]:
    known: dict[str, Row[Any]] = {}
    for first in range(0, len(ids), _CHUNK):
        parameters = {"tenant": tenant, "ids": ids[first : first + _CHUNK]}
        known.update((row.trace_id, row) for row in connection.execute(_KNOWN, parameters))
    return known


_KNOWN = select(*(traces.c[name] for name in _KEPT)).where(
    traces.c.tenant == bindparam("tenant"), traces.c.trace_id.in_(bindparam("ids", expanding=True))
)


def put_tags(connection: Connection, tenant: str, tags: Mapping[str, Mapping[str, str]]) -> None:
    """Set tags by trace."""
    _PUT_TAGS.rows(
        connection,
        [
            part
            for trace_id, pairs in tags.items()
            for key, value in pairs.items()
            for part in (tenant, trace_id, key, value)
        ],
    )


def _span_row(tenant: str, found: SpanFacts) -> tuple[Any, ...]:
    span, costs = found.span, found.costs
    return (
        tenant,
        span.trace_id,
        span.span_id,
        span.parent_id,
        span.name[:500],
        span.kind,
        span.start_ns,
        span.end_ns,
        span.status,
        span.message,
        _encode(found.attributes).decode(),
        _encode(span.events).decode() if span.events else _NO_EVENTS,
        found.type,
        found.model,
        found.provider,
        *[costs.get(name) for name in _COST_COLUMNS],
    )


def _trace_row(tenant: str, item: TraceFacts) -> tuple[Any, ...]:
    trace = item.trace
    tokens = token_columns(item.usage) if item.usage else {}
    costs = cost_columns(item.cost) if item.cost else {}
    return (
        tenant,
        trace.trace_id,
        trace.name[:500],
        trace.endpoint,
        trace.release,
        trace.start_ns,
        trace.end_ns,
        trace.status,
        trace.source,
        trace.principal,
        len(trace.spans),
        _encode(trace.summary).decode(),
        trace.experiment,
        item.title or trace.title or (trace.name if trace.source == "gateway" else None),
        duration_ms(trace.start_ns, _ended(item)),
        item.request,
        item.response,
        item.session,
        *[tokens.get(name) for name in _TOKEN_COLUMNS],
        *[costs.get(name) for name in _COST_COLUMNS],
    )


def _ended(item: TraceFacts) -> int | None:
    """When the last span of these ended; a span under way has no end."""
    return max((span.end_ns for span in item.trace.spans if span.end_ns), default=None)


def duration_ms(start_ns: int, end_ns: int | None) -> int | None:
    """Both times are cut to milliseconds first, as MLflow does, so that start and duration give the end."""
    return None if end_ns is None else end_ns // 1_000_000 - start_ns // 1_000_000


def _merge(connection: Connection, tenant: str, row: Row[Any], item: TraceFacts) -> None:
    """More of a trace that is there: what was there stays unless the new part knows better."""
    trace = item.trace
    earlier = trace.start_ns < row.start_ns
    name = trace.name[:500] if item.root is not None or (earlier and row.status == "running") else row.name
    values: dict[str, Any] = {
        "name": name,
        "status": trace.status if item.root is not None and row.status in _UNFINISHED else row.status,
        "title": item.title or (name if trace.title and row.title == row.name else row.title),
        "endpoint": row.endpoint or trace.endpoint,
        "release": row.release or trace.release,
        "summary": row.summary or trace.summary,
        "session": row.session or item.session,
        "request_preview": item.request if row.request_preview is None else row.request_preview,
        "response_preview": item.response if row.response_preview is None else row.response_preview,
        "span_count": _span_count(connection, tenant, trace.trace_id),
        "end_ns": max(row.end_ns, trace.end_ns),
        **_times(row, item),
        **_totals(connection, tenant, row, item),
    }
    connection.execute(
        update(traces).where(traces.c.tenant == tenant, traces.c.trace_id == trace.trace_id).values(values)
    )


def _times(row: Row[Any], item: TraceFacts) -> dict[str, Any]:
    start_ns = item.trace.start_ns
    if row.told:
        if start_ns // 1_000_000 != row.start_ns // 1_000_000:
            return {}
        # The client tells milliseconds; a span that began in the same one knows it better.
        return {"start_ns": start_ns if row.start_ns % 1_000_000 == 0 else min(start_ns, row.start_ns)}
    start_ns = min(start_ns, row.start_ns)
    ends = [end for end in (_ended(item), row.end_ns if row.duration_ms is not None else None) if end is not None]
    return {"start_ns": start_ns, "duration_ms": duration_ms(start_ns, max(ends, default=None))}


def _totals(connection: Connection, tenant: str, row: Row[Any], item: TraceFacts) -> dict[str, Any]:
    """Tokens and cost over all spans there are now; what a client told of the trace stands."""
    tokens = bool(item.usage) and not (row.told and any(getattr(row, name) is not None for name in _TOKEN_COLUMNS))
    cost = bool(item.cost) and not (row.told and any(getattr(row, name) is not None for name in _COST_COLUMNS))
    if not tokens and not cost:
        return {}
    stored = list(_stored(connection, tenant, item.trace.trace_id))
    values: dict[str, Any] = token_columns(usage_of(stored)) if tokens else {}
    return {**values, **cost_columns(cost_of(stored))} if cost else values


def _stored(connection: Connection, tenant: str, trace_id: str) -> Iterable[SpanFacts]:
    rows = connection.execute(select(spans).where(spans.c.tenant == tenant, spans.c.trace_id == trace_id))
    for row in rows:
        yield span_facts(
            Span(trace_id, row.span_id, row.name, row.start_ns, row.end_ns, row.parent_id, attributes=row.attributes)
        )


def _span_count(connection: Connection, tenant: str, trace_id: str) -> int:
    mine = (spans.c.tenant == tenant, spans.c.trace_id == trace_id)
    return int(connection.execute(select(func.count()).select_from(spans).where(*mine)).scalar_one())
