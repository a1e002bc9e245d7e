"""What ``run.log`` costs the program that trains, with a server that answers, with none, and with one that was away.

Beside it stands ``mlflow.log_metric`` of MLflow's client against the same server, which waits for each answer. One metric a
call, one thread. Then how fast the server takes what was spooled, in records of one metric each.

    python -m benchmarks.spooling [--calls 20000]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.processes import process

RATIO = 20.0
"""``log`` must take this many times less than MLflow's ``log_metric``, whether a server answers or not."""
_NOBODY = "http://127.0.0.1:9"

_LOGGING = """
import json, sys, time
import twinloop as tl
calls = int(sys.argv[1])
run = tl.run("spooling", capture=False, system_metrics=False)
taken = []
for step in range(calls):
    began = time.perf_counter_ns()
    run.log(loss=0.5, step=step)
    taken.append(time.perf_counter_ns() - began)
began = time.perf_counter()
arrived = run.flush(float(sys.argv[2]))
print(json.dumps({"taken": taken, "flushed_s": time.perf_counter() - began, "arrived": arrived, "run": run.id}))
"""
_MLFLOW = """
import json, sys, time
import mlflow
calls = int(sys.argv[1])
mlflow.set_tracking_uri(sys.argv[2])
taken = []
with mlflow.start_run() as run:
    mlflow.log_metric("warm", 0.0)
    for step in range(calls):
        began = time.perf_counter_ns()
        mlflow.log_metric("loss", 0.5, step=step)
        taken.append(time.perf_counter_ns() - began)
print(json.dumps({"taken": taken}))
"""


class Calls(NamedTuple):
    """Microseconds a call took: the median, the mean, and the longest of a thousand."""

    median: float
    mean: float
    worst: float

    @classmethod
    def of(cls, taken_ns: list[int]) -> Calls:
        taken = sorted(taken_ns)
        return cls(
            statistics.median(taken) / 1e3, statistics.fmean(taken) / 1e3, taken[-max(1, len(taken) // 1000)] / 1e3
        )


def in_child(program: str, *words: str, **environ: str) -> dict[str, Any]:
    """Run a program in a process of its own; the last line it prints is JSON."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("TWINLOOP_", "MLFLOW_"))}
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        env=own | environ,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode != 0:
        raise SystemExit(f"a measured program failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def send_spools(spool: Path, url: str) -> float:
    """Seconds that ``twinloop spool send`` takes, without the start of its process."""
    program = (
        "import json, time; from twinloop.cli.arguments import parse; from twinloop.cli import spool\n"
        "import twinloop.sdk.spooling.draining, twinloop.sdk.client, urllib3\n"
        f"words = parse(['spool', 'send', '--url', {url!r}])\n"
        "began = time.perf_counter(); spool.run_send(words); print(json.dumps({'s': time.perf_counter() - began}))"
    )
    return float(in_child(program, TWINLOOP_SPOOL=str(spool))["s"])


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 0 when both ratios hold, else 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    calls = parser.parse_args(arguments).calls
    with tempfile.TemporaryDirectory(prefix="twinloop-bench-") as folder:
        spool, home = Path(folder) / "spool", Path(folder) / "home"
        with process("twinloop", "up", "--home", str(home), "--port", "0") as server:
            time.sleep(1.0)
            settings = {"TWINLOOP_SPOOL": str(spool), "TWINLOOP_EXIT_WAIT_S": "0"}
            up = in_child(_LOGGING, str(calls), "120", TWINLOOP_URL=server.url, **settings)
            down = in_child(_LOGGING, str(calls), "0", TWINLOOP_URL=_NOBODY, **settings)
            sending = send_spools(spool, server.url)
            peer = in_child(_MLFLOW, str(max(200, calls // 50)), server.url)
    table = {
        "run.log, the server answers": Calls.of(up["taken"]),
        "run.log, there is no server": Calls.of(down["taken"]),
        "mlflow.log_metric, same server": Calls.of(peer["taken"]),
    }
    print(f"spooling: {calls} calls of one metric, microseconds a call")
    print(f"{'':<34}{'median':>10}{'mean':>10}{'999 of 1000':>14}")
    for name, row in table.items():
        print(f"{name:<34}{row.median:>10.1f}{row.mean:>10.1f}{row.worst:>14.1f}")
    live, away, mlflow = table.values()
    ratios = mlflow.mean / live.mean, mlflow.mean / away.mean
    print(f"{'log_metric / log, up and away':<34}{ratios[0]:>10.0f}{ratios[1]:>10.0f}   at least {RATIO:.0f}")
    print(f"behind after the last call: {up['flushed_s']:.2f} s; arrived: {up['arrived']}")
    print(f"spool sent afterwards: {calls / sending:,.0f} records/s")
    return 0 if min(ratios) >= RATIO and up["arrived"] else 1


if __name__ == "__main__":
    sys.exit(main())
