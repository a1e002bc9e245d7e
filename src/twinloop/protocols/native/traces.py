"""/api/v1/traces, why and impact."""

from __future__ import annotations

from typing import Any

from starlette.routing import Route

from twinloop.control.lineage.service import Lineage
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import Principal
from twinloop.control.tracing.service import Tracing
from twinloop.core.digests import is_digest
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.protocols.http import Call, route
from twinloop.protocols.native import encode
from twinloop.protocols.native.errors import NATIVE

_HEX = frozenset("0123456789abcdef")


def routes(tracing: Tracing, lineage: Lineage, registry: Registry) -> list[Route]:
    async def listing(call: Call) -> Any:
        """Traces, newest first, narrowed by endpoint, release and status."""
        query = call.query
        found = await tracing.newest(
            call.who,
            query.get("endpoint") or None,
            query.get("release") or None,
            query.get("status") or None,
            call.integer("limit", 50, 1, 1000),
            call.integer("before", 0) or None,
        )
        return {"traces": [encode.trace(trace) for trace in found]}

    async def get(call: Call) -> Any:
        """One trace with its spans."""
        return encode.trace(await tracing.get(call.who, call.path["trace_id"]), spans=True)

    async def why(call: Call) -> Any:
        """The whole ancestry of a trace, revision, release or run."""
        await tracing.flush()
        graph = await lineage.why(call.who, await _key(registry, call.who, call.query.get("node", "")))
        return {
            "root": graph.root,
            "nodes": [encode.node(node) for node in graph.nodes],
            "edges": [encode.edge(edge) for edge in graph.edges],
            "truncated": graph.truncated,
        }

    async def impact(call: Call) -> Any:
        """Every revision, release and trace that a revision touched."""
        await tracing.flush()
        graph = await lineage.impact(call.who, await _key(registry, call.who, call.query.get("node", "")))
        kinds = [node.kind for node in graph.nodes if node.key != graph.root]
        counts = {
            "revisions": sum(
                1 for node in graph.nodes if node.digest and is_digest(node.key) and node.key != graph.root
            ),
            "releases": kinds.count("release"),
            "traces": graph.leaves,
        }
        return {
            "root": graph.root,
            "nodes": [encode.node(node) for node in graph.nodes],
            "edges": [encode.edge(edge) for edge in graph.edges],
            "counts": counts,
            "truncated": graph.truncated,
        }

    return [
        route(NATIVE, "GET", "/api/v1/traces", listing),
        route(NATIVE, "GET", "/api/v1/traces/{trace_id}", get),
        route(NATIVE, "GET", "/api/v1/why", why),
        route(NATIVE, "GET", "/api/v1/impact", impact),
    ]


async def _key(registry: Registry, who: Principal, node: str) -> str:
    """The lineage key of what a person would write: a trace id, ``run:ID``, a reference or a digest."""
    if not node:
        raise InvalidInput(
            "The query parameter node is missing. Give a trace id, a revision such as model/churn@3, or run:ID."
        )
    if len(node) == 32 and set(node) <= _HEX:
        return f"trace:{node}"
    if node.startswith(("trace:", "run:")):
        return node
    found = await registry.find(who, node) if "/" in node or is_digest(node) else None
    if found is None and "/" not in node and "@" in node:
        found = await registry.find(who, f"release/{node}")
    if found is None:
        raise NotFound(
            f"Nothing is known of {node[:200]}. Give a trace id, a revision such as model/churn@3, or run:ID."
        )
    return found.digest
