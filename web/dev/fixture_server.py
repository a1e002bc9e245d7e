"""FIXTURE DATA: invented answers of the native API, to work on the console without a Twinloop server.

    npm run build && python web/dev/fixture_server.py 7799          # one story
    python web/dev/fixture_server.py 7799 --empty                   # a new home
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

STATIC = Path(__file__).parents[2] / "src/twinloop/server/static"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
CSP = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"
START_NS = time.time_ns() - 5_000_000_000


def digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def iso(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(START_NS / 1e9 + seconds, UTC).isoformat().replace("+00:00", "Z")


def revision(ref: str, manifest: dict[str, Any], *parents: tuple[str, str], aliases: tuple[str, ...] = ()) -> dict[str, Any]:
    path, _, number = ref.partition("@")
    kind, _, name = path.partition("/")
    return {
        "ref": ref, "kind": kind, "name": name, "number": int(number), "digest": digest(ref), "manifest": manifest,
        "parents": [{"role": role, "digest": digest(parent), "_ref": parent} for role, parent in parents],
        "created_at": iso(-3600), "created_ns": START_NS, "created_by": "local", "run_id": None, "aliases": list(aliases),
    }  # fmt: skip


DOCUMENTS = [f"document/handbook/page-{n}.md@1" for n in range(38)] + ["document/handbook/explanation/flow.md@2"]
REVISIONS = [
    revision("dataset/nycflights13/flights@1", {"rows": 336776}),
    revision("dataset/nycflights13/weather@1", {"rows": 26115}),
    revision("dataset/nycflights13/planes@1", {"rows": 3322}),
    revision("feature_view/route_delays@1", {"entities": ["origin", "dest"]}, ("source", "dataset/nycflights13/flights@1")),
    revision("feature_view/weather_at_departure@1", {"entities": ["origin"]}, ("source", "dataset/nycflights13/weather@1")),
    revision("feature_view/plane_age@1", {"entities": ["tailnum"]}, ("source", "dataset/nycflights13/planes@1")),
    revision("dataset/flight-delay/training-january-to-june@1", {"rows": 166158},
             *[("features", f"feature_view/{v}@1") for v in ("route_delays", "weather_at_departure", "plane_age")],
             ("labels", "dataset/nycflights13/flights@1")),
    revision("model/flight-delay@1", {"format": "xgboost", "trees": 200, "features": ["route_delay_7d", "wind_speed"]},
             ("trained_on", "dataset/flight-delay/training-january-to-june@1"),
             *[("features", f"feature_view/{v}@1") for v in ("route_delays", "weather_at_departure", "plane_age")],
             aliases=("champion",)),
    revision("model/flight-delay@2", {"format": "xgboost", "trees": 200},
             ("trained_on", "dataset/flight-delay/training-january-to-june@1")),
    *[revision(ref, {"media_type": "text/markdown"}) for ref in DOCUMENTS],
    revision("embedder/all-minilm-l6-v2@1", {"dimensions": 384}),
    revision("generator/smollm2-135m-instruct@1", {"format": "gguf"}),
    revision("index/handbook@2", {"chunks": 412}, ("embedder", "embedder/all-minilm-l6-v2@1"), *[("contains", d) for d in DOCUMENTS]),
    revision("prompt/handbook@1", {"template": "Answer only from the passages."}),
    revision("release/flight-delay@1", {"type": "predict"}, ("model", "model/flight-delay@1")),
    revision("release/flight-delay@2", {"type": "predict"}, ("model", "model/flight-delay@2")),
    revision("release/handbook@2", {"type": "chat"}, ("index", "index/handbook@2"), ("prompt", "prompt/handbook@1"),
             ("generator", "generator/smollm2-135m-instruct@1")),
]  # fmt: skip
BY_REF = {r["ref"]: r for r in REVISIONS}


def finding(metric: str, bound: float, value: float, half: float, n: int, verdict: str) -> dict[str, Any]:
    estimate = {"metric": metric, "value": value, "low": value - half, "high": value + half, "n": n, "level": 0.95, "method": ""}
    condition = {"metric": metric, "at_least": bound, "at_most": None, "baseline": None}
    return {"condition": condition, "verdict": verdict, "estimate": estimate, "reason": f"{metric} lies above the bound"}


def release(ref: str, kind: str, state: str, weight: float | None, gate: Any, at: float, **pins: str) -> dict[str, Any]:
    return {
        "ref": ref, "digest": digest(f"release/{ref}"), "endpoint": ref.split("@")[0], "type": kind, "state": state, "weight": weight,
        "pins": {role: {"ref": pin, "digest": digest(pin)} for role, pin in pins.items()},
        "gate": gate, "created_at": iso(at), "created_by": "local",
    }  # fmt: skip


RELEASES = [
    release("flight-delay@2", "predict", "canary", 0.1,
            {"verdict": "not_enough_evidence", "findings": [finding("delta_auc", 0.0, 0.0021, 0.0031, 27574, "not_enough_evidence")]},
            -300, model="model/flight-delay@2"),
    release("flight-delay@1", "predict", "live", None,
            {"verdict": "pass", "findings": [finding("auc", 0.6, 0.6912, 0.0052, 29425, "pass"), finding("delta_brier", 0.0, 0.018, 0.001, 29425, "pass")]},
            -1800, model="model/flight-delay@1"),
    release("handbook@2", "chat", "live", None, None, -900, index="index/handbook@2", prompt="prompt/handbook@1",
            generator="generator/smollm2-135m-instruct@1"),
]  # fmt: skip


def endpoint(name: str, kind: str, **states: Any) -> dict[str, Any]:
    states = {"live": None, "canary": None, "canary_weight": None, "shadow": None, "previous": None} | states
    return {"name": name, "type": kind, "updated_at": iso(-300), **states}


ENDPOINTS = [
    endpoint("flight-delay", "predict", live="flight-delay@1", canary="flight-delay@2", canary_weight=0.1),
    endpoint("handbook", "chat", live="handbook@2", previous="handbook@1"),
]
EVENTS = [
    {"at": iso(-300), "action": "release", "stage": "canary", "release": "flight-delay@2", "weight": 0.1, "by": "local", "reason": "adds August"},
    {"at": iso(-1800), "action": "release", "stage": "live", "release": "flight-delay@1", "weight": None, "by": "local", "reason": "first model"},
]


def trace(n: int) -> dict[str, Any]:
    chat = n % 4 == 1
    ref = "handbook@2" if chat else "flight-delay@2" if n % 11 == 0 else "flight-delay@1"
    ms = (900 + 400 * math.sin(n)) if chat else 4 + 3 * abs(math.sin(n * 1.7)) + (30 if n % 29 == 0 else 0)
    summary: dict[str, Any] = {"prompt_tokens": 611, "completion_tokens": 58, "declined": False, "citations": 2} if chat else {"rows": 1}
    return {
        "trace_id": hashlib.md5(str(n).encode()).hexdigest(), "name": "chat" if chat else "predict", "endpoint": ref.split("@")[0],
        "release": ref, "status": "error" if n % 37 == 3 else "ok", "started_at": iso(-n * 7 - 3), "start_ns": START_NS - (n * 7 + 3) * 10**9, "duration_ms": ms,
        "principal": "local", "source": "gateway", "span_count": 7 if chat else 4, "summary": summary,
    }  # fmt: skip


TRACES = [trace(n) for n in range(130)]


def spans(t: dict[str, Any]) -> list[dict[str, Any]]:
    total = int(t["duration_ms"] * 1e6)
    made: list[dict[str, Any]] = []

    def span(name: str, parent: int | None, start: float, end: float, **attributes: Any) -> int:
        made.append({
            "span_id": f"{len(made) + 1:016x}", "parent_id": None if parent is None else f"{parent + 1:016x}", "name": name,
            "kind": "internal", "start_ns": START_NS + int(total * start), "end_ns": START_NS + int(total * end),
            "status": t["status"] if parent is None else "ok", "message": "", "attributes": attributes, "events": [],
        })  # fmt: skip
        return len(made) - 1

    root = span(f"{t['name']} {t['endpoint']}", None, 0, 1, **{"twinloop.release": t["release"], "twinloop.endpoint": t["endpoint"]})
    span("resolve endpoint", root, 0, 0.01)
    if t["name"] == "chat":
        found = span("retrieve", root, 0.01, 0.08, k=4)
        span("embed query", found, 0.012, 0.05, **{"gen_ai.request.model": "all-minilm-l6-v2"})
        span("search index", found, 0.05, 0.078, hits=4, best_score=0.71)
        span("generate", root, 0.08, 0.97, **{"gen_ai.request.model": "smollm2-135m-instruct", "gen_ai.usage.output_tokens": 58})
        span("check citations", root, 0.97, 0.99, kept=2, dropped=1)
    else:
        span("read features", root, 0.02, 0.4, views=["route_delays", "weather_at_departure", "plane_age"])
        span("score rows", root, 0.42, 0.97, rows=1)
    return made


def node(key: str, kind: str, name: str, version: str, detail: Any = None) -> dict[str, Any]:
    return {"key": key, "kind": kind, "name": name, "version": version, "digest": key if ":" in key else None, "detail": detail}


def revision_node(ref: str) -> dict[str, Any]:
    r = BY_REF[ref]
    return node(r["digest"], r["kind"], r["name"], str(r["number"]))


def why(asked: str) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    edges: list[dict[str, str]] = []

    def follow(ref: str) -> str:
        here = revision_node(ref)
        if here["key"] not in nodes:
            nodes[here["key"]] = here
            for parent in BY_REF[ref]["parents"]:
                edges.append({"child": here["key"], "parent": follow(parent["_ref"]), "role": parent["role"]})
        return str(here["key"])

    found = next((t for t in TRACES if t["trace_id"] == asked), None)
    if found is None:
        return {"root": follow(asked), "nodes": list(nodes.values()), "edges": edges}
    root = f"trace:{asked}"
    nodes[root] = node(root, "trace", found["name"] + " " + found["endpoint"], asked)
    edges.append({"child": root, "parent": follow("release/" + found["release"]), "role": "answered_by"})
    parts = [("chunk", "flow.md#A request's way", DOCUMENTS[-1], "cited"), ("chunk", "page-3.md#Rollback", DOCUMENTS[3], "retrieved")]
    if found["name"] != "chat":
        parts = [("feature_values", f"{v} JFK-LAX", f"feature_view/{v}@1", "read") for v in ("route_delays", "plane_age")]
    for kind, name, parent, role in parts:
        key = digest(name)
        nodes[key] = node(key, kind, name, "", {"start": 120, "end": 811} if kind == "chunk" else {"delay_rate_7d": 0.23, "flights_7d": 48})
        edges.append({"child": root, "parent": key, "role": role})
        edges.append({"child": key, "parent": follow(parent), "role": "part_of"})
    return {"root": root, "nodes": list(nodes.values()), "edges": edges}


def impact(asked: str) -> dict[str, Any]:
    start = revision_node(asked)
    nodes, edges, open_refs = {start["key"]: start}, [], [asked]
    while open_refs:
        ref = open_refs.pop()
        for child in REVISIONS:
            for parent in child["parents"]:
                if parent["_ref"] != ref:
                    continue
                edges.append({"child": child["digest"], "parent": digest(ref), "role": parent["role"]})
                if child["digest"] not in nodes:
                    nodes[child["digest"]] = revision_node(child["ref"])
                    open_refs.append(child["ref"])
    counts = {"revisions": len(nodes) - 1, "releases": sum(n["kind"] == "release" for n in nodes.values()), "traces": 0}
    return {"root": start["key"], "nodes": list(nodes.values()), "edges": edges, "counts": counts, "truncated": False}


class NotHere(Exception):
    """No such thing among the fixtures."""


def answer(path: str, query: dict[str, str], empty: bool) -> Any:
    head, _, rest = path.partition("/")
    if head == "status":
        return {"version": "0.1.0", "home": "fixture", "started_at": iso(-7200), "tenant": "default", "principal": "local", "endpoints": 2,
                "counts": {}, "engines": []}  # fmt: skip
    if path == "endpoints":
        return {"endpoints": [] if empty else ENDPOINTS}
    if path == "revisions":
        return {"revisions": [] if empty else [r for r in REVISIONS if query.get("kind", r["kind"]) == r["kind"]][:50]}
    if path == "traces":
        kept = [t for t in TRACES if not empty and all(t[k] == query[k] for k in ("endpoint", "release", "status") if k in query)]
        kept = [t for t in kept if t["start_ns"] < int(query.get("before", 2**63))]
        return {"traces": kept[: int(query.get("limit", "50"))]}
    if empty:
        raise NotHere
    try:
        return detail(head, rest, query)
    except (KeyError, StopIteration):
        raise NotHere from None


def detail(head: str, rest: str, query: dict[str, str]) -> Any:
    if head == "endpoints":
        name, _, part = rest.partition("/")
        if part == "releases":
            return {"releases": [r for r in RELEASES if r["endpoint"] == name]}
        if part == "history":
            return {"events": [e for e in EVENTS if str(e["release"]).startswith(name)]}
        return next(e for e in ENDPOINTS if e["name"] == name)
    if head == "traces":
        found = next(t for t in TRACES if t["trace_id"] == rest)
        return found | {"spans": spans(found)}
    if head == "revisions":
        return BY_REF[rest]
    return why(query["node"]) if head == "why" else impact(query["node"])


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path.startswith("/api/v1/"):
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            try:
                self.reply(200, "application/json", json.dumps(answer(unquote(url.path[8:]), query, self.server.empty)).encode())
            except NotHere:
                message = f"There is no {unquote(url.path[8:])}. See what there is with `twinloop status`."
                self.reply(404, "application/json", json.dumps({"error": {"code": "not_found", "message": message, "trace": None}}).encode())
            return
        file = STATIC / url.path.lstrip("/")
        if not file.is_file():
            file = STATIC / "index.html"
        self.reply(200, TYPES.get(file.suffix, "application/octet-stream"), file.read_bytes())

    def reply(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("content-security-policy", CSP)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


class FixtureServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int = 0, empty: bool = False) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.empty = empty

    def start(self) -> str:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server_port}"


if __name__ == "__main__":
    FixtureServer(int(sys.argv[1]), "--empty" in sys.argv).serve_forever()
