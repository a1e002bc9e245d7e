"""Verbs of lineage: why (back to every ancestor) and impact (forward to everything touched)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from twinloop.control.lineage import repository
from twinloop.control.lineage.model import CONTAINS, Edge, Graph, Node
from twinloop.control.lineage.repository import EdgeRow
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Store
from twinloop.core.errors import NotFound

_NODES = 5_000
_LEAVES = 1_000


class Impact(Graph, frozen=True):
    """Everything after ``root``; ``leaves`` counts all requests touched, of which the newest are among the nodes."""

    leaves: int = 0


class Lineage:
    """Reads the graph that every other part writes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def why(self, who: Principal, key: str) -> Graph:
        """The whole ancestry of ``key``. Raises NotFound."""
        who.require(Role.viewer)
        return await self._store.read(lambda c: _why(c, who.tenant, key))

    async def impact(self, who: Principal, key: str) -> Impact:
        """Every node that came from ``key``. Raises NotFound.

        Membership (role ``contains``) is followed to what contains the root, but not on to each request answered
        from the container: a request counts when it used the root itself, not when it could have.
        """
        who.require(Role.viewer)
        return await self._store.read(lambda c: _impact(c, who.tenant, key))


def _why(connection: Connection, tenant: str, root: str) -> Graph:
    found: dict[str, list[EdgeRow]] = {}
    waiting = [root]
    while waiting and len(found) < _NODES:
        rows = repository.parents(connection, tenant, waiting)
        found.update({key: [] for key in waiting})
        for row in rows:
            found[row.child].append(row)
        waiting = list(dict.fromkeys(row.parent for row in rows if row.parent not in found))
    return _graph(connection, tenant, root, [row for rows in found.values() for row in rows], bool(waiting))


def _impact(connection: Connection, tenant: str, root: str) -> Impact:
    rows: list[EdgeRow] = []
    whole: set[str] = {root}
    partial: set[str] = set()
    waiting = [root]
    truncated = False
    while waiting:
        fresh: list[str] = []
        for row in repository.children(connection, tenant, waiting, leaf=False, limit=_NODES):
            rows.append(row)
            into = partial if row.role == CONTAINS or row.parent not in whole else whole
            if row.child in whole or row.child in into:
                continue
            into.add(row.child)
            fresh.append(row.child)
        truncated = truncated or len(whole) + len(partial) > _NODES
        waiting = [] if truncated else fresh
    sources = sorted(whole)
    leaves = repository.count_leaves(connection, tenant, sources)
    rows.extend(repository.children(connection, tenant, sources, leaf=True, limit=_LEAVES))
    graph = _graph(connection, tenant, root, rows, truncated or leaves > _LEAVES)
    return Impact(graph.root, graph.nodes, graph.edges, graph.truncated, leaves)


def _graph(connection: Connection, tenant: str, root: str, rows: list[EdgeRow], truncated: bool) -> Graph:
    keys = list(dict.fromkeys([root, *(key for row in rows for key in (row.child, row.parent))]))
    known = {node.key: node for node in repository.describe(connection, tenant, keys)}
    if root not in known:
        raise NotFound(f"Nothing is known of {root}. Give a trace id, a revision such as model/churn@3, or a run.")
    edges: dict[tuple[str, str, str], Edge] = {}
    for row in rows:
        if row.child not in known or row.parent not in known:
            continue
        if row.via is None:
            edges[row.child, row.parent, row.role] = Edge(row.child, row.parent, row.role)
            continue
        part = _part(row.parent, row.via)
        known[part.key] = part
        edges[row.child, part.key, row.role] = Edge(row.child, part.key, row.role)
        edges[part.key, row.parent, "part_of"] = Edge(part.key, row.parent, "part_of")
    return Graph(root, tuple(known.values()), tuple(edges.values()), truncated)


def _part(parent: str, via: dict[str, Any]) -> Node:
    """The node that stands for a part of ``parent``: a chunk, or the values read from a feature view."""
    head = ("kind", "name", "version", "digest")
    kind, name, version, digest = (str(via.get(field) or "") for field in head)
    detail = {key: value for key, value in via.items() if key not in head}
    return Node(
        f"{parent}#{kind}:{name}:{version}:{digest[-16:]}", kind, name, version, digest or None, 0, detail or None
    )
