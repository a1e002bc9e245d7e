"""Queries on metrics: all points of a series, and the last one of each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, func, select, tuple_, update

from twinloop.control.store.sql import BulkInsert, Lookup, Statement
from twinloop.control.tracking.model import Metric
from twinloop.control.tracking.tables import UNPLACED, latest_metrics, logged_model_metrics, metrics, runs

_LARGEST = 1.7976931348623157e308

Cursor = tuple[int, int, float, bool]
"""Where a history goes on: the time, step, value and NaN mark of the last point given."""

_KNOWN = Lookup(
    select(
        latest_metrics.c.key,
        latest_metrics.c.series,
        latest_metrics.c.step,
        latest_metrics.c.at_ms,
        latest_metrics.c.value,
    ).where(latest_metrics.c.tenant == bindparam("tenant"), latest_metrics.c.run == bindparam("run")),
    latest_metrics.c.key,
    "tenant",
    "run",
)
_LAST = ("value", "is_nan", "at_ms", "step", "model_id", "dataset_name", "dataset_digest")
_ADD_SERIES = BulkInsert(latest_metrics, ("tenant", "run", "experiment", "key", *_LAST), ("tenant", "run", "key"))
_MOVE_LAST = Statement(
    update(latest_metrics)
    .where(latest_metrics.c.series == bindparam("of"))
    .values({name: bindparam(f"new_{name}") for name in _LAST}),
    *(f"new_{name}" for name in _LAST),
    "of",
)
_PLACE = ("at_ms", "step", "value", "is_nan")
_ADD_POINTS = BulkInsert(
    metrics, ("series", *_PLACE, "tenant", "model_id", "dataset_name", "dataset_digest"), ("series", *_PLACE)
)
_OF_MODEL = ("tenant", "model", "key", "at_ms", "step", "run", "value", "is_nan")
_ADD_MODEL_POINTS = BulkInsert(logged_model_metrics, (*_OF_MODEL, "dataset_name", "dataset_digest"), _OF_MODEL)
_EXPERIMENT = Statement(
    select(runs.c.experiment).where(runs.c.tenant == bindparam("tenant"), runs.c.id == bindparam("run")),
    "tenant",
    "run",
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
    values = [_kept(point.value) for point in points]
    best: dict[str, tuple[tuple[int, int, float], bool, Metric]] = {}
    for point, (value, is_nan) in zip(points, values, strict=True):
        rank = (point.step, point.at_ms, value)
        held = best.get(point.key)
        if held is None or rank > held[0]:
            best[point.key] = (rank, is_nan, point)
    series = _series(connection, tenant, run_id, best)
    flat: list[Any] = []
    add = flat.extend
    for point, (value, is_nan) in zip(points, values, strict=True):
        about = (point.model_id, point.dataset_name, point.dataset_digest)
        add((series[point.key], point.at_ms, point.step, value, is_nan, tenant, *about))
    _ADD_POINTS.rows(connection, flat)
    _append_to_models(connection, tenant, run_id, points)


def _series(
    connection: Connection, tenant: str, run_id: str, best: dict[str, tuple[tuple[int, int, float], bool, Metric]]
) -> dict[str, int]:
    """The numbers of the series by key; new ones are made, and the last point of the others moves on."""
    known = _known(connection, tenant, run_id, list(best))
    fresh: list[Any] = []
    for key, (rank, is_nan, point) in best.items():
        held = known.get(key)
        about = (point.model_id, point.dataset_name, point.dataset_digest)
        if held is None:
            fresh.append((key, rank[2], is_nan, point.at_ms, point.step, *about))
        elif rank > held.last:
            _MOVE_LAST.run(connection, rank[2], is_nan, point.at_ms, point.step, *about, held.series)
    if fresh:
        place = _EXPERIMENT.first(connection, tenant, run_id)
        experiment = UNPLACED if place is None else place[0]
        _ADD_SERIES.rows(connection, [value for row in fresh for value in (tenant, run_id, experiment, *row)])
        known.update(_known(connection, tenant, run_id, [row[0] for row in fresh]))
    return {key: held.series for key, held in known.items()}


def _append_to_models(connection: Connection, tenant: str, run_id: str, points: Sequence[Metric]) -> None:
    flat: list[Any] = []
    for point in points:
        if point.model_id is not None:
            value, is_nan = _kept(point.value)
            place = (point.key, point.at_ms, point.step, run_id, value, is_nan)
            flat.extend((tenant, point.model_id, *place, point.dataset_name, point.dataset_digest))
    if flat:
        _ADD_MODEL_POINTS.rows(connection, flat)


def _kept(value: float) -> tuple[float, bool]:
    """A value and its NaN mark as they are stored."""
    if -_LARGEST <= value <= _LARGEST:
        return value, False
    if math.isnan(value):
        return 0.0, True
    return (_LARGEST if value > 0 else -_LARGEST), False


def _known(connection: Connection, tenant: str, run_id: str, keys: Sequence[str]) -> dict[str, _Known]:
    rows = _KNOWN.all(connection, keys, tenant, run_id)
    return {key: _Known(series, (step, at_ms, value)) for key, series, step, at_ms, value in rows}


def place(connection: Connection, tenant: str) -> None:
    """Give series from before the experiment was kept with them their experiment."""
    mine = select(runs.c.experiment).where(runs.c.tenant == latest_metrics.c.tenant, runs.c.id == latest_metrics.c.run)
    connection.execute(
        update(latest_metrics)
        .where(latest_metrics.c.tenant == tenant, latest_metrics.c.experiment == UNPLACED)
        .values(experiment=func.coalesce(mine.scalar_subquery(), UNPLACED))
    )


_SERIES = Statement(
    select(latest_metrics.c.series).where(
        latest_metrics.c.tenant == bindparam("tenant"),
        latest_metrics.c.run == bindparam("run"),
        latest_metrics.c.key == bindparam("key"),
    ),
    "tenant",
    "run",
    "key",
)
_COLUMNS = [metrics.c[name] for name in _PLACE]
_ABOUT = [metrics.c.model_id, metrics.c.dataset_name, metrics.c.dataset_digest]
_ALL = (
    select(*_COLUMNS, *_ABOUT)
    .where(metrics.c.series == bindparam("series"))
    .order_by(*_COLUMNS)
    .limit(bindparam("most"))
)
_HISTORY = Statement(_ALL, "series", "most")
_FURTHER = Statement(
    _ALL.where(tuple_(*_COLUMNS) > tuple_(*(bindparam(name, type_=metrics.c[name].type) for name in _PLACE))),
    "series",
    *_PLACE,
    "most",
)


def history(
    connection: Connection, tenant: str, run_id: str, key: str, limit: int, after: Cursor | None = None
) -> tuple[list[Metric], Cursor | None]:
    """Up to ``limit`` points of one series by time, step and value; where there are more, the cursor that goes on."""
    series = _SERIES.first(connection, tenant, run_id, key)
    if series is None:
        return [], None
    if after is None:
        rows = _HISTORY.all(connection, series[0], limit + 1)
    else:
        rows = _FURTHER.all(connection, series[0], *after, limit + 1)
    following = None
    if len(rows) > limit:
        del rows[limit:]
        at_ms, step, value, is_nan = rows[-1][:4]
        following = (at_ms, step, value, bool(is_nan))
    return _metrics(key, rows), following


def sample(
    connection: Connection, tenant: str, run_id: str, key: str, most: int, steps: tuple[int, int] | None
) -> list[Metric]:
    """At most ``most`` points of one series by step, evenly spread, with the first and the last, or the last alone.

    ``steps`` are the lowest and the highest step to look at.
    """
    series = _SERIES.first(connection, tenant, run_id, key)
    if series is None:
        return []
    mine = [metrics.c.series == series[0]]
    if steps is not None:
        mine += [metrics.c.step >= steps[0], metrics.c.step <= steps[1]]
    total = int(connection.execute(select(func.count()).select_from(metrics).where(*mine)).scalar_one())
    order = [metrics.c.step, metrics.c.at_ms, metrics.c.value, metrics.c.is_nan]
    place = func.row_number().over(order_by=order).label("place")
    ranked = select(*_COLUMNS, *_ABOUT, place).where(*mine).subquery()
    found: list[Any] = []
    picked = [number + 1 for number in _spread(total, most)]
    for begin in range(0, len(picked), 1000):
        part = picked[begin : begin + 1000]
        query = select(*list(ranked.c)[:-1]).where(ranked.c.place.in_(part)).order_by(ranked.c.place)
        found.extend(connection.execute(query))
    return _metrics(key, found)


def _spread(total: int, most: int) -> list[int]:
    """Positions of the first of each of ``most`` buckets of nearly equal size, the last one moved to the very end."""
    if total <= most:
        return list(range(total))
    size, larger = divmod(total, most)
    begins = [number * size + min(number, larger) for number in range(most)]
    return [*begins[:-1], total - 1]


def _metrics(key: str, rows: Iterable[Any]) -> list[Metric]:
    return [
        Metric(key, math.nan if is_nan else value, at_ms, step, model, name, digest)
        for at_ms, step, value, is_nan, model, name, digest in rows
    ]
