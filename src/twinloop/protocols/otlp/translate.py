"""From spans as they were sent to traces. Pure."""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import NamedTuple

from twinloop.control.tracing.model import Span, SpanEvent, Status, Trace
from twinloop.protocols.otlp.decode import RawSpan

_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUSES: tuple[Status, ...] = ("unset", "ok", "error")
_HEX = frozenset(string.hexdigits)
_LATEST = 2**63


class Export(NamedTuple):
    """What a request holds: traces with their spans, and how many spans were refused, with the first reason."""

    traces: tuple[Trace, ...]
    rejected: int
    reason: str


def export(found: Iterable[RawSpan], principal: str) -> Export:
    """Group spans by trace. A span that cannot be kept is counted and does not keep the others out."""
    by_trace: dict[str, list[Span]] = {}
    services: dict[str, str] = {}
    rejected, reason = 0, ""
    for raw in found:
        problem = _problem(raw)
        if problem:
            rejected += 1
            reason = reason or problem
            continue
        by_trace.setdefault(raw.trace_id, []).append(_span(raw))
        service = raw.extra.get("otel.resource", {}).get("service.name")
        if isinstance(service, str):
            services.setdefault(raw.trace_id, service)
    traces = tuple(_trace(spans, services.get(trace_id), principal) for trace_id, spans in by_trace.items())
    return Export(traces, rejected, reason)


def _problem(raw: RawSpan) -> str:
    for what, value, digits in (("trace id", raw.trace_id, 32), ("span id", raw.span_id, 16)):
        if not _is_id(value, digits):
            return f"The {what} {value[:40]!r} of span {raw.name[:60]!r} must have {digits} hex digits, not all zero."
    if raw.parent_id and not (len(raw.parent_id) == 16 and _HEX.issuperset(raw.parent_id)):
        return (
            f"The parent span id {raw.parent_id[:40]!r} of span {raw.name[:60]!r} must be empty or have 16 hex digits."
        )
    if not 0 < raw.start_ns < _LATEST or not 0 <= raw.end_ns < _LATEST:
        return f"The times of span {raw.name[:60]!r} must be nanoseconds since 1970."
    if any(not 0 <= at_ns < _LATEST for _, at_ns, _ in raw.events):
        return f"The times of the events of span {raw.name[:60]!r} must be nanoseconds since 1970."
    return ""


def _is_id(text: str, digits: int) -> bool:
    return len(text) == digits and _HEX.issuperset(text) and text.strip("0") != ""


def _span(raw: RawSpan) -> Span:
    parent = raw.parent_id if raw.parent_id.strip("0") else None
    return Span(
        trace_id=raw.trace_id,
        span_id=raw.span_id,
        name=raw.name,
        start_ns=raw.start_ns,
        end_ns=raw.end_ns or raw.start_ns,
        parent_id=parent,
        kind=_KINDS[raw.kind] if 0 < raw.kind < len(_KINDS) else "internal",
        status=_STATUSES[raw.status] if 0 <= raw.status < len(_STATUSES) else "unset",
        message=raw.message,
        attributes={**raw.attributes, **raw.extra},
        events=tuple(SpanEvent(name, at_ns, attributes) for name, at_ns, attributes in raw.events),
    )


def _trace(spans: list[Span], service: str | None, principal: str) -> Trace:
    """The trace is named after its root, or, when this request does not hold the root, after its earliest span."""
    root = next((span for span in spans if span.parent_id is None), None)
    told = [root] if root is not None else spans
    first = root or min(spans, key=lambda span: span.start_ns)
    return Trace(
        trace_id=first.trace_id,
        name=first.name,
        start_ns=min(span.start_ns for span in spans),
        end_ns=max(span.end_ns for span in spans),
        status="error" if any(span.status == "error" for span in told) else "ok",
        source="otlp",
        principal=principal,
        span_count=len(spans),
        summary={"service": service} if service else {},
        spans=tuple(spans),
    )
