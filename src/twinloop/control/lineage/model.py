"""Nodes and edges of the lineage graph."""

from __future__ import annotations

from typing import Any

import msgspec


class Node(msgspec.Struct, frozen=True):
    """One thing with a history.

    ``key`` is a revision's digest, ``run:ID`` or ``trace:ID``; it is unique in its tenant. ``version`` is the revision
    number, or the id of a run or trace. ``detail`` is free JSON for the reader.
    """

    key: str
    kind: str
    name: str
    version: str
    digest: str | None = None
    at_ns: int = 0
    detail: dict[str, Any] | None = None


class Link(msgspec.Struct, frozen=True):
    """An edge from a child to ``parent`` (a node's key).

    ``via`` says through which part of the parent (a chunk of a document, the values read from a feature view); it
    holds at least kind, name, version and digest, and is shown as a node of its own between the two.
    """

    role: str
    parent: str
    via: dict[str, Any] | None = None


class Edge(msgspec.Struct, frozen=True):
    child: str
    parent: str
    role: str


class Graph(msgspec.Struct, frozen=True):
    """A part of the graph around ``root`` (a node's key); ``truncated`` when a limit cut it."""

    root: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    truncated: bool = False


CONTAINS = "contains"
"""The role of membership: the child holds the parent among others, so not everything after the child depends on it."""
