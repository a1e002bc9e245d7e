"""What the things of /api/v1 look like in JSON. Times ``*_at`` are ISO-8601 in UTC; ``*_ns`` are integer nanoseconds."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

import msgspec

from twinloop.control.evaluation.model import Estimate, GateResult, Slice
from twinloop.control.releases.answers import EndpointKind
from twinloop.control.releases.model import Action, Stage
from twinloop.control.tracing.model import SpanEvent, Status, TraceStatus

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000, description="How many to give at most.")]
Many = msgspec.Meta(max_length=1000)
"""Bounds a list of references in a request; each is looked up."""
Before = Annotated[int, msgspec.Meta(ge=0, le=2**62, description="Go on after the item with this *_ns; 0 begins.")]


class ErrorDetail(TypedDict):
    code: str
    message: str
    trace: str | None


class Error(TypedDict):
    """``message`` says what happened and what to do; ``trace`` is the trace of the request, where there is one."""

    error: ErrorDetail


class Nothing(TypedDict):
    """Done; there is nothing to tell."""


class Parent(TypedDict):
    role: str
    digest: str


class Revision(TypedDict):
    """``ref`` is ``kind/name@number``; ``digest`` covers kind, name, manifest and parents."""

    ref: str
    kind: str
    name: str
    number: int
    digest: str
    manifest: dict[str, Any]
    parents: list[Parent]
    created_at: str
    created_ns: int
    created_by: str
    run_id: str | None
    aliases: list[str]


class Registered(TypedDict):
    """``created`` is false when the same content was registered already."""

    revision: Revision
    created: bool


class Endpoint(TypedDict):
    """``live``, ``canary``, ``shadow`` and ``previous`` are releases, ``name@number``, or null."""

    name: str
    type: EndpointKind
    live: str | None
    canary: str | None
    canary_weight: float
    shadow: str | None
    previous: str | None
    updated_at: str


class Pin(TypedDict):
    ref: str
    digest: str


class Release(TypedDict):
    """``pins`` maps roles to revisions; ``required`` are the revisions that those need in turn."""

    ref: str
    digest: str
    endpoint: str
    type: EndpointKind
    state: str
    weight: float
    pins: dict[str, Pin]
    required: list[Pin]
    gate: GateResult | None
    created_at: str
    created_by: str


class ReleaseEvent(TypedDict):
    """One change of what is live, and the traffic after it."""

    at: str
    action: Action
    release: str
    stage: Stage
    by: str
    reason: str
    weight: float
    traffic: Endpoint


class Trace(TypedDict):
    trace_id: str
    name: str
    endpoint: str | None
    release: str | None
    status: TraceStatus
    started_at: str
    start_ns: int
    duration_ms: float
    principal: str
    source: Literal["gateway", "otlp", "mlflow"]
    span_count: int
    summary: dict[str, Any]


class Span(TypedDict):
    span_id: str
    parent_id: str | None
    name: str
    kind: str
    start_ns: int
    end_ns: int
    status: Status
    message: str
    attributes: dict[str, Any]
    events: list[SpanEvent]


class TraceWithSpans(Trace):
    spans: list[Span]


class Node(TypedDict):
    """``key`` is a revision's digest, ``run:ID`` or ``trace:ID``; ``version`` a revision's number or that id."""

    key: str
    kind: str
    name: str
    version: str
    digest: str | None
    at: str | None
    detail: dict[str, Any] | None


class Edge(TypedDict):
    """``child`` was made from, or answered with, ``parent``."""

    child: str
    parent: str
    role: str


class Graph(TypedDict):
    """The part of the lineage around ``root``; ``truncated`` when a limit cut it."""

    root: str
    nodes: list[Node]
    edges: list[Edge]
    truncated: bool


class Touched(TypedDict):
    revisions: int
    releases: int
    traces: int


class Impact(Graph):
    counts: Touched


class Evidence(TypedDict):
    """Scores of ``subject`` on ``dataset``; with a ``baseline``, ``delta_*`` are paired differences."""

    id: str
    subject: str
    dataset: str | None
    baseline: str | None
    estimates: tuple[Estimate, ...]
    slices: tuple[Slice, ...]
    created_at: str
    created_ns: int
    created_by: str
    note: str
