"""Aggregates over traces, spans and assessments."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, distinct, func, select

from twinloop.control.search.reader import Clause
from twinloop.control.tracing.grammar import NamedValue
from twinloop.control.tracing.info import column_ns
from twinloop.control.tracing.measures import Point, Question, percentile
from twinloop.control.tracing.search import DURATION, STATE, Search
from twinloop.control.tracing.tables import assessments, spans, traces

_MS = 1_000_000
_LONGEST_S = 2**63 // 1_000_000_000  # longer than any time that is kept
_COUNTED: Mapping[tuple[str, str], ColumnElement[Any]] = {
    ("TRACES", "trace_count"): traces.c.trace_id,
    ("TRACES", "session_count"): traces.c.session,
    ("TRACES", "latency"): DURATION,
    ("TRACES", "input_tokens"): traces.c.input_tokens,
    ("TRACES", "output_tokens"): traces.c.output_tokens,
    ("TRACES", "total_tokens"): traces.c.total_tokens,
    ("TRACES", "cache_read_input_tokens"): traces.c.cache_read_tokens,
    ("TRACES", "cache_creation_input_tokens"): traces.c.cache_write_tokens,
    ("SPANS", "span_count"): spans.c.span_id,
    ("SPANS", "latency"): (spans.c.end_ns - spans.c.start_ns) // _MS,
    ("SPANS", "input_cost"): spans.c.input_cost,
    ("SPANS", "output_cost"): spans.c.output_cost,
    ("SPANS", "total_cost"): spans.c.total_cost,
    ("ASSESSMENTS", "assessment_count"): assessments.c.id,
    ("ASSESSMENTS", "assessment_value"): assessments.c.number,
}
_DIMENSIONS: Mapping[str, ColumnElement[Any]] = {
    "trace_name": traces.c.title,
    "trace_status": STATE,
    "span_name": spans.c.name,
    "span_type": spans.c.type,
    "span_status": func.upper(spans.c.status),
    "span_model_name": spans.c.model,
    "span_model_provider": spans.c.provider,
    "assessment_name": assessments.c.name,
    "assessment_value": assessments.c.value,
}
_FILTERED: Mapping[tuple[str, str], ColumnElement[Any]] = {
    ("span", "name"): spans.c.name,
    ("span", "type"): spans.c.type,
    ("span", "status"): func.upper(spans.c.status),
    ("assessment", "name"): assessments.c.name,
    ("assessment", "type"): assessments.c.kind,
}
_FUNCTIONS: Mapping[str, Any] = {
    "COUNT": func.count,
    "SUM": func.sum,
    "AVG": func.avg,
    "MIN": func.min,
    "MAX": func.max,
}


class _Groups(NamedTuple):
    """What is selected, without aggregates: names and expressions to group by, and the value."""

    query: Select[Any]
    names: tuple[str, ...]
    by: tuple[ColumnElement[Any], ...]
    value: ColumnElement[Any]


def query(connection: Connection, tenant: str, question: Question, filters: Sequence[NamedValue]) -> list[Point]:
    """Groups in the order of their dimensions, time first; groups without a value are left out."""
    groups = _groups(connection.dialect.name, tenant, question, filters)
    plain = [a for a in question.aggregations if a.percentile is None]
    found: dict[tuple[Any, ...], dict[str, float]] = {}
    if plain:
        aggregates = [_aggregate(question, a.kind, groups.value).label(a.label) for a in plain]
        statement = groups.query.with_only_columns(*groups.by, *aggregates).group_by(*groups.by).order_by(*groups.by)
        for row in connection.execute(statement.limit(question.limit)):
            values = dict(zip((a.label for a in plain), row[len(groups.by) :], strict=True))
            found[tuple(row[: len(groups.by)])] = {name: value for name, value in values.items() if value is not None}
    for key, values in _percentiles(connection, question, groups):
        if plain and key not in found and len(found) >= question.limit:
            break
        found.setdefault(key, {}).update(values)
    points = (Point(_shown(groups.names, key), values) for key, values in found.items() if values)
    return list(itertools.islice(points, question.limit))


def _aggregate(question: Question, kind: str, value: ColumnElement[Any]) -> ColumnElement[Any]:
    counted = distinct(value) if question.metric == "session_count" else value
    found: ColumnElement[Any] = _FUNCTIONS[kind](counted)
    return found


def _percentiles(
    connection: Connection, question: Question, groups: _Groups
) -> Iterable[tuple[tuple[Any, ...], dict[str, float]]]:
    """Databases have no percentile in common, so values come in order and are interpolated here."""
    wanted = [a for a in question.aggregations if a.percentile is not None]
    if not wanted:
        return
    width = len(groups.by)
    ordered = groups.query.with_only_columns(*groups.by, groups.value.label("value")).order_by(*groups.by, groups.value)
    rows = (tuple(row) for row in connection.execute(ordered))
    for key, of_group in itertools.groupby(rows, key=lambda row: row[:width]):
        values = [row[width] for row in of_group]
        yield key, {a.label: percentile(values, a.percentile or 0.0) for a in wanted}


def _groups(dialect: str, tenant: str, question: Question, filters: Sequence[NamedValue]) -> _Groups:
    value = _COUNTED[question.view, question.metric]
    names, by = [], []
    at_ns = spans.c.start_ns if question.view == "SPANS" else traces.c.start_ns
    if question.interval_s:
        names.append("time_bucket")
        interval_s = min(question.interval_s, _LONGEST_S)
        by.append(at_ns // (interval_s * 1_000_000_000) * (interval_s * 1000))
    for name in question.dimensions:
        names.append(name)
        by.append(_DIMENSIONS[name])
    search = Search(tenant, dialect)
    clauses = [_clause(found) for found in filters if found.view == "trace"]
    conditions = search.conditions(clauses, question.experiments)
    conditions += [_FILTERED[found.view, found.entity] == found.value for found in filters if found.view != "trace"]
    conditions += [value.is_not(None), *(column.is_not(None) for column in by)]
    timed = at_ns if question.metric.endswith("_cost") else traces.c.start_ns
    conditions += _range(timed, question.from_ms, question.until_ms)
    return _Groups(_joined(question.view).where(*conditions), tuple(names), tuple(by), value)


def _joined(view: str) -> Select[Any]:
    if view == "SPANS":
        together = and_(spans.c.tenant == traces.c.tenant, spans.c.trace_id == traces.c.trace_id)
        return select(spans.c.span_id).select_from(traces.join(spans, together))
    if view == "ASSESSMENTS":
        together = and_(assessments.c.tenant == traces.c.tenant, assessments.c.trace_id == traces.c.trace_id)
        return (
            select(assessments.c.id)
            .select_from(traces.join(assessments, together))
            .where(assessments.c.valid.is_(True))
        )
    return select(traces.c.trace_id).select_from(traces)


def _clause(found: NamedValue) -> Clause:
    if found.entity == "status":
        return Clause("attribute", "status", "=", found.value)
    if found.entity == "metadata" and found.key == "mlflow.sourceRun":
        return Clause("run", "run_id", "=", found.value)
    return Clause("tag" if found.entity == "tag" else "metadata", found.key, "=", found.value)


def _range(column: ColumnElement[Any], from_ms: int | None, until_ms: int | None) -> list[ColumnElement[bool]]:
    found = []
    if from_ms is not None:
        found.append(column >= column_ns(from_ms))
    if until_ms is not None:
        found.append(column < column_ns(until_ms + 1))
    return found


def _shown(names: Sequence[str], key: Sequence[Any]) -> dict[str, str]:
    return {name: _time(value) if name == "time_bucket" else str(value) for name, value in zip(names, key, strict=True)}


def _time(at_ms: int) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
    except (ValueError, OverflowError, OSError):  # beyond the years that Python knows
        return str(at_ms)
