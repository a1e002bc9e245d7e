"""Tracking, side by side with ``mlflow server`` over SQLite: the same client, the same machine, one run.

MLflow is measured with one worker and with its default of four, and each row keeps the better of the two. Rounds are
interleaved: every row is driven at each server in turn before the next round begins. The client is a bare socket, so what
is compared is the servers. Needs the real MLflow: ``make peer``.

    python -m benchmarks.tracking [--rounds 3] [--scale 1.0] [--gib 2]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks import artifact_transfer, trace_load, tracking_load
from benchmarks.processes import Process, memory_mib, process
from benchmarks.start import start_server
from tests import peer

SIZES = (5_000, 50_000)
GROWTH_LIMIT = 2.0
READY_LIMIT_S = 1.0
IDLE_LIMIT_MIB = 150.0
PATIENCE_S = 60.0


class Server(NamedTuple):
    """A server under test. ``database`` is the file of an ``mlflow server``, so that runs can be filled in behind it."""

    name: str
    url: str
    database: Path | None = None


class Filled(NamedTuple):
    """What a server was given before it is measured."""

    few: tracking_load.Filled
    many: tracking_load.Filled
    history: str
    traces: str


class Row(NamedTuple):
    """One figure and how many times MLflow's it must be; rates are better when higher, times when lower."""

    name: str
    reach: float
    rate: bool
    measure: Callable[[Server, Filled, int, float], float]


def _rate(call: Callable[[str, int], float], count: int) -> Callable[[Server, Filled, int, float], float]:
    return lambda server, filled, number, scale: call(server.url, max(8, round(count * scale)))


ROWS = (
    Row("runs created/s, 8 threads", 10, True, _rate(tracking_load.runs_created, 1600)),
    Row("log_metric/s, 8 threads", 10, True, _rate(tracking_load.metrics_logged, 2400)),
    Row("metrics/s, batches of 1,000", 10, True, _rate(tracking_load.metrics_batched, 64)),
    Row("search newest 100 of 50 k, s", 10, False, lambda s, f, n, _: tracking_load.search_seconds(s.url, f.many)),
    Row("history of 100 k points, s", 10, False, lambda s, f, n, _: tracking_load.history_seconds(s.url, f.history)),
    Row(
        "search 10 k traces by span, s", 50, False,
        lambda s, f, n, _: trace_load.search_seconds(s.url, f.traces, 100, trace_load.COMMON),
    ),
    Row(
        "traces/s, one a request", 10, True,
        lambda s, f, n, scale: trace_load.one_a_request(s.url, max(8, round(1200 * scale)), seed=100 + n),
    ),
    Row(
        "traces/s, 50 a request", 10, True,
        lambda s, f, n, scale: trace_load.fifty_a_request(s.url, max(8, round(60 * scale)), seed=200 + n),
    ),
)  # fmt: skip


def _fill(server: Server) -> Filled:
    """Give a server the runs, the series and the traces that are searched later."""
    _tell(f"filling {server.name}")

    def runs(count: int) -> tracking_load.Filled:
        if server.database is None:
            return tracking_load.fill(server.url, count)
        return tracking_load.fill_mlflow(server.url, server.database, count)

    few, many = (runs(count) for count in SIZES)
    return Filled(few, many, tracking_load.fill_history(server.url), trace_load.fill(server.url))


