"""The tree that why and impact draw."""

from __future__ import annotations

from typing import Any

from twinloop.cli.lineage import tree


def node(key: str, kind: str, name: str, version: str = "1") -> dict[str, Any]:
    return {
        "key": key,
        "kind": kind,
        "name": name,
        "version": version,
        "digest": key if ":" not in key else None,
        "detail": None,
    }


def edge(child: str, parent: str, role: str) -> dict[str, str]:
    return {"child": child, "parent": parent, "role": role}


GRAPH = {
    "root": "trace:t1",
    "nodes": [
        node("trace:t1", "trace", "predict flight-delay", "t1"),
        node("r", "release", "flight-delay", "2"),
        node("m", "model", "flight-delay", "2"),
        node("v", "feature_view", "delays"),
        node("d", "dataset", "flights"),
    ],
    "edges": [
        edge("trace:t1", "r", "answered_by"),
        edge("trace:t1", "v", "read"),
        edge("r", "m", "model"),
        edge("m", "v", "features"),
        edge("m", "d", "trained_on"),
        edge("v", "d", "source"),
    ],
}


def test_why_is_drawn_from_the_answer_to_its_sources_and_shared_parts_once() -> None:
    assert list(tree(GRAPH, "child", "parent")) == [
        "trace t1 predict flight-delay",
        "├─ read: feature_view/delays@1  v",
        "│  └─ source: dataset/flights@1  d",
        "└─ answered_by: release/flight-delay@2  r",
        "   └─ model: model/flight-delay@2  m",
        "      ├─ features: feature_view/delays@1  v (above)",
        "      └─ trained_on: dataset/flights@1  d",
    ]


def test_impact_is_drawn_the_other_way() -> None:
    lines = list(tree({**GRAPH, "root": "d"}, "parent", "child"))
    assert lines[0] == "dataset/flights@1  d"
    assert lines[1] == "├─ trained_on: model/flight-delay@2  m"
    assert lines[2] == "│  └─ model: release/flight-delay@2  r"
    assert lines[3].strip("│ ") == "└─ answered_by: trace t1 predict flight-delay"


def test_many_siblings_are_counted_rather_than_drawn() -> None:
    traces = [node(f"trace:{n}", "trace", "ask", str(n)) for n in range(40)]
    graph = {
        "root": "d",
        "nodes": [node("d", "document", "a.md"), *traces],
        "edges": [edge(t["key"], "d", "cited") for t in traces],
    }
    lines = list(tree(graph, "parent", "child"))
    assert len(lines) == 14
    assert lines[-1] == "└─ cited: … and 28 more of kind trace"


def test_a_cycle_ends() -> None:
    graph = {
        "root": "a",
        "nodes": [node("a", "x", "a"), node("b", "x", "b")],
        "edges": [edge("a", "b", "r"), edge("b", "a", "r")],
    }
    assert list(tree(graph, "child", "parent"))[-1].endswith("(above)")


def test_a_deep_chain_is_drawn_without_recursion() -> None:
    nodes = [node(str(n), "dataset", f"d{n}") for n in range(3000)]
    graph = {"root": "0", "nodes": nodes, "edges": [edge(str(n), str(n + 1), "from") for n in range(2999)]}
    assert sum(1 for _ in tree(graph, "child", "parent")) == 3000
