"""Queries on metrics: all points of a series, and the last one of each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, tuple_, update

from twinloop.control.store.sql import upsert
from twinloop.control.tracking.model import Metric
from twinloop.control.tracking.repository import latest_metrics, metrics, parts

_LARGEST = 1.7976931348623157e308

Cursor = tuple[int, int, float, bool]
"""Where a history goes on: the time, step, value and NaN mark of the last point given."""

_KNOWN = select(
    latest_metrics.c.key, latest_metrics.c.series, latest_metrics.c.step, latest_metrics.c.at_ms, latest_metrics.c.value
).where(
    latest_metrics.c.tenant == bindparam("tenant"),
    latest_metrics.c.run == bindparam("run"),
    latest_metrics.c.key.in_(bindparam("keys", expanding=True)),
)
_ADD_SERIES = insert(latest_metrics)
_MOVE_LAST = (
    update(latest_metrics)
    .where(latest_metrics.c.series == bindparam("b_series"))
    .values(
        {
            name: bindparam(f"b_{name}")
            for name in ("value", "is_nan", "at_ms", "step", "model_id", "dataset_name", "dataset_digest")
        }
    )
)


class _Known(NamedTuple):
    series: int
    last: tuple[int, int, float]


def append(connection: Connection, tenant: str, run_id: str, points: Sequence[Metric]) -> None:
    """Add points to the run's series; one that is there already, with equal time, step and value, stays single.

    The last point of a series is the one with the highest step, then time, then value, whatever order they came in.
    """
    if not points:
        return
    rows = [_row(tenant, point) for point in points]
    best: dict[str, dict[str, Any]] = {}
    for point, row in zip(points, rows, strict=True):
        held = best.get(point.key)
        if held is None or _rank(row) > _rank(held):
            best[point.key] = row
    known = _known(connection, tenant, run_id, list(best))
    fresh = {key: row for key, row in best.items() if key not in known}
    if fresh:
        connection.execute(_ADD_SERIES, [{**row, "run": run_id, "key": key} for key, row in fresh.items()])
        known.update(_known(connection, tenant, run_id, list(fresh)))
    moved = [
        {"b_series": known[key].series} | {f"b_{name}": value for name, value in row.items() if name != "tenant"}
        for key, row in best.items()
        if _rank(row) > known[key].last
    ]
    if moved:
        connection.execute(_MOVE_LAST, moved)
    for point, row in zip(points, rows, strict=True):
        row["series"] = known[point.key].series
    upsert(connection, metrics, rows, ("series", "at_ms", "step", "value", "is_nan"))


def history(
    connection: Connection, tenant: str, run_id: str, key: str, limit: int, after: Cursor | None
) -> list[tuple[Cursor, Metric]]:
    """Up to ``limit`` points of one series by time, step and value, each with the cursor that goes on behind it."""
    series = select(latest_metrics.c.series).where(
        latest_metrics.c.tenant == tenant, latest_metrics.c.run == run_id, latest_metrics.c.key == key
    )
    number = connection.execute(series).scalar()
    if number is None:
        return []
    place = (metrics.c.at_ms, metrics.c.step, metrics.c.value, metrics.c.is_nan)
    query = (
        select(*place, metrics.c.model_id, metrics.c.dataset_name, metrics.c.dataset_digest)
        .where(metrics.c.series == number)
        .order_by(*place)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(*place) > tuple_(*after))
    return [
        ((at_ms, step, value, is_nan), Metric(key, math.nan if is_nan else value, at_ms, step, model, name, digest))
        for at_ms, step, value, is_nan, model, name, digest in connection.execute(query)
    ]


def _known(connection: Connection, tenant: str, run_id: str, keys: Sequence[str]) -> dict[str, _Known]:
    found: dict[str, _Known] = {}
    for part in parts(keys):
        rows: Iterable[Any] = connection.execute(_KNOWN, {"tenant": tenant, "run": run_id, "keys": part})
        for key, series, step, at_ms, value in rows:
            found[key] = _Known(series, (step, at_ms, value))
    return found


def _row(tenant: str, point: Metric) -> dict[str, Any]:
    is_nan = math.isnan(point.value)
    return {
        "tenant": tenant,
        "value": 0.0 if is_nan else max(-_LARGEST, min(_LARGEST, point.value)),
        "is_nan": is_nan,
        "at_ms": point.at_ms,
        "step": point.step,
        "model_id": point.model_id,
        "dataset_name": point.dataset_name,
        "dataset_digest": point.dataset_digest,
    }


def _rank(row: dict[str, Any]) -> tuple[int, int, float]:
    return row["step"], row["at_ms"], row["value"]
