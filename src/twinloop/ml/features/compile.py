"""Feature views as SQL. One relation, the *values* of a view, serves the join and the online store alike.

The values of a view have one row per entity and moment k (microseconds since the epoch) at which a row became known:
its keys, its features as of k, ``__k``, and ``__order``, an integer that orders moments and, among rows known at the
same moment, the rows of the dataset. ``__order`` is ``(k - first) / unit * rows + row``; with it, DuckDB's ASOF join, which
picks any of several equal rows, has no equal rows to pick from, and no pass to remove ties is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from twinloop.core.errors import InvalidInput
from twinloop.ml.data import sql
from twinloop.ml.data.model import DatasetManifest
from twinloop.ml.data.ports import Session
from twinloop.ml.data.sql import ROW, Part
from twinloop.ml.features.model import (
    KNOWN_AT,
    Aggregate,
    Column,
    Count,
    FeatureView,
    Max,
    Mean,
    Min,
    Rate,
    Sum,
    feature_type,
    microseconds,
)

AT = "__at"
_MOST = 2**62
_FUNCTIONS = {Mean: "avg", Rate: "avg", Sum: "sum", Min: "min", Max: "max"}


class Bound(NamedTuple):
    """A view together with the dataset revision it reads: its files, its row count and its columns."""

    view: FeatureView
    parts: Sequence[Part]
    manifest: DatasetManifest


class Clock(NamedTuple):
    """How the moments of one dataset become ``__order``: first moment, last moment, unit (µs), rows, SQL type."""

    first: int
    last: int
    unit: int
    rows: int
    type: str

    def of_row(self, moment: str) -> str:
        return f"(({moment} - {self.first}) // {self.unit})::{self.type} * {self.rows} + {ROW}"

    def of_reader(self, moment: str) -> str:
        """The greatest order that a reader at ``moment`` may see; NULL, which matches nothing, before the first moment."""
        steps = f"((least({moment}, {self.last}) - {self.first}) // {self.unit})"
        return f"CASE WHEN {moment} >= {self.first} THEN {steps}::{self.type} * {self.rows} + {self.rows - 1} END"


def check_source(bound: Bound) -> None:
    """Raise InvalidInput when the dataset lacks a column that the view names, or has it with another type."""
    view, manifest = bound.view, bound.manifest
    wanted: list[tuple[str, tuple[str, ...]]] = [(key.name, (key.type,)) for key in view.keys]
    if view.event_time is not None:
        wanted.append((view.event_time, ("timestamp",)))
    for feature in view.features:
        if isinstance(feature, Column):
            wanted.append((feature.of or feature.name, _readable_as(feature.type)))
        elif isinstance(feature, Rate):
            wanted.append((feature.of, ("bool",)))
        elif not isinstance(feature, Count):
            wanted.append((feature.of, ("float64", "int64")))
    for name, types in wanted:
        column = manifest.column(name)
        if column is None:
            raise InvalidInput(f"View {view.name} reads {name!r}, which dataset {view.source} does not have.")
        if column.type not in types:
            raise InvalidInput(
                f"View {view.name} reads {name!r} as {' or '.join(types)}, and in dataset {view.source} it is {column.type}."
            )


def _readable_as(kind: str) -> tuple[str, ...]:
    return {"float64": ("float64", "int64", "bool"), "int64": ("int64", "bool")}.get(kind, (kind,))


def read_clock(session: Session, bound: Bound) -> Clock | None:
    """Find the span and resolution of a view's moments; None for a static view or one without rows."""
    view = bound.view
    if view.event_time is None:
        return None
    moment = f"(epoch_us({sql.name(view.event_time)}) + {view.delay_us})"
    first, last, second, milli = session.fetch(
        f"SELECT min({moment}), max({moment}), bool_and({moment} % 1000000 = 0), bool_and({moment} % 1000 = 0)"
        f" FROM ({sql.scan(bound.parts)})"
    )[0]
    if first is None:
        return None
    unit = 1_000_000 if second else 1000 if milli else 1
    # Python's floor division and a first moment on the same grid keep every row's step exact.
    rows = max(1, bound.manifest.rows)
    steps = (last - first) // unit + 1
    return Clock(first, last, unit, rows, "BIGINT" if steps * rows < _MOST else "HUGEINT")


