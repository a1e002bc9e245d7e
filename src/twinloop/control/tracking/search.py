"""Turns clauses and orders into SQL with every value bound, for runs and for experiments alike."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    ColumnElement,
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

from twinloop.control.tracking.comparing import compare
from twinloop.control.tracking.grammar import EXPERIMENTS, RUNS, Clause, Entity, Order, Vocabulary
from twinloop.control.tracking.model import View
from twinloop.control.tracking.repository import (
    experiment_tags,
    experiments,
    latest_metrics,
    run_inputs,
    run_params,
    run_tags,
    runs,
)
from twinloop.core.errors import InvalidInput


@dataclass(frozen=True)
class Subject:
    """A searchable table: its key column, its attributes, and the tables that hold one row per owner and key."""

    table: Table
    vocabulary: Vocabulary
    key: ColumnElement[Any]
    attributes: Mapping[str, ColumnElement[Any]]
    parts: Mapping[Entity, tuple[Table, ColumnElement[Any]]]
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
    tie=((experiments.c.created_ms, False), (experiments.c.number, False)),
)


class SortKey(NamedTuple):
    """A value rows are ordered by; never NULL, so that "behind this row" is a plain comparison."""

    value: ColumnElement[Any]
    ascending: bool


class Search:
    """One search: builds the statement of a page, and the token that goes on behind its last row."""

    def __init__(self, subject: Subject, tenant: str, dialect: str, orders: Sequence[Order]) -> None:
        self._subject = subject
        self._tenant = tenant
        self._dialect = dialect
        self._joins: list[tuple[Any, ColumnElement[bool]]] = []
        self._sort = [key for number, order in enumerate(orders) for key in self._sort_keys(number, order)]
        named = {order.key for order in orders if order.entity == "attribute"}
        names = {id(column): name for name, column in subject.attributes.items()}
        self._sort += [SortKey(column, up) for column, up in subject.tie if names[id(column)] not in named]
        self._mark = hashlib.sha256(repr(orders).encode()).hexdigest()[:8]

    def page(
        self, clauses: Sequence[Clause], view: View, limit: int, token: str | None, within: Sequence[int] | None = None
    ) -> Select[Any]:
        """Rows of the subject's table, then the sort values, at most ``limit``; ``within`` are experiment numbers."""
        table = self._subject.table
        labelled = [key.value.label(f"sort_{number}") for number, key in enumerate(self._sort)]
        source: Any = table
        for other, condition in self._joins:
            source = source.outerjoin(other, condition)
        query = select(table, *labelled).select_from(source).where(table.c.tenant == self._tenant)
        if view != "all":
            query = query.where(table.c.lifecycle == view)
        if within is not None:
            query = query.where(table.c.experiment.in_(within))
        query = query.where(*(self._condition(clause) for clause in clauses))
        if token is not None:
            query = query.where(self._behind(self._decode(token)))
        return query.order_by(*(key.value if key.ascending else key.value.desc() for key in self._sort)).limit(limit)

    def token(self, row: Any) -> str:
        """Where the page behind ``row`` begins."""
        values = [getattr(row, f"sort_{number}") for number in range(len(self._sort))]
        return base64.urlsafe_b64encode(msgspec.json.encode([self._mark, *values])).decode()

    def _decode(self, token: str) -> list[Any]:
        try:
            mark, *values = msgspec.json.decode(base64.urlsafe_b64decode(token.encode()), type=list[str | int | float])
        except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
            raise InvalidInput("Invalid page token. Give the next_page_token of the page before, unchanged.") from error
        if mark != self._mark or len(values) != len(self._sort):
            raise InvalidInput("The page token belongs to a search with another order_by. Start again without a token.")
        for value, key in zip(values, self._sort, strict=True):
            wanted = key.value.type.python_type
            if isinstance(value, str) != (wanted is str) or (isinstance(value, int) and abs(value) >= 2**63):
                raise InvalidInput("Invalid page token. Give the next_page_token of the page before, unchanged.")
        return values

    def _behind(self, values: Sequence[Any]) -> ColumnElement[bool]:
        condition: ColumnElement[bool] = false()
        for key, value in reversed(list(zip(self._sort, values, strict=True))):
            bound = literal(value, key.value.type)
            further = key.value > bound if key.ascending else key.value < bound
            condition = or_(further, and_(key.value == bound, condition))
        first = self._sort[0]
        bound = literal(values[0], first.value.type)
        # The same said of the first key alone, so that an index on it can start in the right place.
        return and_(first.value >= bound if first.ascending else first.value <= bound, condition)

    def _sort_keys(self, number: int, order: Order) -> list[SortKey]:
        if order.entity == "attribute":
            value = self._subject.attributes[order.key]
            if not value.nullable:
                return [SortKey(value, order.ascending)]
            return self._with_rank(case((value.is_(None), 1), else_=0), value, order.ascending)
        part, owner = self._part(order.entity)
        joined = part.alias(f"order_{number}")
        self._joins.append(
            (
                joined,
                and_(
                    joined.c.tenant == self._tenant, joined.c[owner.key] == self._subject.key, joined.c.key == order.key
                ),
            )
        )
        value = joined.c.value
        rank = case((value.is_(None), 2 if order.entity == "metric" else 1), else_=0)
        if order.entity == "metric":
            rank = case((joined.c.is_nan.is_(True), 1), (value.is_(None), 2), else_=0)
        return self._with_rank(rank, value, order.ascending)

    @staticmethod
    def _with_rank(rank: ColumnElement[int], value: ColumnElement[Any], ascending: bool) -> list[SortKey]:
        """Missing values come last in both directions."""
        nothing = literal("" if value.type.python_type is str else 0, value.type)
        return [SortKey(rank, True), SortKey(func.coalesce(value, nothing, type_=value.type), ascending)]

    def _part(self, entity: Entity) -> tuple[Table, Any]:
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
    """An experiment's id as a number. Raises InvalidInput."""
    if not (experiment_id.isascii() and experiment_id.isdigit() and len(experiment_id) <= 18):
        raise InvalidInput(f"Invalid experiment ID '{experiment_id[:60]}'. Experiment ID must be a valid integer.")
    return int(experiment_id)
