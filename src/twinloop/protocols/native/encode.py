"""How the values of control look in /api/v1."""

from __future__ import annotations

from twinloop.control.evaluation.model import Evidence
from twinloop.control.lineage.model import Edge, Graph, Node
from twinloop.control.registry.model import Registered, Revision
from twinloop.control.releases.model import ReleaseEvent, Traffic
from twinloop.control.releases.service import Standing
from twinloop.control.tracing.model import Trace
from twinloop.core.clock import iso
from twinloop.protocols.native import wire


def revision(found: Revision) -> wire.Revision:
    return {
        "ref": found.ref,
        "kind": found.kind,
        "name": found.name,
        "number": found.number,
        "digest": found.digest,
        "manifest": found.manifest,
        "parents": [{"role": parent.role, "digest": parent.digest} for parent in found.parents],
        "created_at": iso(found.created_ns),
        "created_ns": found.created_ns,
        "created_by": found.created_by,
        "run_id": found.run_id,
        "aliases": list(found.aliases),
    }


def endpoint(traffic: Traffic) -> wire.Endpoint:
    def ref(number: int | None) -> str | None:
        return None if number is None else f"{traffic.endpoint}@{number}"

    return {
        "name": traffic.endpoint,
        "type": traffic.type,
        "live": ref(traffic.live),
        "canary": ref(traffic.canary),
        "canary_weight": traffic.weight,
        "shadow": ref(traffic.shadow),
        "previous": ref(traffic.previous),
        "updated_at": iso(traffic.updated_ns),
    }


def release(standing: Standing) -> wire.Release:
    found = standing.release
    return {
        "ref": found.ref,
        "digest": found.digest,
        "endpoint": found.endpoint,
        "type": found.type,
        "state": standing.state,
        "weight": standing.weight,
        "pins": {role: {"ref": pin.ref, "digest": pin.digest} for role, pin in found.pins.items()},
        "required": [{"ref": pin.ref, "digest": pin.digest} for pin in found.required],
        "gate": found.gate,
        "created_at": iso(found.created_ns),
        "created_by": found.created_by,
    }


def release_event(event: ReleaseEvent) -> wire.ReleaseEvent:
    return {
        "at": iso(event.at_ns),
        "action": event.action,
        "release": event.release,
        "stage": event.stage,
        "by": event.by,
        "reason": event.reason,
        "weight": event.traffic.weight,
        "traffic": endpoint(event.traffic),
    }


def trace(found: Trace) -> wire.Trace:
    return {
        "trace_id": found.trace_id,
        "name": found.name,
        "endpoint": found.endpoint,
        "release": found.release,
        "status": found.status,
        "started_at": iso(found.start_ns),
        "start_ns": found.start_ns,
        "duration_ms": round((found.end_ns - found.start_ns) / 1e6, 3),
        "principal": found.principal,
        "source": found.source,
        "span_count": found.span_count,
        "summary": found.summary,
    }


def trace_with_spans(found: Trace) -> wire.TraceWithSpans:
    return {
        **trace(found),
        "spans": [
            {
                "span_id": span.span_id,
                "parent_id": span.parent_id,
                "name": span.name,
                "kind": span.kind,
                "start_ns": span.start_ns,
                "end_ns": span.end_ns,
                "status": span.status,
                "message": span.message,
                "attributes": span.attributes,
                "events": list(span.events),
            }
            for span in found.spans
        ],
    }


def node(found: Node) -> wire.Node:
    return {
        "key": found.key,
        "kind": found.kind,
        "name": found.name,
        "version": found.version,
        "digest": found.digest,
        "at": iso(found.at_ns) if found.at_ns else None,
        "detail": found.detail,
    }


def edge(found: Edge) -> wire.Edge:
    return {"child": found.child, "parent": found.parent, "role": found.role}


def graph(found: Graph) -> wire.Graph:
    return {
        "root": found.root,
        "nodes": [node(one) for one in found.nodes],
        "edges": [edge(one) for one in found.edges],
        "truncated": found.truncated,
    }


def registered(done: Registered) -> wire.Registered:
    return {"revision": revision(done.revision), "created": done.created}


def evidence(found: Evidence) -> wire.Evidence:
    return {
        "id": found.id,
        "subject": found.subject,
        "dataset": found.dataset,
        "baseline": found.baseline,
        "estimates": found.estimates,
        "slices": found.slices,
        "created_at": iso(found.created_ns),
        "created_ns": found.created_ns,
        "created_by": found.created_by,
        "note": found.note,
    }
