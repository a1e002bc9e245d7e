"""A point-in-time join of 1 M labels with 5 M events, against the bare DuckDB ASOF query over the same Parquet files.

``bare`` is ``SELECT ... ASOF LEFT JOIN`` written to Parquet: it leaves the order of labels, ties, late knowledge and
expiry to luck. ``join`` is the query Twinloop compiles, with the labels in their order, ties decided, and a ttl.
``verb`` is all of ``features.join``: the same, and the blob, its digest, and the revision with its lineage.
Rounds alternate in one process; the ratio is that of the medians of CPU seconds (all threads of the process).

    python -m benchmarks.point_in_time [--rounds 5] [--labels 1000000] [--events 5000000]
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from twinloop.backends.duckdb_analytics import DuckAnalytics
from twinloop.backends.local_fs import LocalBlobs
from twinloop.backends.memory import MemoryOnlineStore
from twinloop.backends.sqlite import open_store
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import LOCAL_ADMIN
from twinloop.ml.data.model import DatasetKind
from twinloop.ml.data.ports import Session
from twinloop.ml.data.service import Datasets
from twinloop.ml.features import compile
from twinloop.ml.features.compile import Bound
from twinloop.ml.features.kind import FeatureViewKind
from twinloop.ml.features.model import Column, FeatureView
from twinloop.ml.features.service import Features

TARGET = 1.5
VIEW = FeatureView(
    "readings",
    "events",
    ("entity:int64",),
    (Column("a"), Column("b"), Column("c", type="int64")),
    event_time="happened",
    ttl="30d",
)
_SPAN_S = 30_000_000
_BARE = """
    SELECT l.*, r.a, r.b, r.c FROM read_parquet('{labels}') l
    ASOF LEFT JOIN read_parquet('{events}') r ON l.entity = r.entity AND l.moment >= r.happened
"""


class Cost(NamedTuple):
    cpu: float
    wall: float


class Bench:
    """The two datasets in a store of their own, and the three ways to join them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = open_store(folder / "twinloop.db")
        registry = Registry(self._store, [DatasetKind(), FeatureViewKind()])
        self._analytics = DuckAnalytics(folder / "scratch")
        self._datasets = Datasets(registry, LocalBlobs(folder / "blobs"), self._analytics)
        self._features = Features(registry, self._datasets, self._analytics, MemoryOnlineStore(self._store))
        self._round = 0

    async def fill(self, labels: int, events: int) -> None:
        entities = max(1, events // 500)
        moment = f"make_timestamp(1356998400000000 + (random() * {_SPAN_S})::BIGINT * 1000000)"

        def rows(columns: str, count: int) -> Callable[[Session, Path], None]:
            query = f"SELECT (random() * {entities})::BIGINT AS entity, {moment} AS {columns} FROM range({count}) r(i)"
            return lambda session, path: session.write_parquet(query, path)

        event_columns = "happened, random() AS a, random() AS b, i AS c"
        for name, build in (("labels", rows("moment, i AS label", labels)), ("events", rows(event_columns, events))):
            await self._datasets.write(LOCAL_ADMIN, name, build, source={}, parents=[])
        await self._features.define(LOCAL_ADMIN, VIEW)

    async def _paths(self) -> dict[str, Path]:
        found = {}
        for name in ("labels", "events"):
            _, manifest = await self._datasets.newest(LOCAL_ADMIN, name)
            found[name] = (await self._datasets.parts(manifest))[0].path
        return found

    async def bare(self) -> None:
        paths = await self._paths()
        target = self._folder / "bare.parquet"
        await self._analytics.run(lambda session: session.write_parquet(_BARE.format(**paths), target))

    async def join(self) -> None:
        _, labels = await self._datasets.newest(LOCAL_ADMIN, "labels")
        _, events = await self._datasets.newest(LOCAL_ADMIN, "events")
        parts = await self._datasets.parts(labels)
        bound = Bound(VIEW, await self._datasets.parts(events), events)

        def work(session: Session) -> None:
            clock = compile.read_clock(session, bound)
            query = compile.join(parts, "moment", [bound], [clock])
            session.write_parquet(query, self._folder / "join.parquet")

        await self._analytics.run(work)

    async def verb(self) -> None:
        self._round += 1
        await self._features.join(LOCAL_ADMIN, f"joined-{self._round}", "labels", [VIEW.name], "moment")

    async def aclose(self) -> None:
        await self._store.aclose()


async def timed(work: Callable[[], Awaitable[None]]) -> Cost:
    before, began = _cpu(), time.perf_counter()
    await work()
    return Cost(_cpu() - before, time.perf_counter() - began)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measure(rounds: int, labels: int, events: int) -> dict[str, list[Cost]]:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        await bench.fill(labels, events)
        ways = {"bare": bench.bare, "join": bench.join, "verb": bench.verb}
        for work in ways.values():
            await work()
        costs: dict[str, list[Cost]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, work in ways.items():
                costs[name].append(await timed(work))
        await bench.aclose()
    return costs


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=5_000_000)
    given = parser.parse_args(arguments)
    costs = asyncio.run(measure(given.rounds, given.labels, given.events))
    cpu = {name: statistics.median(cost.cpu for cost in found) for name, found in costs.items()}
    wall = {name: statistics.median(cost.wall for cost in found) for name, found in costs.items()}
    print(f"{given.labels:,} labels x {given.events:,} events, median of {given.rounds} rounds")
    print(f"{'':6}{'CPU s':>8}{'wall s':>8}{'CPU ratio':>11}{'target':>9}")
    for name in costs:
        ratio = cpu[name] / cpu["bare"]
        target = f"<= {TARGET}" if name == "verb" else ""
        print(f"{name:6}{cpu[name]:8.2f}{wall[name]:8.2f}{ratio:11.2f}{target:>9}")
    return 0 if cpu["verb"] <= TARGET * cpu["bare"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
