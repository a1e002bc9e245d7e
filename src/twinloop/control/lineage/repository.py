"""Tables and queries of the lineage graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import BigInteger, Boolean, Column, Connection, Index, Integer, String, Table, func, select

from twinloop.control.lineage.model import Link, Node
from twinloop.control.store.schema import Json, metadata
from twinloop.control.store.sql import upsert

nodes = Table(
    "lineage_nodes",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("key", String(100), primary_key=True),
    Column("kind", String(100), nullable=False),
    Column("name", String(300), nullable=False),
    Column("version", String(100), nullable=False),
    Column("digest", String(100)),
    Column("at_ns", BigInteger, nullable=False),
    Column("detail", Json),
)

edges = Table(
    "lineage_edges",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("child", String(100), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("parent", String(100), nullable=False),
    Column("role", String(100), nullable=False),
    Column("leaf", Boolean, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("via", Json),
    Index("ix_lineage_edges_parent", "tenant", "parent", "leaf", "at_ns"),
)


class EdgeRow(NamedTuple):
    child: str
    parent: str
    role: str
    leaf: bool
    via: dict[str, object] | None


def add(
    connection: Connection, tenant: str, node: Node, links: Sequence[Link], *, leaf: bool = False, first: int = 0
) -> None:
    """Add a node and its edges; one that is there already is left as it is.

    ``leaf`` marks requests, of which there are so many that walks forward count them instead of following them.
    ``first`` is the position of the first link, for a node that gains edges later.
    """
    add_many(connection, tenant, [(node, links)], leaf=leaf, first=first)


def add_many(
    connection: Connection,
    tenant: str,
    found: Iterable[tuple[Node, Sequence[Link]]],
    *,
    leaf: bool = False,
    first: int = 0,
) -> None:
    node_rows = []
    edge_rows = []
    for node, links in found:
        node_rows.append(
            {
                "tenant": tenant,
                "key": node.key,
                "kind": node.kind,
                "name": node.name,
                "version": node.version,
                "digest": node.digest,
                "at_ns": node.at_ns,
                "detail": node.detail,
            }
        )
        for position, link in enumerate(links, first):
            edge_rows.append(
                {
                    "tenant": tenant,
                    "child": node.key,
                    "position": position,
                    "parent": link.parent,
                    "role": link.role,
                    "leaf": leaf,
                    "at_ns": node.at_ns,
                    "via": link.via,
                }
            )
    upsert(connection, nodes, node_rows, ("tenant", "key"))
    upsert(connection, edges, edge_rows, ("tenant", "child", "position"))


def add_links(connection: Connection, tenant: str, child: str, links: Sequence[Link], at_ns: int) -> None:
    """Give a node that exists more edges (a run that consumes another dataset); an edge it has is not added twice."""
    known = {
        (row.role, row.parent)
        for row in connection.execute(
            select(edges.c.role, edges.c.parent).where(edges.c.tenant == tenant, edges.c.child == child)
        )
    }
    last = connection.execute(
        select(func.max(edges.c.position)).where(edges.c.tenant == tenant, edges.c.child == child)
    ).scalar()
    first = 0 if last is None else last + 1
    fresh = [link for link in links if (link.role, link.parent) not in known]
    upsert(
        connection,
        edges,
        [
            {
                "tenant": tenant,
                "child": child,
                "position": position,
                "parent": link.parent,
                "role": link.role,
                "leaf": False,
                "at_ns": at_ns,
                "via": link.via,
            }
            for position, link in enumerate(fresh, first)
        ],
        ("tenant", "child", "position"),
    )


def describe(connection: Connection, tenant: str, keys: Sequence[str]) -> list[Node]:
    found: list[Node] = []
    for part in _parts(keys):
        rows = connection.execute(select(nodes).where(nodes.c.tenant == tenant, nodes.c.key.in_(part)))
        found.extend(Node(r.key, r.kind, r.name, r.version, r.digest, r.at_ns, r.detail) for r in rows)
    return found


def parents(connection: Connection, tenant: str, keys: Sequence[str]) -> list[EdgeRow]:
    query = select(edges.c.child, edges.c.parent, edges.c.role, edges.c.leaf, edges.c.via).order_by(
        edges.c.child, edges.c.position
    )
    found: list[EdgeRow] = []
    for part in _parts(keys):
        rows = connection.execute(query.where(edges.c.tenant == tenant, edges.c.child.in_(part)))
        found.extend(EdgeRow(*row) for row in rows)
    return found


def children(connection: Connection, tenant: str, keys: Sequence[str], *, leaf: bool, limit: int) -> list[EdgeRow]:
    """Edges to the children of ``keys``, newest child first."""
    query = (
        select(edges.c.child, edges.c.parent, edges.c.role, edges.c.leaf, edges.c.via)
        .where(edges.c.tenant == tenant, edges.c.leaf.is_(leaf))
        .order_by(edges.c.at_ns.desc())
        .limit(limit)
    )
    found: list[EdgeRow] = []
    for part in _parts(keys):
        found.extend(EdgeRow(*row) for row in connection.execute(query.where(edges.c.parent.in_(part))))
    return found


def count_leaves(connection: Connection, tenant: str, keys: Sequence[str]) -> int:
    """How many different requests have an edge to one of ``keys``."""
    seen: set[str] = set()
    parts = list(_parts(keys))
    query = select(edges.c.child).distinct().where(edges.c.tenant == tenant, edges.c.leaf.is_(True))
    if len(parts) == 1:
        counted = select(func.count()).select_from(query.where(edges.c.parent.in_(parts[0])).subquery())
        return int(connection.execute(counted).scalar_one())
    for part in parts:
        seen.update(connection.execute(query.where(edges.c.parent.in_(part))).scalars())
    return len(seen)


def _parts(keys: Sequence[str]) -> Iterable[Sequence[str]]:
    """SQLite takes a bounded number of parameters a statement."""
    for start in range(0, len(keys), 500):
        yield keys[start : start + 500]
