"""From spans as they were sent to traces. Pure."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from twinloop.control.tracing.model import DEFAULT_EXPERIMENT, Span, SpanEvent, Status, Trace
from twinloop.control.tracing.tags import VALUE_LIMIT, usable
from twinloop.protocols.otlp.decode import RawSpan

_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUSES: tuple[Status, ...] = ("unset", "ok", "error")
_LATEST = 2**63


_PIECE = 2000
_OWN = ("telemetry.sdk.", "mlflow.")


class Export(NamedTuple):
    """What a request holds: traces with their spans, and how many spans were refused, with the first reason."""

    traces: tuple[Trace, ...]
    rejected: int
    reason: str


def export(found: Iterable[RawSpan], principal: str, experiment: int | None = None) -> Export:
    """Group spans by trace. A span that cannot be kept is counted and does not keep the others out.

    A request that names an ``experiment`` comes from a client of MLflow's protocol: it may leave out when a span began, and
    it gives traces their names itself.
    """
    by_trace: dict[str, list[Span]] = {}
    resources: dict[str, dict[str, Any]] = {}
    rejected, reason = 0, ""
    for number, raw in enumerate(found, 1):
        problem = _problem(raw, 0 if experiment is not None else 1)
        if problem:
            rejected += 1
            reason = reason or problem
            continue
        spans = by_trace.get(raw.trace_id)
        if spans is None:
            spans = by_trace[raw.trace_id] = []
        spans.append(_span(raw))
        resource = raw.extra.get("otel.resource")
        if resource:
            resources.setdefault(raw.trace_id, resource)
        if number % _PIECE == 0:
            time.sleep(0)  # lets the event loop run when this is a thread beside it
    traces = tuple(
        [_trace(spans, resources.get(trace_id, {}), principal, experiment) for trace_id, spans in by_trace.items()]
    )
    return Export(traces, rejected, reason)


def _problem(raw: RawSpan, first_ns: int) -> str:
    if not _is_id(raw.trace_id, 32) or not _is_id(raw.span_id, 16):
        wrong = "span" if _is_id(raw.trace_id, 32) else "trace"
        value, digits = (raw.span_id, 16) if wrong == "span" else (raw.trace_id, 32)
        return f"The {wrong} id {value[:40]!r} of span {raw.name[:60]!r} must have {digits} hex digits, not all zero."
    if raw.parent_id.strip("0") and not _is_id(raw.parent_id, 16):
        return (
            f"The parent span id {raw.parent_id[:40]!r} of span {raw.name[:60]!r} must be empty or have 16 hex digits."
        )
    if not first_ns <= raw.start_ns < _LATEST or not 0 <= raw.end_ns < _LATEST:
        return f"The times of span {raw.name[:60]!r} must be nanoseconds since 1970."
    if raw.events and any(not 0 <= at_ns < _LATEST for _, at_ns, _ in raw.events):
        return f"The times of the events of span {raw.name[:60]!r} must be nanoseconds since 1970."
    return ""


def _is_id(text: str, digits: int) -> bool:
    """Hex digits, not all zero. Blanks between bytes, which ``fromhex`` takes, leave too few of them."""
    try:
        return len(text) == digits and len(bytes.fromhex(text)) * 2 == digits and text.strip("0") != ""
    except ValueError:
        return False


def _span(raw: RawSpan) -> Span:
    parent = raw.parent_id if raw.parent_id.strip("0") else None
    # Positional, because this runs for every span.
    return Span(
        raw.trace_id,
        raw.span_id,
        raw.name,
        raw.start_ns,
        raw.end_ns,
        parent,
        _KINDS[raw.kind] if 0 < raw.kind < len(_KINDS) else "internal",
        _STATUSES[raw.status] if 0 <= raw.status < len(_STATUSES) else "unset",
        raw.message,
        {**raw.attributes, **raw.extra} if raw.extra else raw.attributes,
        tuple([SpanEvent(name, at_ns, attributes) for name, at_ns, attributes in raw.events]) if raw.events else (),
    )


def _trace(spans: list[Span], resource: dict[str, Any], principal: str, experiment: int | None) -> Trace:
    """The trace is named after its root, or, when this request does not hold the root, after its earliest span."""
    root = next((span for span in spans if span.parent_id is None), None)
    first = root or min(spans, key=lambda span: span.start_ns)
    service = resource.get("service.name")
    return Trace(
        trace_id=first.trace_id,
        name=first.name,
        start_ns=min([span.start_ns for span in spans]),
        end_ns=max([span.end_ns or span.start_ns for span in spans]),
        status="running" if root is None else "error" if root.status == "error" else "ok",
        source="otlp",
        principal=principal,
        span_count=len(spans),
        summary={"service": service} if isinstance(service, str) else {},
        spans=tuple(spans),
        experiment=DEFAULT_EXPERIMENT if experiment is None else experiment,
        title=first.name if experiment is None else None,
        labels=_labels(resource) if resource else {},
    )


def _labels(resource: dict[str, Any]) -> dict[str, str]:
    """What the sender says of itself, as tags of the trace; not what its library says of itself."""
    found = {key: value for key, value in resource.items() if not key.startswith(_OWN) and usable(key)}
    return {
        key: (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))[:VALUE_LIMIT]
        for key, value in found.items()
    }
