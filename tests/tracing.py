"""Short ways to say what traces and spans came by OTLP. Times are milliseconds after ``BEGAN_MS``."""

from __future__ import annotations

from typing import Any

from twinloop.control.tracing.info import TraceInfo
from twinloop.control.tracing.model import Span, Status, Trace

BEGAN_MS = 1_700_000_000_000
_MS = 1_000_000


def key(number: int) -> str:
    """The id of the trace ``number``, as it is kept."""
    return f"{number + 0xABC0000:032x}"


def span(
    number: int,
    id: int = 1,
    name: str = "s",
    *,
    parent: int | None = None,
    at_ms: int = 0,
    ms: int | None = 10,
    status: Status = "ok",
    **attributes: Any,
) -> Span:
    """A span of the trace ``number``; without ``ms`` it is under way. ``mlflow__spanType`` stands for ``mlflow.spanType``."""
    start_ns = (BEGAN_MS + at_ms) * _MS
    return Span(
        trace_id=key(number),
        span_id=f"{id:016x}",
        name=name,
        start_ns=start_ns,
        end_ns=0 if ms is None else start_ns + ms * _MS,
        parent_id=None if parent is None else f"{parent:016x}",
        status=status,
        attributes={name.replace("__", "."): value for name, value in attributes.items()},
    )


def trace(*spans: Span, experiment: int = 0) -> Trace:
    """What one request brought of a trace, as OTLP's decoder says it."""
    root = next((item for item in spans if item.parent_id is None), None)
    status: Any = "running" if root is None else "error" if root.status == "error" else "ok"
    return Trace(
        trace_id=spans[0].trace_id,
        name=(root or spans[0]).name,
        start_ns=min(item.start_ns for item in spans),
        end_ns=max(item.end_ns or item.start_ns for item in spans),
        status=status,
        source="otlp",
        principal="ann",
        span_count=len(spans),
        spans=spans,
        experiment=experiment,
    )


def told(number: int, **more: Any) -> TraceInfo:
    """What a client says of the trace ``number``."""
    values = {"experiment": 0, "request_ms": BEGAN_MS, "state": "OK", "duration_ms": 10, **more}
    return TraceInfo(trace_id=key(number), **values)
