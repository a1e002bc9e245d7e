"""Load for servers that speak MLflow's REST protocol: Twinloop and ``mlflow server`` are driven by the same functions.

Every function takes the server's URL and returns figures; none starts a server.
"""

from __future__ import annotations

import argparse
import math
import sqlite3
import sys
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from benchmarks.wire import MLFLOW, THREADS, Refused, Wire, decode, encode, experiment, median_seconds, rate

BATCH = 1000
POINTS = 100_000
PAGE = 25_000
"""The page that MLflow's own client asks for when it reads a history."""

_START_MS = 1_700_000_000_000


def _new_run(wire: Wire, experiment_id: str, start_ms: int) -> str:
    tags = [{"key": "mlflow.user", "value": "load"}, {"key": "mlflow.source.name", "value": "train.py"}]
    asked = {"experiment_id": experiment_id, "user_id": "load", "start_time": start_ms, "tags": tags}
    return str(wire.json(f"{MLFLOW}/runs/create", asked)["run"]["info"]["run_id"])


def _runs(base: str, count: int) -> list[str]:
    made = experiment(base)
    with Wire(base) as wire:
        return [_new_run(wire, made, _START_MS + number) for number in range(count)]


def runs_created(base: str, count: int = 2000) -> float:
    """``runs/create`` per second, each with the two tags that MLflow's client always sends."""
    made = experiment(base)
    return rate(base, count, lambda wire, number: _new_run(wire, made, _START_MS + number))


