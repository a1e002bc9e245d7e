"""Turns clauses and orders of trace searches into SQL with every value bound."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    true,
)

from twinloop.control.search.comparing import compare
from twinloop.control.search.keyset import Keyset, SortKey
from twinloop.control.search.reader import Clause, Order
from twinloop.control.tracing import info
from twinloop.control.tracing.matching import json_text
from twinloop.control.tracing.promoted import compare_promoted
from twinloop.control.tracing.tables import (
    assessments,
    spans,
    trace_metadata,
    trace_prompts,
    trace_runs,
    trace_tags,
    traces,
)
from twinloop.control.tracing.tags import COLUMNS, IN_STORE, NAME, SPANS
from twinloop.control.tracing.usage import number
from twinloop.core.errors import InvalidInput

_MS = 1_000_000
_LARGEST = 2**63
STATE = case(
    *((traces.c.status == status, literal(state)) for status, state in info.STATES.items() if status != "unset"),
    else_=literal("STATE_UNSPECIFIED"),
)
_STARTED = traces.c.start_ns // _MS
DURATION = case(
    (
        and_(traces.c.duration_ms.is_(None), traces.c.told.is_(False), traces.c.status != "running"),
        traces.c.end_ns // _MS - _STARTED,
    ),
    else_=traces.c.duration_ms,
)
_ATTRIBUTES: Mapping[str, ColumnElement[Any]] = {
    "timestamp_ms": _STARTED,
    "execution_time_ms": DURATION,
    "end_time_ms": _STARTED + func.coalesce(DURATION, 0),
    "status": STATE,
    "client_request_id": traces.c.client_request_id,
    "request_id": case(
        (func.length(traces.c.trace_id) == 32, literal("tr-").concat(traces.c.trace_id)), else_=traces.c.trace_id
    ),
    "experiment_id": traces.c.experiment,
}
_SPAN_COLUMNS = {"name": spans.c.name, "type": spans.c.type, "status": func.upper(spans.c.status)}
_SPAN_TEXT = (
    spans.c.name.concat(" ")
    .concat(cast(spans.c.attributes, String))
    .concat(" ")
    .concat(cast(spans.c.events, String))
    .concat(" ")
    .concat(spans.c.message)
)


class Search:
    """One search: builds the statement of a page, and the token that goes on behind its last row."""

    def __init__(self, tenant: str, dialect: str, orders: Sequence[Order] = ()) -> None:
        self._tenant = tenant
        self._dialect = dialect
        keys = [key for order in orders for key in self._sort_keys(order)]
        named = {order.key for order in orders if order.entity == "attribute"}
        if "timestamp_ms" not in named:
            keys.append(SortKey(traces.c.start_ns, False))
        if "request_id" not in named:
            keys.append(SortKey(traces.c.trace_id, True))
        self._keyset = Keyset(keys, hashlib.sha256(repr(orders).encode()).hexdigest()[:8])

    def page(self, clauses: Sequence[Clause], experiments: Sequence[int], limit: int, token: str | None) -> Select[Any]:
        """Rows of ``traces``, then the sort values, at most ``limit``."""
        query = select(traces, *self._keyset.columns).where(*self.conditions(clauses, experiments))
        if token is not None:
            query = query.where(self._keyset.behind(self._keyset.decode(token)))
        return query.order_by(*self._keyset.order).limit(limit)

    def conditions(self, clauses: Sequence[Clause], experiments: Sequence[int]) -> list[ColumnElement[bool]]:
        """What a trace of ``experiments`` must fulfil."""
        # One experiment as a plain equality lets the index on experiment and time give the order too.
        column = traces.c.experiment
        mine = column == experiments[0] if len(experiments) == 1 else column.in_(list(experiments))
        of_spans = [clause for clause in clauses if clause.entity == "span"]
        found = [traces.c.tenant == self._tenant, mine]
        found += [self._condition(clause, experiments) for clause in clauses if clause.entity != "span"]
        if of_spans:
            matched = select(spans.c.trace_id).where(spans.c.tenant == self._tenant, *map(self._of_span, of_spans))
            found.append(traces.c.trace_id.in_(matched))
        return found

    def token(self, row: Any) -> str:
        """Where the page behind ``row`` begins."""
        return self._keyset.token(row)

    def _sort_keys(self, order: Order) -> list[SortKey]:
        value = traces.c.start_ns if order.key == "timestamp_ms" else self._sort_value(order)
        if order.entity == "attribute" and order.key in ("timestamp_ms", "status", "request_id", "experiment_id"):
            return [SortKey(value, order.ascending)]
        nothing = literal("" if value.type.python_type is str else 0, value.type)
        missing = case((value.is_(None), 1), else_=0)
        return [SortKey(missing, True), SortKey(func.coalesce(value, nothing, type_=value.type), order.ascending)]

    def _sort_value(self, order: Order) -> ColumnElement[Any]:
        if order.entity == "attribute":
            return _ATTRIBUTES[order.key]
        if order.entity == "tag" and order.key == NAME:
            return traces.c.title
        if order.entity == "metadata" and order.key == info.SESSION:
            return traces.c.session
        if order.key in (info.TOKEN_USAGE, info.COST):
            raise InvalidInput(
                f"Ordering by reserved metadata '{order.key}' is not supported, for it holds several numbers. Order by another."
            )
        table = trace_tags if order.entity == "tag" else trace_metadata
        return select(table.c.value).where(*self._pair(table, order.key)).scalar_subquery()

    def _pair(self, table: Any, key: str) -> tuple[ColumnElement[bool], ...]:
        return (table.c.tenant == self._tenant, table.c.trace_id == traces.c.trace_id, table.c.key == key)

    def _compare(self, column: ColumnElement[Any], clause: Clause) -> ColumnElement[bool]:
        return compare(column, clause.comparator, clause.value, self._dialect)

    def _condition(self, clause: Clause, experiments: Sequence[int]) -> ColumnElement[bool]:
        match clause.entity:
            case "attribute":
                return self._of_attribute(clause)
            case "tag" | "metadata":
                return self._of_pair(clause)
            case "run":
                return self._of_run(clause)
            case "prompt":
                linked = (trace_prompts.c.tenant == self._tenant, trace_prompts.c.prompt == clause.value)
                return traces.c.trace_id.in_(select(trace_prompts.c.trace_id).where(*linked))
            case "issue":
                named = (assessments.c.kind == "issue", assessments.c.name == clause.value)
                return traces.c.trace_id.in_(self._assessed(named))
            case _:
                return self._of_assessment(clause, experiments)

    def _of_attribute(self, clause: Clause) -> ColumnElement[bool]:
        if clause.key == "timestamp_ms":
            return _began(clause.comparator, float(clause.value))  # type: ignore[arg-type]
        if clause.key == "status" and clause.comparator == "=":
            return traces.c.status == info.STATUSES.get(str(clause.value), "")
        if clause.key == "request_id" and clause.comparator == "=":
            return traces.c.trace_id == info.key_of(str(clause.value))
        return self._compare(_ATTRIBUTES[clause.key], clause)

    def _of_pair(self, clause: Clause) -> ColumnElement[bool]:
        table = trace_tags if clause.entity == "tag" else trace_metadata
        column = self._column(clause)
        if column is None and clause.entity == "metadata" and clause.key in (info.TOKEN_USAGE, info.COST):
            return compare_promoted(clause)
        if column is not None:
            if clause.comparator in ("IS NULL", "IS NOT NULL"):
                return column.is_(None) if clause.comparator == "IS NULL" else column.is_not(None)
            return self._compare(column, clause)
        present = (*self._pair(table, clause.key), table.c.value.is_not(None))
        if clause.comparator == "IS NULL":
            return ~exists().where(*present)
        if clause.comparator == "IS NOT NULL":
            return exists().where(*present)
        return exists().where(*present, self._compare(table.c.value, clause))

    def _column(self, clause: Clause) -> ColumnElement[Any] | None:
        """Where a tag or a piece of metadata is a column of the trace itself."""
        if clause.entity == "tag":
            if clause.key == SPANS:
                return case((traces.c.span_count > 0, literal(IN_STORE)))
            if clause.key in COLUMNS:
                return traces.c[COLUMNS[clause.key]]
            return traces.c.title if clause.key == NAME else None
        if clause.key == info.FINALIZED:
            return case((traces.c.told.is_(True), literal("true")))
        return traces.c.session if clause.key == info.SESSION else None

    def _of_run(self, clause: Clause) -> ColumnElement[bool]:
        """A trace belongs to a run that its metadata names, or that somebody linked it to."""
        said = self._of_pair(Clause("metadata", info.SOURCE_RUN, clause.comparator, clause.value))
        if clause.comparator != "=":
            return said
        linked = (trace_runs.c.tenant == self._tenant, trace_runs.c.run == clause.value)
        return or_(traces.c.trace_id.in_(select(trace_runs.c.trace_id).where(*linked)), said)

    def _of_span(self, clause: Clause) -> ColumnElement[bool]:
        if clause.key == "content":
            return self._compare(_SPAN_TEXT, clause)
        if clause.key.startswith("attributes."):
            name = clause.key.removeprefix("attributes.")
            return self._compare(json_text(spans.c.attributes, name, self._dialect), clause)
        return self._compare(_SPAN_COLUMNS[clause.key], clause)

    def _of_assessment(self, clause: Clause, experiments: Sequence[int]) -> ColumnElement[bool]:
        """An assessment of a whole session, which names it in its metadata, counts for every trace of the session."""
        said = [assessments.c.kind == clause.entity, assessments.c.name == clause.key, assessments.c.valid.is_(True)]
        if clause.comparator not in ("IS NULL", "IS NOT NULL"):
            said.append(self._of_value(clause))
        other = traces.alias("of_session")
        sessions = (
            select(other.c.session)
            .join(assessments, and_(assessments.c.tenant == other.c.tenant, assessments.c.trace_id == other.c.trace_id))
            .where(
                other.c.tenant == self._tenant,
                other.c.experiment.in_(list(experiments)),
                other.c.session.is_not(None),
                cast(assessments.c.metadata, String).contains(f'"{info.SESSION}":', autoescape=True),
                *said,
            )
        )
        found = or_(
            traces.c.trace_id.in_(self._assessed(said)),
            and_(traces.c.session.is_not(None), traces.c.session.in_(sessions)),
        )
        return ~found if clause.comparator == "IS NULL" else found

    def _assessed(self, said: Sequence[ColumnElement[bool]]) -> Select[Any]:
        return select(assessments.c.trace_id).where(assessments.c.tenant == self._tenant, *said)

    def _of_value(self, clause: Clause) -> ColumnElement[bool]:
        """Values are JSON; a text may be given with or without its quotes."""
        column = assessments.c.value
        if clause.comparator in ("<", "<=", ">", ">="):
            return and_(assessments.c.numeric.is_(True), self._compare(assessments.c.number, clause))
        if clause.comparator in ("=", "!="):
            same: ColumnElement[bool] = column.in_([clause.value, json.dumps(clause.value, ensure_ascii=False)])
            value = _number(str(clause.value))
            if value is not None:
                same = or_(same, and_(assessments.c.numeric.is_(True), assessments.c.number == value))
            return same if clause.comparator == "=" else ~same
        return self._compare(column, clause)


def _number(text: str) -> float | None:
    """Clients send 3 as 3 or as 3.0; both are written either way."""
    try:
        return number(float(text))
    except ValueError:
        return None


def _began(comparator: str, value: float) -> ColumnElement[bool]:
    """Times are kept in nanoseconds, so that a millisecond is a range that an index can find."""
    column = traces.c.start_ns
    if not abs(value) < _LARGEST / _MS:
        return true() if comparator in ("!=", *(("<", "<=") if value > 0 else (">", ">="))) else false()
    first, whole = math.ceil(value) * _MS, math.floor(value) == value
    after = (math.floor(value) + 1) * _MS
    match comparator:
        case "=":
            return and_(column >= first, column < after) if whole else false()
        case "!=":
            return or_(column < first, column >= after) if whole else true()
        case "<":
            return column < first
        case "<=":
            return column < after
        case ">":
            return column >= after
        case _:
            return column >= first
