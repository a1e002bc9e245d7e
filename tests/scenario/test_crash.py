"""``kill -9`` in the middle of a write load: what was acknowledged is there afterwards, and nothing is half done."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import twinloop
from tests.serving import ServerProcess
from twinloop import Client
from twinloop.core.digests import digest_bytes
from twinloop.core.ids import new_span_id, new_trace_id

LOAD_S = 2.0
ROUNDS = 3


class Acknowledged:
    """What the server said it had kept, as the writers saw it."""

    def __init__(self) -> None:
        self.runs: dict[str, str] = {}
        self.metrics: list[tuple[str, int]] = []
        self.revisions: dict[str, str] = {}
        self.spans: list[str] = []
        self.releases: list[str] = []
        self.blobs: list[str] = []
        self.unexpected: list[str] = []


def model(probability: float) -> dict[str, Any]:
    facts = {"format": "constant", "task": "binary", "label": "late", "inputs": [{"name": "distance"}]}
    return {**facts, "files": {}, "params": {"value": probability}}


def write_runs(client: Client, kept: Acknowledged, n: int) -> None:
    run = client.runs.start(name=f"run-{n}")
    kept.runs[run.id] = f"run-{n}"
    for step in range(5):
        run.log(metrics={"loss": float(step)}, step=step)
        kept.metrics.append((run.id, step))


def write_revisions(client: Client, kept: Acknowledged, n: int) -> None:
    made = client.revisions.register("model", f"load/{n % 7}", model(n / 1e6 + time.time_ns() % 1000 / 1e12))
    kept.revisions[made["ref"]] = made["digest"]


def write_spans(client: Client, kept: Acknowledged, n: int) -> None:
    trace_id, span_id = new_trace_id(), new_span_id()
    span = {"traceId": trace_id, "spanId": span_id, "name": "op", "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
    client.call("POST", "/v1/traces", {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})
    kept.spans.append(trace_id)


def write_blobs(client: Client, kept: Acknowledged, n: int) -> None:
    kept.blobs.append(client.blobs.upload(f"{n} ".encode() * 300_000)["digest"])


def write_releases(client: Client, kept: Acknowledged, n: int) -> None:
    made = client.revisions.register("model", "flip", model(0.1 + 0.1 * (n % 5)))
    release = client.endpoints.release("flip", "predict", {"model": made["ref"]})
    kept.releases.append(release["ref"])


WRITERS: tuple[Callable[[Client, Acknowledged, int], None], ...] = (
    write_runs,
    write_revisions,
    write_spans,
    write_blobs,
    write_releases,
)


def load(url: str, kept: Acknowledged, stop: threading.Event) -> list[threading.Thread]:
    """Two threads a kind of write, each until the server is gone."""

    def forever(write: Callable[[Client, Acknowledged, int], None], offset: int) -> None:
        n = offset
        with twinloop.connect(url=url) as client:
            while not stop.is_set():
                try:
                    write(client, kept, n)
                except twinloop.TwinloopError as error:
                    if error.code != "unavailable":
                        kept.unexpected.append(f"{write.__name__}: {error}")
                    return
                n += 2

    threads = [threading.Thread(target=forever, args=(write, i)) for write in WRITERS for i in range(2)]
    for thread in threads:
        thread.start()
    return threads


def check_kept(client: Client, kept: Acknowledged) -> None:
    for run_id, name in kept.runs.items():
        assert client.runs.get(run_id)["name"] == name
    steps: dict[str, set[int]] = {}
    for run_id, step in kept.metrics:
        steps.setdefault(run_id, set()).add(step)
    for run_id, wanted in steps.items():
        found = [point["step"] for point in client.runs.history(run_id, "loss")]
        assert len(found) == len(set(found)), "a point was written twice"
        assert wanted <= set(found)
    for ref, digest in kept.revisions.items():
        assert client.revisions.get(ref)["digest"] == digest
    for digest in kept.blobs:
        assert digest_bytes(client.blobs.read(digest)) == digest
    for trace_id in kept.spans:
        assert client.traces.get(trace_id)["span_count"] == 1


def check_release_whole(client: Client, kept: Acknowledged) -> None:
    """What is live is what the last event says, can answer, and is the last one acknowledged or one after it."""
    endpoint = client.endpoints.get("flip")
    history = client.endpoints.history("flip")
    assert history[0]["traffic"]["live"] == endpoint["live"]
    assert kept.releases[-1] in {event["release"] for event in history}
    answer = client.endpoints.predict("flip", [{"distance": 1.0}])
    assert answer["release"] == endpoint["live"]
    live = next(release for release in client.endpoints.releases("flip") if release["state"] == "live")
    value = client.revisions.get(live["pins"]["model"]["ref"])["manifest"]["params"]["value"]
    assert answer["outputs"][0]["probability"] == value


def test_every_acknowledged_write_survives_kill_9_and_no_release_is_half_live(tmp_path: Path) -> None:
    home, kept = tmp_path / "home", Acknowledged()
    for _ in range(ROUNDS):
        server = ServerProcess(home)
        stop = threading.Event()
        threads = load(server.url, kept, stop)
        time.sleep(LOAD_S)
        server.kill()
        stop.set()
        for thread in threads:
            thread.join(timeout=30)
    assert kept.unexpected == []
    assert min(len(kept.runs), len(kept.metrics), len(kept.revisions), len(kept.spans), len(kept.releases)) > 10
    assert len(kept.blobs) > 3
    with ServerProcess(home) as server, twinloop.connect(url=server.url) as client:
        check_kept(client, kept)
        check_release_whole(client, kept)
    with sqlite3.connect(home / "twinloop.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert list((home / "blobs" / "incoming").iterdir()) == []
