"""The search over runs, planned so that it costs no more with fifty thousand runs than with five."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select

from twinloop.control.search.comparing import compare
from twinloop.control.search.grammar import parse_filter, parse_order
from twinloop.control.search.page import Page
from twinloop.control.search.reader import Clause, Order
from twinloop.control.tracking import repository
from twinloop.control.tracking.model import Query, Run
from twinloop.control.tracking.search import RUN_SUBJECT, RUNS, Search
from twinloop.control.tracking.tables import latest_metrics

_FEW = 1000
"""Runs that fit a clause on a metric are found by its value when there are at most this many, and otherwise by looking
at one run after another in the order asked for, which soon fills a page with so many that fit."""

_RANGES = frozenset({"=", "<", "<=", ">", ">="})
_RANKS = (0, 1, 2)


def search(connection: Connection, tenant: str, within: Sequence[int], query: Query) -> Page[Run]:
    """Raises InvalidInput when the filter, the order or the token is wrong."""
    orders = parse_order(query.order, RUNS)
    clauses = parse_filter(query.filter, RUNS)
    among = _among(connection, tenant, within, clauses)
    rows: list[Any] = []
    for rank in _RANKS if _by_metric(orders) and among is None else (None,):
        asked = Search(RUN_SUBJECT, tenant, connection.dialect.name, orders, rank)
        more = query.limit + 1 - len(rows)
        found = connection.execute(asked.page(clauses, query.view, more, query.token, within, among)).all()
        rows += found
        if len(rows) > query.limit:
            break
    shown = rows[: query.limit]
    following = asked.token(shown[-1]) if len(rows) > query.limit else None
    return Page(tuple(repository.load(connection, tenant, shown)), following)


def _by_metric(orders: Sequence[Order]) -> bool:
    return bool(orders) and orders[0].entity == "metric"


def _among(connection: Connection, tenant: str, within: Sequence[int], clauses: Sequence[Clause]) -> list[str] | None:
    """The runs that fit the rarest clause on a metric; None when every such clause fits many, or there is none."""
    best: list[str] | None = None
    for clause in clauses:
        if clause.entity != "metric" or clause.comparator not in _RANGES:
            continue
        most = _FEW if best is None else len(best)
        values = _fitting(latest_metrics.c.value, tenant, within, clause, connection.dialect.name).limit(most + 1)
        if connection.execute(select(func.count()).select_from(values.subquery())).scalar_one() <= most:
            ids = _fitting(latest_metrics.c.run, tenant, within, clause, connection.dialect.name)
            best = list(connection.execute(ids).scalars())
    return best


def _fitting(
    column: ColumnElement[Any], tenant: str, within: Sequence[int], clause: Clause, dialect: str
) -> Select[Any]:
    last = latest_metrics.c
    return select(column).where(
        last.tenant == tenant,
        last.experiment.in_(within),
        last.key == clause.key,
        last.is_nan.is_(False),
        compare(last.value, clause.comparator, clause.value, dialect),
    )