def values(bound: Bound, clock: Clock | None) -> str:
    """SELECT the values of a view; see the module's text. Rows without an entity or a time are left out."""
    view = bound.view
    keys = [sql.name(key.name) for key in view.keys]
    known = " AND ".join(f"{key} IS NOT NULL" for key in keys)
    features = ", ".join(f"{_feature(feature, keys)} AS {sql.name(feature.name)}" for feature in view.features)
    if view.event_time is None:
        last = f"row_number() OVER (PARTITION BY {', '.join(keys)} ORDER BY {ROW} DESC) = 1"
        return f"SELECT {', '.join(keys)}, {features} FROM ({sql.scan(bound.parts)}) WHERE {known} QUALIFY {last}"
    moment = f"epoch_us({sql.name(view.event_time)}) + {view.delay_us}"
    order = clock.of_row("__k") if clock else "0"
    rows = f"SELECT *, {moment} AS __k FROM ({sql.scan(bound.parts)})"
    return (
        f"SELECT {', '.join(keys)}, __k, {order} AS __order, {features} FROM ({rows}) WHERE {known} AND __k IS NOT NULL"
    )


def _feature(feature: Column | Aggregate, keys: Sequence[str]) -> str:
    kind = sql.SQL_TYPES[feature_type(feature)]
    if isinstance(feature, Column):
        return f"{sql.name(feature.of or feature.name)}::{kind}"
    reach = microseconds(feature.window) - 1
    frame = f"(PARTITION BY {', '.join(keys)} ORDER BY __k RANGE BETWEEN {reach} PRECEDING AND CURRENT ROW)"
    if isinstance(feature, Count):
        return f"(count(*) OVER {frame})::{kind}"
    column = sql.name(feature.of)
    argument = f"{column}::INTEGER" if isinstance(feature, Rate) else f"{column}::DOUBLE"
    return f"({_FUNCTIONS[type(feature)]}({argument}) OVER {frame})::{kind}"


def join(labels: Sequence[Part], at: str, bounds: Sequence[Bound], clocks: Sequence[Clock | None]) -> str:
    """SELECT every label once, in order, with the features of all views as of its time ``at``.

    A view may take its keys from the labels or from the features of a view before it.
    """
    steps = [f"f0 AS (SELECT *, epoch_us({sql.name(at)}::TIMESTAMP) AS {AT} FROM ({sql.scan(labels)}))"]
    for number, (bound, clock) in enumerate(zip(bounds, clocks, strict=True), start=1):
        steps.append(f"v{number} AS ({values(bound, clock)})")
        steps.append(f"f{number} AS ({_step(number, bound.view, clock)})")
    return f"WITH {', '.join(steps)} SELECT * EXCLUDE ({ROW}, {AT}) FROM f{len(bounds)} ORDER BY {ROW}"


def _step(number: int, view: FeatureView, clock: Clock | None) -> str:
    keys = " AND ".join(f"l.{sql.name(key.name)} = r.{sql.name(key.name)}" for key in view.keys)
    names = [sql.name(feature.name) for feature in view.features]
    if view.event_time is None:
        picked = ", ".join(f"r.{name}" for name in names)
        return f"SELECT l.*, {picked} FROM f{number - 1} l LEFT JOIN v{number} r ON {keys}"
    fresh = "TRUE" if view.ttl_us is None else f"l.{AT} - r.__k <= {view.ttl_us}"
    picked = ", ".join(f"CASE WHEN {fresh} THEN r.{name} END AS {name}" for name in names)
    reader = clock.of_reader(AT) if clock else "NULL::BIGINT"
    frame = f"SELECT *, {reader} AS __reader FROM f{number - 1}"
    return (
        f"SELECT l.* EXCLUDE (__reader), {picked} FROM ({frame}) l"
        f" ASOF LEFT JOIN v{number} r ON {keys} AND l.__reader >= r.__order"
    )


def latest(bound: Bound, clock: Clock | None, until_us: int) -> str:
    """SELECT the values each entity has at ``until_us``, sorted by entity; values already older than the ttl are left out.

    Columns: the keys, the features, ``known_at`` (NULL in a static view).
    """
    view = bound.view
    keys = ", ".join(sql.name(key.name) for key in view.keys)
    features = ", ".join(sql.name(feature.name) for feature in view.features)
    if view.event_time is None:
        return f"SELECT {keys}, {features}, NULL::TIMESTAMP AS {KNOWN_AT} FROM ({values(bound, clock)}) ORDER BY {keys}"
    fresh = "" if view.ttl_us is None else f" AND __k >= {until_us - view.ttl_us}"
    last = f"row_number() OVER (PARTITION BY {keys} ORDER BY __order DESC) = 1"
    return (
        f"SELECT {keys}, {features}, make_timestamp(__k) AS {KNOWN_AT} FROM ({values(bound, clock)})"
        f" WHERE __k <= {until_us}{fresh} QUALIFY {last} ORDER BY {keys}"
    )
