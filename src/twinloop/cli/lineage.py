"""``why`` and ``impact``: the lineage of something as a tree."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from twinloop.cli.arguments import Commands
from twinloop.cli.connection import connected
from twinloop.cli.output import short_digest, show

_SIBLINGS_SHOWN = 12
_FIELDS_SHOWN = 6

Graph = Mapping[str, Any]


def declare(commands: Commands) -> None:
    why = commands.add(
        "why", run_why, "Show everything behind an answer, a release or a revision.", "twinloop why TRACE"
    )
    why.add_argument("node", help="a trace id, a revision such as model/flight-delay@2, release/ENDPOINT@N or run:ID")
    impact = commands.add(
        "impact", run_impact, "Show everything that something touched.", "twinloop impact dataset/weather@1"
    )
    impact.add_argument("node", help="as for why")


def run_why(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        graph = client.lineage.why(arguments.node)
    show(arguments, graph, lambda g: tree(g, "child", "parent"))
    return 0


def run_impact(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        graph = client.lineage.impact(arguments.node)
    show(arguments, graph, _impact_lines)
    return 0


def _impact_lines(graph: Graph) -> Iterator[str]:
    yield from tree(graph, "parent", "child")
    counts = graph.get("counts", {})
    yield ""
    yield "touched: " + ", ".join(f"{number} {what}" for what, number in counts.items())
    if graph.get("truncated"):
        yield "The graph was cut at its limit; --json says the same. Ask about a later node to see the rest."


def tree(graph: Graph, near: str, far: str) -> Iterator[str]:
    """The lines of ``graph`` drawn from its root along edges from their ``near`` end to their ``far`` end.

    A node reached twice is drawn with what is behind it the first time only, then marked ``(above)``. Of many siblings
    with the same role and kind the first are drawn and the rest counted.
    """
    nodes = {node["key"]: node for node in graph["nodes"]}
    follow: dict[str, list[tuple[str, str]]] = defaultdict(list)
    # What an answer read or cited says more about it than the whole release behind it, so it comes first.
    for edge in sorted(graph["edges"], key=lambda edge: edge["role"] == "answered_by"):
        if edge[far] in nodes:
            follow[edge[near]].append((edge["role"], edge[far]))
    drawn: set[str] = set()
    # (prefix of this line, prefix of what is below it, text or node to draw)
    waiting: list[tuple[str, str, str, str | None]] = [("", "", "", graph["root"])]
    while waiting:
        prefix, below, role, key = waiting.pop()
        if key is None:
            yield prefix + role
            continue
        text = prefix + (f"{role}: " if role else "") + _label(nodes.get(key, {"key": key}))
        if key in drawn:
            yield text + (" (above)" if follow[key] else "")
            continue
        drawn.add(key)
        yield text
        waiting.extend(reversed(_children(below, list(_few(follow[key], nodes)))))


def _children(below: str, items: list[tuple[str, str | None]]) -> list[tuple[str, str, str, str | None]]:
    last = len(items) - 1
    return [
        (below + ("└─ " if i == last else "├─ "), below + ("   " if i == last else "│  "), role, key)
        for i, (role, key) in enumerate(items)
    ]


def _few(links: Iterable[tuple[str, str]], nodes: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str | None]]:
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for role, key in links:
        groups[role, str(nodes[key]["kind"])].append(key)
    for (role, kind), keys in groups.items():
        for key in keys[:_SIBLINGS_SHOWN]:
            yield role, key
        if len(keys) > _SIBLINGS_SHOWN:
            yield f"{role}: … and {len(keys) - _SIBLINGS_SHOWN} more of kind {kind}", None


def _label(node: Mapping[str, Any]) -> str:
    kind, name, version = node.get("kind"), node.get("name"), node.get("version")
    if kind is None:
        return str(node["key"])
    if kind in ("trace", "run"):
        label = f"{kind} {version or str(node['key']).partition(':')[2]} {name}"
    else:
        label = f"{kind}/{name}@{version}" if version else f"{kind}/{name}"
    digest = short_digest(node.get("digest"))
    return "  ".join(part for part in (label, digest, _detail(node.get("detail"))) if part)


def _detail(detail: Mapping[str, Any] | None) -> str:
    if not detail:
        return ""
    plain = [f"{key}={_brief(value)}" for key, value in detail.items() if isinstance(value, str | int | float)]
    return " ".join(plain[:_FIELDS_SHOWN])


def _brief(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else " ".join(str(value).split())
    return text if len(text) <= 48 else text[:47] + "…"