def main(arguments: list[str]) -> int:
    """Print the table; 0 when every row reaches its target, else 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="how many calls, as a multiple of the usual")
    parser.add_argument("--gib", type=float, default=2.0, help="size of the artifact that is sent up and down")
    given = parser.parse_args(arguments)
    if not peer.HERE:
        print(f"tracking: not measured, because {peer.WHY_NOT}")
        return 0
    with tempfile.TemporaryDirectory(prefix="twinloop-bench-") as name:
        folder = Path(name)
        (folder / "fetched").mkdir()
        missed = _starting(folder)
        with ExitStack() as stack:
            ours = stack.enter_context(process("twinloop", "up", "--home", str(folder / "home"), "--port", "0"))
            theirs = [
                (
                    f"mlflow, {count} worker{'s' * (count > 1)}",
                    stack.enter_context(peer.MlflowServer(folder / f"{count}", count)),
                )
                for count in (1, 4)
            ]
            servers = [Server("twinloop", ours.url), *(Server(n, s.url, s.database) for n, s in theirs)]
            filled = [_fill(server) for server in servers]
            missed |= _compare(servers, filled, given.rounds, given.scale)
            missed |= _transfer(ours, folder, round(given.gib * 2**30))
            _rare(servers[:2], filled)
    return missed


def _starting(folder: Path) -> int:
    ours = [start_server(folder / "started") for _ in range(4)][1:]
    ready, idle = (statistics.median(column) for column in zip(*ours, strict=True))
    rows = []
    for count in (1, 4):
        with peer.MlflowServer(folder / f"start{count}", count) as server:
            rows.append((server.ready_s, memory_mib(server.process.pid)))
    real_ready, real_idle = (min(column) for column in zip(*rows, strict=True))
    print(f"{'':<34}{'twinloop':>12}{'mlflow':>12}{'limit':>10}")
    print(f"{'start to ready, s':<34}{ready:>12.2f}{real_ready:>12.2f}{READY_LIMIT_S:>10.1f}")
    print(f"{'idle memory, MiB':<34}{idle:>12.0f}{real_idle:>12.0f}{IDLE_LIMIT_MIB:>10.0f}", flush=True)
    return int(ready > READY_LIMIT_S or idle > IDLE_LIMIT_MIB)


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _compare(servers: list[Server], filled: list[Filled], rounds: int, scale: float) -> int:
    found: dict[str, list[list[float]]] = {row.name: [[] for _ in servers] for row in ROWS}
    growth: list[float] = []
    for number in range(rounds):
        for row in ROWS:
            for position, (server, given) in enumerate(zip(servers, filled, strict=True)):
                value = row.measure(server, given, number, scale)
                found[row.name][position].append(value)
                _tell(f"round {number + 1}: {row.name}, {server.name}: {value:.4g}")
        few = tracking_load.search_seconds(servers[0].url, filled[0].few)
        growth.append(tracking_load.search_seconds(servers[0].url, filled[0].many) / few)
    print(f"{'':<34}" + "".join(f"{server.name:>18}" for server in servers) + f"{'ratio':>9}{'reach':>8}")
    missed = 0
    for row in ROWS:
        figures = [statistics.median(values) for values in found[row.name]]
        best = max(figures[1:]) if row.rate else min(figures[1:])
        ratio = figures[0] / best if row.rate else best / figures[0]
        missed |= ratio < row.reach
        shown = "".join(f"{figure:>18,.0f}" if row.rate else f"{figure:>18.4f}" for figure in figures)
        print(f"{row.name:<34}{shown}{ratio:>8.1f}×{row.reach:>7.0f}×")
    grown = statistics.median(growth)
    print(f"{'search, 50 k against 5 k runs':<34}{grown:>17.2f}×{'':>36}{'':>9}{GROWTH_LIMIT:>7.0f}×", flush=True)
    return int(missed or grown > GROWTH_LIMIT)


def _rare(servers: list[Server], filled: list[Filled]) -> None:
    """A name that one trace in a hundred has: MLflow looks through all spans for each trace, so it is asked last."""
    for server, given in zip(servers, filled, strict=False):
        try:
            found = f"{trace_load.search_seconds(server.url, given.traces, 100, patience_s=PATIENCE_S):.4f}"
        except TimeoutError:
            found = f"no answer in {PATIENCE_S:.0f}"
        print(f"{'search by a rare span, s':<34}{server.name:>18}{found:>18}", flush=True)


def _transfer(server: Process, folder: Path, size: int) -> int:
    file = artifact_transfer.make_file(folder, size)
    found = artifact_transfer.measure(server.url, server.pid, file, folder / "fetched", "mlflow", str(peer.PYTHON))
    artifact_transfer.report("artifact", found)
    return int(max(found.up.memory_mib, found.down.memory_mib) >= artifact_transfer.TARGET_MIB)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
