"""/api/v1/traces, why and impact."""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec
from starlette.routing import Route

from twinloop.control.lineage.model import Graph, Node
from twinloop.control.lineage.service import Lineage
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import Principal
from twinloop.control.tracing.info import Assessment, AssessmentKind, TraceInfo, key_of
from twinloop.control.tracing.model import Trace
from twinloop.control.tracing.service import Tracing
from twinloop.core.clock import iso
from twinloop.core.digests import is_digest
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.protocols.http import Call, route
from twinloop.protocols.native import encode, wire
from twinloop.protocols.native.errors import NATIVE

_HEX = frozenset("0123456789abcdef")
_MS = 1_000_000


class TraceQuery(msgspec.Struct, frozen=True):
    """Only traces of this ``endpoint``, this ``release`` (``name@number``) and this ``status``, where given."""

    endpoint: str = ""
    release: str = ""
    status: str = ""
    limit: wire.Limit = 50
    before: wire.Before = 0


class Traces(TypedDict):
    traces: list[wire.Trace]


class AssessmentJson(TypedDict):
    """What somebody says of a trace, or of its span ``span``. ``valid`` is false once another one overrides it."""

    name: str
    kind: AssessmentKind
    value: Any
    error: dict[str, Any] | None
    rationale: str | None
    by: str
    source: str
    span: str | None
    valid: bool
    at: str


class NotesJson(TypedDict):
    """What is known of a trace besides its spans: ``request`` and ``response`` are their beginnings, as text."""

    trace_id: str
    experiment: str
    request: str | None
    response: str | None
    tags: dict[str, str]
    metadata: dict[str, str]
    assessments: list[AssessmentJson]


class NodeQuery(msgspec.Struct, frozen=True):
    """A trace id, also as MLflow writes it (``tr-…``), a revision as ``kind/name@number``, a release as ``name@number``,
    a digest, or ``run:ID``."""

    node: str = ""


def routes(tracing: Tracing, lineage: Lineage, registry: Registry) -> list[Route]:
    async def listing(call: Call, query: TraceQuery) -> Traces:
        """Traces, newest first, narrowed by endpoint, release and status."""
        found = await tracing.newest(
            call.who,
            query.endpoint or None,
            query.release or None,
            query.status or None,
            query.limit,
            query.before or None,
        )
        return {"traces": [encode.trace(trace) for trace in found]}

    async def get(call: Call) -> wire.TraceWithSpans:
        """One trace with its spans."""
        return encode.trace_with_spans(await tracing.get(call.who, key_of(call.path["trace_id"])))

    async def notes(call: Call) -> NotesJson:
        """What is known of one trace besides its spans: tags, metadata and what people and judges say of it."""
        return notes_json(await tracing.infos.get(call.who, key_of(call.path["trace_id"])))

    async def why(call: Call, query: NodeQuery) -> wire.Graph:
        """The whole ancestry of a trace, revision, release or run."""
        await tracing.flush()
        key = await _key(registry, call.who, query.node)
        try:
            return encode.graph(await lineage.why(call.who, key))
        except NotFound:
            if not key.startswith("trace:"):
                raise
            return encode.graph(_alone(key, await tracing.get(call.who, key.removeprefix("trace:"))))

    async def impact(call: Call, query: NodeQuery) -> wire.Impact:
        """Every revision, release and trace that a revision touched."""
        await tracing.flush()
        graph = await lineage.impact(call.who, await _key(registry, call.who, query.node))
        kinds = [node.kind for node in graph.nodes if node.key != graph.root]
        releases = kinds.count("release")
        revisions = sum(1 for node in graph.nodes if is_digest(node.key) and node.key != graph.root)
        counts: wire.Touched = {
            "revisions": revisions - releases,
            "releases": releases,
            "traces": graph.leaves,
        }
        return {**encode.graph(graph), "counts": counts}

    return [
        route(NATIVE, "GET", "/api/v1/traces", listing, query=TraceQuery, answer=Traces),
        route(NATIVE, "GET", "/api/v1/traces/{trace_id}", get, answer=wire.TraceWithSpans),
        route(NATIVE, "GET", "/api/v1/traces/{trace_id}/notes", notes, answer=NotesJson),
        route(NATIVE, "GET", "/api/v1/why", why, query=NodeQuery, answer=wire.Graph, tag="lineage"),
        route(NATIVE, "GET", "/api/v1/impact", impact, query=NodeQuery, answer=wire.Impact, tag="lineage"),
    ]


def notes_json(info: TraceInfo) -> NotesJson:
    return {
        "trace_id": info.trace_id,
        "experiment": str(info.experiment),
        "request": info.request_preview,
        "response": info.response_preview,
        "tags": info.tags,
        "metadata": info.metadata,
        "assessments": [_assessment(one) for one in info.assessments],
    }


def _assessment(one: Assessment) -> AssessmentJson:
    return {
        "name": one.name,
        "kind": one.kind,
        "value": one.value,
        "error": one.error,
        "rationale": one.rationale,
        "by": one.source_id or "",
        "source": one.source_type,
        "span": one.span_id,
        "valid": one.valid,
        "at": iso(one.updated_ms * _MS),
    }


def _alone(key: str, trace: Trace) -> Graph:
    """A trace of which nobody said what it used."""
    return Graph(key, (Node(key, "trace", trace.name[:300], trace.trace_id, None, trace.start_ns),), ())


async def _key(registry: Registry, who: Principal, node: str) -> str:
    """The lineage key of what a person would write: a trace id, ``run:ID``, a reference or a digest."""
    if not node:
        raise InvalidInput(
            "The query parameter node is missing. Give a trace id, a revision such as model/churn@3, or run:ID."
        )
    if node.startswith("tr-") or (len(node) == 32 and set(node) <= _HEX):
        return f"trace:{key_of(node)}"
    if node.startswith(("trace:", "run:", "logged_model:", "dataset:")):
        return node
    found = await registry.find(who, node) if "/" in node or is_digest(node) else None
    if found is None and "/" not in node and "@" in node:
        found = await registry.find(who, f"release/{node}")
    if found is None:
        raise NotFound(
            f"Nothing is known of {node[:200]}. Give a trace id, a revision such as model/churn@3, or run:ID."
        )
    return found.digest
