"""Spans and traces, in OpenTelemetry's terms."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Status = Literal["ok", "error", "unset"]
TraceStatus = Literal["ok", "error", "unset", "running"]
"""A trace is running until its root span has come; a client that says nothing of its state leaves it unset."""

DEFAULT_EXPERIMENT = 0
"""The experiment of traces that name none; every tenant has it."""


class SpanEvent(msgspec.Struct, frozen=True):
    name: str
    at_ns: int
    attributes: dict[str, Any] = {}


class Span(msgspec.Struct, frozen=True):
    """One part of a request. Ids are lower-case hex (32 and 16 digits); attribute values are JSON.

    ``end_ns`` is 0 while the span is under way.
    """

    trace_id: str
    span_id: str
    name: str
    start_ns: int
    end_ns: int
    parent_id: str | None = None
    kind: str = "internal"
    status: Status = "unset"
    message: str = ""
    attributes: dict[str, Any] = {}
    events: tuple[SpanEvent, ...] = ()


class TraceLink(msgspec.Struct, frozen=True):
    """What a request used: ``parent`` is a lineage key (a digest); ``via`` says which part of it."""

    role: str
    parent: str
    via: dict[str, Any] | None = None


class Trace(msgspec.Struct, frozen=True):
    """One request: its spans, and, for a request answered here, the release that answered it and what it used.

    ``trace_id`` is 32 hex digits, or whatever a client of MLflow's protocol chose. ``title`` is the name shown to such
    clients, where it has one; ``labels`` become tags of the trace.
    """

    trace_id: str
    name: str
    start_ns: int
    end_ns: int
    status: TraceStatus
    source: Literal["gateway", "otlp", "mlflow"]
    principal: str
    endpoint: str | None = None
    release: str | None = None
    release_digest: str | None = None
    span_count: int = 0
    summary: dict[str, Any] = {}
    spans: tuple[Span, ...] = ()
    links: tuple[TraceLink, ...] = ()
    experiment: int = DEFAULT_EXPERIMENT
    title: str | None = None
    labels: dict[str, str] = {}


class SpanBuilder:
    """A span being recorded. Not for use by two tasks at once; children may be made from any task."""

    __slots__ = (
        "_recorder",
        "attributes",
        "events",
        "kind",
        "message",
        "name",
        "parent_id",
        "span_id",
        "start_ns",
        "status",
    )

    def __init__(
        self, recorder: Recorder, name: str, parent_id: str | None, span_id: str, start_ns: int, kind: str
    ) -> None:
        self._recorder = recorder
        self.name = name
        self.parent_id = parent_id
        self.span_id = span_id
        self.start_ns = start_ns
        self.kind = kind
        self.status: Status = "unset"
        self.message = ""
        self.attributes: dict[str, Any] = {}
        self.events: list[SpanEvent] = []

    @property
    def trace_id(self) -> str:
        return self._recorder.trace_id

    def child(self, name: str, kind: str = "internal") -> SpanBuilder:
        return self._recorder.start(name, self.span_id, kind)

    def link(self, role: str, parent: str, via: dict[str, Any] | None = None) -> None:
        """Say that this request used ``parent`` (a revision's digest), through the part ``via``."""
        self._recorder.links.append(TraceLink(role, parent, via))

    def summarise(self, **facts: Any) -> None:
        """Facts worth showing in a list of traces (tokens, declined, rows)."""
        self._recorder.summary.update(facts)

    def fail(self, message: str) -> None:
        self.status = "error"
        self.message = message

    def end(self) -> None:
        self._recorder.finish(self)

    def __enter__(self) -> SpanBuilder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None and self.status != "error":
            self.fail(f"{type(error).__name__}: {error}")
        self.end()


class Recorder:
    """Collects the spans of one request in memory until the trace is closed."""

    __slots__ = ("_clock_ns", "_new_span_id", "links", "spans", "summary", "trace_id")

    def __init__(self, trace_id: str, clock_ns: Any, new_span_id: Any) -> None:
        self.trace_id = trace_id
        self.spans: list[Span] = []
        self.links: list[TraceLink] = []
        self.summary: dict[str, Any] = {}
        self._clock_ns = clock_ns
        self._new_span_id = new_span_id

    def start(self, name: str, parent_id: str | None = None, kind: str = "internal") -> SpanBuilder:
        return SpanBuilder(self, name, parent_id, self._new_span_id(), self._clock_ns(), kind)

    def finish(self, span: SpanBuilder) -> None:
        self.spans.append(
            Span(
                trace_id=self.trace_id,
                span_id=span.span_id,
                name=span.name,
                start_ns=span.start_ns,
                end_ns=self._clock_ns(),
                parent_id=span.parent_id,
                kind=span.kind,
                status=span.status,
                message=span.message,
                attributes=span.attributes,
                events=tuple(span.events),
            )
        )
