"""How the values of control look in /api/v1."""

from __future__ import annotations

from typing import Any

import msgspec

from twinloop.control.lineage.model import Edge, Node
from twinloop.control.registry.model import Revision
from twinloop.control.releases.model import ReleaseEvent, Traffic
from twinloop.control.releases.service import Standing
from twinloop.control.tracing.model import Trace
from twinloop.core.clock import iso


def revision(found: Revision) -> dict[str, Any]:
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
        "aliases": found.aliases,
    }


def endpoint(traffic: Traffic) -> dict[str, Any]:
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


def release(standing: Standing) -> dict[str, Any]:
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
        "gate": None if found.gate is None else msgspec.to_builtins(found.gate),
        "created_at": iso(found.created_ns),
        "created_by": found.created_by,
    }


def release_event(event: ReleaseEvent) -> dict[str, Any]:
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


def trace(found: Trace, *, spans: bool = False) -> dict[str, Any]:
    row: dict[str, Any] = {
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
    if spans:
        row["spans"] = [
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
                "events": msgspec.to_builtins(span.events),
            }
            for span in found.spans
        ]
    return row


def node(found: Node) -> dict[str, Any]:
    return {
        "key": found.key,
        "kind": found.kind,
        "name": found.name,
        "version": found.version,
        "digest": found.digest,
        "at": iso(found.at_ns) if found.at_ns else None,
        "detail": found.detail,
    }


def edge(found: Edge) -> dict[str, Any]:
    return {"child": found.child, "parent": found.parent, "role": found.role}
