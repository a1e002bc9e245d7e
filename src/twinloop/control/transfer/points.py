"""Metrics as they are carried: one row a point, with its run and key instead of the number of its series."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, String, func, select, tuple_

from twinloop.control.tracking import points
from twinloop.control.tracking.model import Metric
from twinloop.control.tracking.names import check_key
from twinloop.control.tracking.tables import latest_metrics, metrics
from twinloop.control.transfer.model import Row, Scope, Sum
from twinloop.control.transfer.shape import Need, Shape
from twinloop.core.digests import digest_json

_PLACE = ("at_ms", "step", "value", "is_nan")
_KEY = ("run", "key", *_PLACE)
_ABOUT = ("model_id", "dataset_name", "dataset_digest")
_POINT = [("at_ms", "<i8"), ("step", "<i8"), ("value", "<f8"), ("is_nan", "u1")]
_PART = 20_000
_RUNS = 500


def _read(
    connection: Connection, tenant: str, scopes: Sequence[Scope] | None, after: Sequence[Any] | None, limit: int
) -> list[Row]:
    found: list[Row] = []
    for run, key, series in _series(connection, tenant, scopes, after):
        place = [metrics.c[name] for name in _PLACE]
        rest = [metrics.c[name] for name in SHAPE.columns if name not in _KEY]
        query = select(*place, *rest).where(metrics.c.series == series).order_by(*place).limit(limit - len(found))
        if after is not None and list(after[:2]) == [run, key]:
            query = query.where(tuple_(*place) > tuple_(*after[2:]))
        found += [{"run": run, "key": key, **row._mapping} for row in connection.execute(query)]
        if len(found) >= limit:
            break
    return found


def _series(
    connection: Connection, tenant: str, scopes: Sequence[Scope] | None, after: Sequence[Any] | None
) -> list[tuple[str, str, int]]:
    """(run, key, series) by run and key, from the one of ``after`` on."""
    columns = (latest_metrics.c.run, latest_metrics.c.key, latest_metrics.c.series)
    query = select(*columns).where(latest_metrics.c.tenant == tenant)
    if scopes is not None:
        query = query.where(latest_metrics.c.run.in_([scope[0] for scope in scopes]))
    if after is not None:
        query = query.where(tuple_(latest_metrics.c.run, latest_metrics.c.key) >= tuple_(*after[:2]))
    rows = connection.execute(query.order_by(latest_metrics.c.run, latest_metrics.c.key))
    return [(run, key, series) for run, key, series in rows]


def _write(connection: Connection, tenant: str, rows: Sequence[Row]) -> int:
    by_run: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_run[row["run"]].append(row)
    before = _count(connection, tenant, list(by_run))
    for run, mine in by_run.items():
        points.append(connection, tenant, run, [_metric(row) for row in mine])
    return _count(connection, tenant, list(by_run)) - before


def _count(connection: Connection, tenant: str, runs: Sequence[str]) -> int:
    total = 0
    for start in range(0, len(runs), _RUNS):
        mine = (latest_metrics.c.tenant == tenant, latest_metrics.c.run.in_(runs[start : start + _RUNS]))
        series = select(latest_metrics.c.series).where(*mine)
        total += connection.execute(select(func.count()).where(metrics.c.series.in_(series))).scalar_one()
    return total


def _metric(row: Row) -> Metric:
    return Metric(
        key=row["key"],
        value=math.nan if row["is_nan"] else row["value"],
        at_ms=row["at_ms"],
        step=row["step"],
        model_id=row["model_id"],
        dataset_name=row["dataset_name"],
        dataset_digest=row["dataset_digest"],
    )


def _check(row: Row) -> None:
    check_key(row["key"], "metric key")


class SeriesSum:
    """Takes the points of one series in order, and says in the end how many there were, with their digest.

    Each counts by its time, step, value and NaN mark, and by what it was said to measure, where that was said.
    """

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self._count = 0

    def add(
        self,
        at_ms: Sequence[int],
        step: Sequence[int],
        value: Sequence[float],
        is_nan: Sequence[bool],
        about: Mapping[int, Sequence[str | None]] = {},
    ) -> None:
        """A part; ``about`` maps positions in it to (model, dataset's name, dataset's digest)."""
        import numpy as np  # not before it is needed: a server starts without it

        packed = np.empty(len(at_ms), np.dtype(_POINT))
        packed["at_ms"], packed["step"], packed["value"], packed["is_nan"] = at_ms, step, value, is_nan
        packed["value"] += 0.0  # -0.0 is 0.0, which is what SQLite makes of it
        self._sha.update(packed.tobytes())
        for position, said in sorted(about.items()):
            self._sha.update(msgspec.json.encode([self._count + position, *said]))
        self._count += len(at_ms)

    def sum(self) -> Sum:
        return Sum(self._count, f"sha256:{self._sha.hexdigest()}")


def sum_of_run(series: Mapping[str, Sum]) -> Sum:
    """All points of a run from the sums of its series, by key."""
    listed = [[key, series[key].count, series[key].digest] for key in sorted(series)]
    return Sum(sum(each.count for each in series.values()), digest_json(listed))


def _sums(connection: Connection, tenant: str, scopes: Sequence[Scope]) -> dict[Scope, Sum]:
    found: dict[Scope, dict[str, Sum]] = {}
    place = [metrics.c[name] for name in _PLACE]
    query = (
        select(latest_metrics.c.run, latest_metrics.c.key, *place, *(metrics.c[name] for name in _ABOUT))
        .join(metrics, metrics.c.series == latest_metrics.c.series)
        .where(latest_metrics.c.tenant == tenant, latest_metrics.c.run.in_([scope[0] for scope in scopes]))
        .order_by(latest_metrics.c.run, latest_metrics.c.key, *place)
    )
    series, counting = None, SeriesSum()
    rows = connection.execute(query)
    while part := rows.fetchmany(_PART):
        for own, some in groupby(part, key=lambda row: (row[0], row[1])):
            if own != series:
                _keep(found, series, counting)
                series, counting = own, SeriesSum()
            _, _, at_ms, step, value, is_nan, *about = zip(*some, strict=True)
            said = {i: each for i, each in enumerate(zip(*about, strict=True)) if any(each)}
            counting.add(at_ms, step, value, is_nan, said)
    _keep(found, series, counting)
    return {scope: sum_of_run(series) for scope, series in found.items()}


def _keep(found: dict[Scope, dict[str, Sum]], series: tuple[str, str] | None, counting: SeriesSum) -> None:
    if series is not None:
        run, key = series
        found.setdefault((run,), {})[key] = counting.sum()


SHAPE = Shape(
    name="metrics",
    table=metrics,
    key=_KEY,
    scope=("run",),
    needs=(Need(("run",), "runs", ("id",)),),
    hidden=frozenset({"series"}),
    virtual={"run": Column("run", String(32), nullable=False), "key": Column("key", String(250), nullable=False)},
    defaults={"is_nan": False},
    check=_check,
    reader=_read,
    writer=_write,
    summer=_sums,
)
"""``value`` is 0 where ``is_nan``."""
