"""Fifty writers on one experiment and twenty times ``kill -9``: every acknowledged write is there exactly once."""

from __future__ import annotations

import http.client
import json
import random
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest

from tests.serving import ServerProcess

WRITERS = 50
ROUNDS = 20
SHORTEST_S, LONGEST_S = 0.2, 1.2
API = "/api/2.0/mlflow"


class Server:
    """One keep-alive connection to MLflow's interface."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"content-type": "application/json"}
        return self._ask("POST", f"{API}/{path}", json.dumps(body).encode(), headers)

    def get(self, path: str, **query: Any) -> Any:
        return self._ask("GET", f"{API}/{path}?{urlencode(query)}", None, {})

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Any:
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise AssertionError(f"{answer.status} {data[:300]!r}")
        return json.loads(data)

    def close(self) -> None:
        self._connection.close()


class Kept(NamedTuple):
    """What the server said it had kept of one run: numbers of batches, and steps of single points."""

    name: str
    batches: set[int]
    points: set[int]


class Writer(threading.Thread):
    """Starts a run and writes to it until the server is gone; what was acknowledged goes into ``kept`` by run."""

    def __init__(self, url: str, experiment: str, name: str, kept: dict[str, Kept]) -> None:
        super().__init__()
        self._url, self._experiment, self._name, self._kept = url, experiment, name, kept
        self.wrong: str | None = None

    def run(self) -> None:
        try:
            server = Server(self._url)
            try:
                self._write(server)
            finally:
                server.close()
        except (OSError, http.client.HTTPException):
            return  # killed
        except (AssertionError, ValueError, KeyError) as error:  # an answer that is none
            self.wrong = repr(error)

    def _write(self, server: Server) -> None:
        tags = [{"key": "writer", "value": self._name}]
        asked = {"experiment_id": self._experiment, "run_name": self._name, "tags": tags}
        run = server.post("runs/create", asked)["run"]["info"]["run_id"]
        mine = self._kept[run] = Kept(self._name, set(), set())
        number = 0
        while True:
            server.post("runs/log-batch", {"run_id": run, **batch(number)})
            mine.batches.add(number)
            point = {"key": "single", "value": number, "timestamp": number, "step": number}
            server.post("runs/log-metric", {"run_id": run, **point})
            mine.points.add(number)
            number += 1


def batch(number: int) -> dict[str, Any]:
    """Points of two metrics, a param and a tag, which are kept together or not at all."""
    return {
        "metrics": [{"key": key, "value": number, "timestamp": number, "step": number} for key in ("a", "b")],
        "params": [{"key": f"p{number}", "value": str(number)}],
        "tags": [{"key": f"t{number}", "value": str(number)}],
    }


def write_until_killed(home: Path, experiment: str, round: int, kept: dict[str, Kept], after_s: float) -> list[str]:
    """Returns what went wrong otherwise than by the server being gone."""
    server = ServerProcess(home)
    writers = [Writer(server.url, experiment, f"run {round}.{number}", kept) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    time.sleep(after_s)
    server.kill()
    for writer in writers:
        writer.join(timeout=60)
    assert not any(writer.is_alive() for writer in writers)
    return [writer.wrong for writer in writers if writer.wrong]


def everything(server: Server, experiment: str) -> dict[str, Any]:
    """All runs of the experiment by id, turned page by page."""
    found: dict[str, Any] = {}
    token = None
    while True:
        asked = {"experiment_ids": [experiment], "max_results": 300, **({"page_token": token} if token else {})}
        page = server.post("runs/search", asked)
        for run in page.get("runs", []):
            assert run["info"]["run_id"] not in found
            found[run["info"]["run_id"]] = run
        token = page.get("next_page_token")
        if not token:
            return found


def steps_of(server: Server, run: str, key: str) -> set[int]:
    points = server.get("metrics/get-history", run_id=run, metric_key=key).get("metrics", [])
    steps = [point["step"] for point in points]
    assert all(point["value"] == point["timestamp"] == point["step"] for point in points)
    assert len(steps) == len(set(steps)), "a point is there twice"
    return set(steps)


def check_run(server: Server, id: str, run: dict[str, Any], kept: Kept | None) -> None:
    """A run is whole, has all that was acknowledged, and at most the one write more that was under way."""
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    params = {param["key"]: param["value"] for param in run["data"].get("params", [])}
    assert tags["writer"] == tags["mlflow.runName"] == run["info"]["run_name"]
    batches = {int(key[1:]) for key in params}
    assert params == {f"p{number}": str(number) for number in batches}
    assert {key: value for key, value in tags.items() if key[0] == "t"} == {f"t{n}": str(n) for n in batches}
    assert steps_of(server, id, "a") == steps_of(server, id, "b") == batches
    points = steps_of(server, id, "single")
    if kept is None:
        assert not batches, "somebody wrote to a run that nobody was told of"
        return
    assert run["info"]["run_name"] == kept.name
    for there, acknowledged in ((batches, kept.batches), (points, kept.points)):
        assert acknowledged <= there <= acknowledged | {len(acknowledged)}


@pytest.mark.slow
def test_every_acknowledged_write_of_fifty_writers_is_there_once_after_twenty_kills(tmp_path: Path) -> None:
    home, kept = tmp_path / "home", dict[str, Kept]()
    with ServerProcess(home) as server:
        first = Server(server.url)
        experiment = first.post("experiments/create", {"name": "crashing"})["experiment_id"]
        first.close()
    chance = random.Random(50)
    for round in range(ROUNDS):
        assert write_until_killed(home, experiment, round, kept, chance.uniform(SHORTEST_S, LONGEST_S)) == []
    assert len(kept) > 5 * WRITERS
    assert sum(len(run.batches) + len(run.points) for run in kept.values()) > 1000
    with ServerProcess(home) as running:
        asked = Server(running.url)
        found = everything(asked, experiment)
        assert kept.keys() <= found.keys()
        names = [run["info"]["run_name"] for run in found.values()]
        assert len(names) == len(set(names)), "a run was started twice"
        for id, run in found.items():
            check_run(asked, id, run, kept.get(id))
        asked.close()
    with sqlite3.connect(home / "twinloop.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        nodes = database.execute("SELECT key FROM lineage_nodes WHERE kind = 'run'").fetchall()
        assert {key for (key,) in nodes} == {f"run:{id}" for id in found}
        orphans = "SELECT count(*) FROM metrics WHERE series NOT IN (SELECT series FROM latest_metrics)"
        assert database.execute(orphans).fetchone() == (0,)