def metrics_logged(base: str, count: int = 4000) -> float:
    """``runs/log-metric`` per second; every thread logs one series of a run of its own."""
    runs, share = _runs(base, THREADS), math.ceil(count / THREADS)

    def call(wire: Wire, number: int) -> None:
        step = number % share
        point = {"key": "loss", "value": 1 / (step + 1), "timestamp": _START_MS + step, "step": step}
        wire.json(
            f"{MLFLOW}/runs/log-metric", {"run_id": runs[number // share], "run_uuid": runs[number // share], **point}
        )

    return rate(base, count, call)


def metrics_batched(base: str, batches: int = 64) -> float:
    """Points per second through ``runs/log-batch`` with 1,000 points of ten series each."""
    runs, share = _runs(base, THREADS), math.ceil(batches / THREADS)
    bodies = [
        encode({"run_id": runs[number // share], "metrics": _points(BATCH, number % share * BATCH)})
        for number in range(share * THREADS)
    ]
    return BATCH * rate(base, batches, lambda wire, number: wire.post(f"{MLFLOW}/runs/log-batch", bodies[number]))


def _points(count: int, first: int, series: int = 10) -> list[dict[str, Any]]:
    return [
        {
            "key": f"metric{number % series}",
            "value": math.sin(first + number),
            "timestamp": _START_MS + first + number,
            "step": (first + number) // series,
        }
        for number in range(count)
    ]


class Filled(NamedTuple):
    """An experiment full of runs; the metric ``accuracy`` of run n is ``value(n)``."""

    experiment_id: str
    runs: int


def value(number: int) -> float:
    """A metric in [0, 1) that looks random and is the same on every server."""
    return (number * 2_654_435_761 % 2**32) / 2**32


def fill(base: str, count: int) -> Filled:
    """Make ``count`` runs with two metrics, two params and a tag each over HTTP."""
    made = experiment(base)

    def call(wire: Wire, number: int) -> None:
        run = _new_run(wire, made, _START_MS + number)
        found = {"accuracy": value(number), "loss": 1 - value(number)}
        metrics = [{"key": k, "value": v, "timestamp": _START_MS + number, "step": 0} for k, v in found.items()]
        params = [{"key": "depth", "value": str(number % 10)}, {"key": "rate", "value": "0.1"}]
        asked = {"run_id": run, "metrics": metrics, "params": params, "tags": [{"key": "team", "value": "load"}]}
        wire.json(f"{MLFLOW}/runs/log-batch", asked)

    rate(base, count, call)
    return Filled(made, count)


def fill_mlflow(base: str, database: Path, count: int) -> Filled:
    """The same runs, written straight into the SQLite file of an ``mlflow server`` (over HTTP it takes minutes)."""
    made = experiment(base)
    rows = [(uuid.uuid4().hex, number) for number in range(count)]
    run = "run_uuid, name, user_id, status, start_time, lifecycle_stage, artifact_uri, experiment_id, source_type"
    point = "run_uuid, key, value, timestamp, step, is_nan"
    with ExitStack() as stack:
        database_file = sqlite3.connect(database, timeout=60)
        stack.callback(database_file.close)
        put = database_file.executemany
        put(
            f"INSERT INTO runs ({run}) VALUES (?, 'r', 'load', 'RUNNING', ?, 'active', ?, {int(made)}, 'UNKNOWN')",
            ((id, _START_MS + number, f"mlflow-artifacts:/{made}/{id}/artifacts") for id, number in rows),
        )
        for table in ("metrics", "latest_metrics"):
            for key in ("accuracy", "loss"):
                put(
                    f"INSERT INTO {table} ({point}) VALUES (?, '{key}', ?, ?, 0, 0)",
                    ((i, value(n) if key == "accuracy" else 1 - value(n), _START_MS + n) for i, n in rows),
                )
        for table, key in (("params", "depth"), ("params", "rate"), ("tags", "team"), ("tags", "mlflow.runName")):
            put(
                f"INSERT INTO {table} (run_uuid, key, value) VALUES (?, '{key}', ?)",
                ((i, str(n % 10)) for i, n in rows),
            )
        for key in ("mlflow.user", "mlflow.source.name"):
            put("INSERT INTO tags (run_uuid, key, value) VALUES (?, ?, 'load')", ((id, key) for id, _ in rows))
        database_file.commit()
    return Filled(made, count)


def search_seconds(
    base: str, filled: Filled, clause: str = "metrics.accuracy > 0.5", order: tuple[str, ...] = (), times: int = 7
) -> float:
    """The median time of a search for the newest 100 runs that fit ``clause``, in seconds."""
    asked = encode(
        {"experiment_ids": [filled.experiment_id], "filter": clause, "max_results": 100, "order_by": list(order)}
    )
    with Wire(base) as wire:
        found = decode(wire.post(f"{MLFLOW}/runs/search", asked))
        expected = min(100, sum(value(number) > 0.5 for number in range(filled.runs)))
        if clause == "metrics.accuracy > 0.5" and len(found["runs"]) != expected:
            raise Refused("the search did not find what fits")
        return median_seconds(lambda: wire.post(f"{MLFLOW}/runs/search", asked), times)


def fill_history(base: str, points: int = POINTS) -> str:
    """The id of a run with a series ``loss`` of ``points`` points."""
    [run] = _runs(base, 1)
    with Wire(base) as wire:
        for first in range(0, points, BATCH):
            found = _points(BATCH, first, series=1)
            wire.json(
                f"{MLFLOW}/runs/log-batch", {"run_id": run, "metrics": [{**point, "key": "loss"} for point in found]}
            )
    return run


def history_seconds(base: str, run: str, points: int = POINTS, page: int = PAGE) -> float:
    """The time to read all points of ``loss``, page by page as MLflow's client does, in seconds."""
    with Wire(base) as wire:
        began = time.perf_counter()
        token, seen = "", 0
        while True:
            after = f"&page_token={quote(token)}" if token else ""
            data = wire.get(f"{MLFLOW}/metrics/get-history?run_id={run}&metric_key=loss&max_results={page}{after}")
            seen += data.count(b'"timestamp"')
            found = data.rfind(b'"next_page_token"')
            if found < 0:
                break
            token = data[found:].split(b'"')[3].decode()
        taken = time.perf_counter() - began
    if seen != points:
        raise Refused(f"the history has {seen} points, not {points}")
    return taken


class Figures(msgspec.Struct):
    """What one server did; rates a second, times in seconds.

    ``search`` is the newest 100 of 5,000 and of 50,000 runs with a filter that half of them fit, ``rare`` with one that
    a thousandth fits, ``best`` the first 100 by a metric; ``best`` is NaN for MLflow, which takes minutes for it.
    """

    runs_created: float
    metrics_logged: float
    metrics_batched: float
    search_5k: float
    search_50k: float
    rare_5k: float
    rare_50k: float
    best_5k: float
    best_50k: float
    history: float


def measure(
    base: str, database: Path | None = None, sizes: tuple[int, int] = (5000, 50_000), scale: float = 1
) -> Figures:
    """All rows against one server. With ``database``, the file of an ``mlflow server``, runs are filled in behind it."""

    def filled(count: int) -> Filled:
        return fill(base, count) if database is None else fill_mlflow(base, database, count)

    run = fill_history(base)
    few, many = (filled(size) for size in sizes)
    rare, best = "metrics.accuracy > 0.999", ("metrics.accuracy DESC",)
    return Figures(
        runs_created=runs_created(base, round(2000 * scale)),
        metrics_logged=metrics_logged(base, round(4000 * scale)),
        metrics_batched=metrics_batched(base, round(64 * scale)),
        search_5k=search_seconds(base, few),
        search_50k=search_seconds(base, many),
        rare_5k=search_seconds(base, few, rare),
        rare_50k=search_seconds(base, many, rare),
        best_5k=math.nan if database else search_seconds(base, few, "", best),
        best_50k=math.nan if database else search_seconds(base, many, "", best),
        history=history_seconds(base, run),
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--mlflow-database", type=Path, default=None, help="SQLite file of an mlflow server at the URL")
    parser.add_argument("--scale", type=float, default=1.0, help="how many calls, as a multiple of the usual")
    given = parser.parse_args(arguments)
    figures = measure(given.url, given.mlflow_database, scale=given.scale)
    for name, figure in msgspec.structs.asdict(figures).items():
        print(f"{name:<16} {figure:>12,.4f}" if figure < 10 else f"{name:<16} {figure:>12,.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
