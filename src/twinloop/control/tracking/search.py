"""Turns clauses and orders into SQL with every value bound, for runs and for experiments alike."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Double,
    Integer,
    Select,
    Table,
    and_,
    case,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    true,
)

from twinloop.control.search.comparing import compare
from twinloop.control.search.grammar import Vocabulary
from twinloop.control.search.keyset import Keyset, SortKey
from twinloop.control.search.reader import Clause, Order
from twinloop.control.tracking.model import View
from twinloop.control.tracking.tables import (
    experiment_tags,
    experiments,
    latest_metrics,
    run_inputs,
    run_params,
    run_tags,
    runs,
)
from twinloop.core.errors import InvalidInput

_ATTRIBUTES: dict[str, str] = dict.fromkeys(("attribute", "attributes", "attr", "run"), "attribute")
_TAGS: dict[str, str] = dict.fromkeys(("tag", "tags"), "tag")

RUNS = Vocabulary(
    entities={
        **_ATTRIBUTES,
        **_TAGS,
        **dict.fromkeys(("metric", "metrics"), "metric"),
        **dict.fromkeys(("param", "params", "parameter", "parameters"), "param"),
        **dict.fromkeys(("dataset", "datasets"), "dataset"),
    },
    numeric=frozenset({"start_time", "end_time"}),
    text=frozenset({"run_id", "run_name", "user_id", "status", "artifact_uri"}),
    listed=frozenset({"run_id"}),
    fixed={"dataset": frozenset({"name", "digest", "context"})},
    aliases={
        "created": "start_time",
        "Created": "start_time",
        "run name": "run_name",
        "Run name": "run_name",
        "Run Name": "run_name",
    },
)

EXPERIMENTS = Vocabulary(
    entities={"attribute": "attribute", "attributes": "attribute", **_TAGS},
    numeric=frozenset({"creation_time", "last_update_time"}),
    text=frozenset({"name", "experiment_id"}),
    listed=frozenset({"experiment_id"}),
)


@dataclass(frozen=True)
class Subject:
    """A searchable table: its key column, its attributes, and the tables that hold one row per owner and key."""

    table: Table
    vocabulary: Vocabulary
    key: ColumnElement[Any]
    attributes: Mapping[str, ColumnElement[Any]]
    parts: Mapping[str, tuple[Table, ColumnElement[Any]]]
    tie: tuple[tuple[ColumnElement[Any], bool], ...]


RUN_SUBJECT = Subject(
    table=runs,
    vocabulary=RUNS,
    key=runs.c.id,
    attributes={
        "run_id": runs.c.id,
        "run_name": runs.c.name,
        "user_id": runs.c.user,
        "status": runs.c.status,
        "artifact_uri": runs.c.artifact_uri,
        "start_time": runs.c.started_ms,
        "end_time": runs.c.ended_ms,
    },
    parts={
        "metric": (latest_metrics, latest_metrics.c.run),
        "param": (run_params, run_params.c.run),
        "tag": (run_tags, run_tags.c.run),
        "dataset": (run_inputs, run_inputs.c.run),
    },
    tie=((runs.c.started_ms, False), (runs.c.id, True)),
)

EXPERIMENT_SUBJECT = Subject(
    table=experiments,
    vocabulary=EXPERIMENTS,
    key=experiments.c.number,
    attributes={
        "name": experiments.c.name,
        "experiment_id": experiments.c.number,
        "creation_time": experiments.c.created_ms,
        "last_update_time": experiments.c.updated_ms,
    },
    parts={"tag": (experiment_tags, experiment_tags.c.experiment)},
    tie=((experiments.c.number, False),),
)


class Search:
    """One search: builds the statement of a page, and the token that goes on behind its last row.

    ``rank`` narrows an order that begins with a metric to the rows that have a number (0), NaN (1) or nothing (2)
    there, which come in this order. Each part can be read along an index, where all three together must be sorted.
    """

    def __init__(
        self, subject: Subject, tenant: str, dialect: str, orders: Sequence[Order], rank: int | None = None
    ) -> None:
        self._subject = subject
        self._tenant = tenant
        self._dialect = dialect
        self._outer: list[tuple[Any, ColumnElement[bool]]] = []
        self._inner: list[tuple[Any, ColumnElement[bool]]] = []
        self._parts: list[ColumnElement[bool]] = []
        keys: list[SortKey] = []
        for number, order in enumerate(orders):
            narrowed = rank is not None and number == 0
            keys += self._ranked_keys(order, rank or 0) if narrowed else self._sort_keys(number, order)
        named = {order.key for order in orders if order.entity == "attribute"}
        names = {id(column): name for name, column in subject.attributes.items()}
        keys += [SortKey(column, up) for column, up in subject.tie if names[id(column)] not in named]
        self._keyset = Keyset(keys, hashlib.sha256(repr(orders).encode()).hexdigest()[:8])

    def page(
        self,
        clauses: Sequence[Clause],
        view: View,
        limit: int,
        token: str | None,
        within: Sequence[int] | None = None,
        among: Sequence[str] | None = None,
    ) -> Select[Any]:
        """Rows of the subject's table, then the sort values, at most ``limit``.

        ``within`` are experiment numbers; ``among`` are ids of rows in them, of which every row that fits has one.
        """
        table = self._subject.table
        source: Any = table
        for other, condition in self._inner:
            source = source.join(other, and_(condition, *([] if within is None else [other.c.experiment.in_(within)])))
        for other, condition in self._outer:
            source = source.outerjoin(other, condition)
        query = select(table, *self._keyset.columns).select_from(source).where(table.c.tenant == self._tenant)
        if view != "all":
            query = query.where(table.c.lifecycle == view)
        if among is not None:
            query = query.where(self._subject.key.in_(among))
        elif within is not None and not self._inner:
            # Said of one table only, or SQLite reads along the wrong index.
            query = query.where(table.c.experiment.in_(within))
        query = query.where(*self._parts, *(self._condition(clause) for clause in clauses))
        if token is not None:
            query = query.where(self._keyset.behind(self._keyset.decode(token)))
        return query.order_by(*self._keyset.order).limit(limit)

    def token(self, row: Any) -> str:
        """Where the page behind ``row`` begins."""
        return self._keyset.token(row)

    def _sort_keys(self, number: int, order: Order) -> list[SortKey]:
        if order.entity == "attribute":
            value = self._subject.attributes[order.key]
            if not value.nullable:
                return [SortKey(value, order.ascending)]
            return self._with_rank(case((value.is_(None), 1), else_=0), value, order.ascending)
        joined, mine = self._joined(order, f"order_{number}")
        self._outer.append((joined, mine))
        value = joined.c.value
        rank = case((value.is_(None), 2 if order.entity == "metric" else 1), else_=0)
        if order.entity == "metric":
            rank = case((joined.c.is_nan.is_(True), 1), (value.is_(None), 2), else_=0)
        return self._with_rank(rank, value, order.ascending)

    def _ranked_keys(self, order: Order, rank: int) -> list[SortKey]:
        """The same keys where the rank of all rows is known."""
        joined, mine = self._joined(order, "order_0")
        fixed = SortKey(literal(rank, Integer()), True, rank)
        if rank == 2:
            self._parts.append(~exists().where(mine))
            return [fixed, SortKey(literal(0.0, Double()), order.ascending, 0)]
        self._inner.append((joined, and_(mine, joined.c.is_nan == (rank == 1))))
        if rank == 1:
            return [fixed, SortKey(literal(0.0, Double()), order.ascending, 0)]
        return [fixed, SortKey(joined.c.value, order.ascending)]

    def _joined(self, order: Order, name: str) -> tuple[Any, ColumnElement[bool]]:
        part, owner = self._part(order.entity)
        joined = part.alias(name)
        mine = (joined.c.tenant == self._tenant, joined.c[owner.key] == self._subject.key, joined.c.key == order.key)
        return joined, and_(*mine)

    @staticmethod
    def _with_rank(rank: ColumnElement[int], value: ColumnElement[Any], ascending: bool) -> list[SortKey]:
        """Missing values come last in both directions."""
        nothing = literal("" if value.type.python_type is str else 0, value.type)
        return [SortKey(rank, True), SortKey(func.coalesce(value, nothing, type_=value.type), ascending)]

    def _part(self, entity: str) -> tuple[Table, Any]:
        if entity not in self._subject.parts:
            raise InvalidInput(
                f"Invalid entity type '{entity}' here. Use attributes or {', '.join(self._subject.parts)}s."
            )
        return self._subject.parts[entity]

    def _condition(self, clause: Clause) -> ColumnElement[bool]:
        if clause.entity == "attribute":
            column = self._subject.attributes[clause.key]
            value = clause.value
            if column is experiments.c.number:
                value = _numbers(clause)
            return self._compare(column, clause.comparator, value)
        part, owner = self._part(clause.entity)
        mine = [part.c.tenant == self._tenant, owner == self._subject.key]
        if clause.entity == "dataset":
            return exists().where(*mine, self._compare(part.c[clause.key], clause.comparator, clause.value))
        mine.append(part.c.key == clause.key)
        if clause.comparator == "IS NULL":
            return ~exists().where(*mine)
        if clause.comparator == "IS NOT NULL":
            return exists().where(*mine)
        compared = self._compare(part.c.value, clause.comparator, clause.value)
        if clause.entity == "metric":
            # NaN is kept as 0 with a mark; it differs from every number and compares to none.
            compared = (
                or_(compared, part.c.is_nan == true())
                if clause.comparator == "!="
                else and_(compared, part.c.is_nan == false())
            )
        return exists().where(*mine, compared)

    def _compare(self, column: ColumnElement[Any], comparator: str, value: Any) -> ColumnElement[bool]:
        return compare(column, comparator, value, self._dialect)


def _numbers(clause: Clause) -> Any:
    if clause.comparator not in ("=", "!=", "IN", "NOT IN"):
        raise InvalidInput(
            f"Invalid comparator '{clause.comparator}' for experiment_id. It takes one of: =, !=, IN, NOT IN."
        )
    texts = clause.value if isinstance(clause.value, tuple) else (str(clause.value),)
    numbers = [number_of(text) for text in texts]
    return numbers if isinstance(clause.value, tuple) else numbers[0]


def number_of(experiment_id: str) -> int:
    """An experiment's id as a number, which may be one that no experiment has. Raises InvalidInput."""
    digits = experiment_id.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise InvalidInput(f"Invalid experiment ID '{experiment_id[:60]}'. Experiment ID must be a valid integer.")
    return int(experiment_id)
