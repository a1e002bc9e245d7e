"""The search over logged models, in the grammar of MLflow's client for them.

A clause on a metric fits a model when any of its points fits; given datasets, only points measured on one of them count.
An order by a metric takes a model's newest point, where it says so of one dataset.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, case, exists, false, func, literal, or_, select, true

from twinloop.control.search.comparing import compare
from twinloop.control.search.grammar import Vocabulary, parse_filter
from twinloop.control.search.keyset import Keyset, SortKey
from twinloop.control.search.page import Page
from twinloop.control.search.reader import Clause
from twinloop.control.tracking import model_rows
from twinloop.control.tracking.model import LoggedModel
from twinloop.control.tracking.tables import (
    logged_model_metrics,
    logged_model_params,
    logged_model_tags,
    logged_models,
)
from twinloop.core.errors import InvalidInput

_ENTITIES: dict[str, str] = {
    "attributes": "attribute",
    "metrics": "metric",
    "params": "param",
    "tags": "tag",
}
_TIMES = {
    "creation_timestamp": logged_models.c.created_ms,
    "creation_timestamp_ms": logged_models.c.created_ms,
    "creation_time": logged_models.c.created_ms,
    "last_updated_timestamp": logged_models.c.updated_ms,
    "last_updated_timestamp_ms": logged_models.c.updated_ms,
}
_TEXTS = {
    "name": logged_models.c.name,
    "model_id": logged_models.c.id,
    "model_type": func.coalesce(logged_models.c.type, "", type_=logged_models.c.type.type),
    "source_run_id": func.coalesce(logged_models.c.run, "", type_=logged_models.c.run.type),
    "status": logged_models.c.status,
    "artifact_location": logged_models.c.artifact_uri,
}
_COLUMNS: dict[str, ColumnElement[Any]] = {
    **_TIMES,
    **_TEXTS,
    "experiment_id": logged_models.c.experiment,
}
_WORDS = Vocabulary(_ENTITIES, frozenset(_TIMES), frozenset(_TEXTS), frozenset(_TEXTS), listed_pairs=True)
_PAIRS = {"param": logged_model_params, "tag": logged_model_tags}
_ORDERS = 20
_OTHER = (
    "Experiment IDs in the page token do not match",
    "Filter string in the page token does not match",
    "Order by in the page token does not match",
)


class OnDataset(msgspec.Struct, frozen=True):
    """Points measured on a dataset of this name, and of this digest where it is given."""

    name: str | None = None
    digest: str | None = None


class ModelOrder(msgspec.Struct, frozen=True):
    """``field`` is an attribute, or ``metrics.`` and a key."""

    field: str
    ascending: bool = True
    on: OnDataset = OnDataset()


class ModelQuery(msgspec.Struct, frozen=True):
    filter: str = ""
    datasets: tuple[OnDataset, ...] = ()
    order: tuple[ModelOrder, ...] = ()
    limit: int = 100
    token: str | None = None


class _Token(msgspec.Struct, frozen=True):
    """A page token names the search it belongs to, so that it cannot go on in another one."""

    experiments: str
    filter: str
    order: str
    behind: str


def search(connection: Connection, tenant: str, experiments: Sequence[int], query: ModelQuery) -> Page[LoggedModel]:
    """Active models of these experiments, newest first unless ``query.order`` says otherwise. Raises InvalidInput."""
    dialect = connection.dialect.name
    keyset = Keyset(_sort_keys(tenant, query.order), _mark(query.order))
    clauses = _clauses(query.filter)
    mine = [
        logged_models.c.tenant == tenant,
        logged_models.c.lifecycle == "active",
        logged_models.c.experiment.in_(experiments),
        *(_condition(tenant, clause, query.datasets, dialect) for clause in clauses),
    ]
    if query.datasets and not any(clause.entity == "metric" for clause in clauses):
        mine.append(exists().where(*_points(tenant), _on_any(query.datasets)))
    if query.token is not None:
        mine.append(keyset.behind(keyset.decode(_behind(query.token, experiments, query))))
    asked = select(logged_models, *keyset.columns).where(*mine).order_by(*keyset.order).limit(query.limit + 1)
    rows = connection.execute(asked).all()
    shown = rows[: query.limit]
    following = _token(keyset.token(shown[-1]), experiments, query) if len(rows) > query.limit else None
    return Page(tuple(model_rows.load(connection, tenant, shown)), following)


def _clauses(text: str) -> tuple[Clause, ...]:
    """The filter's clauses; what is wrong with one is said in the words of MLflow's client for logged models."""
    try:
        return parse_filter(text, _WORDS)
    except InvalidInput as error:
        if error.message.startswith("Invalid entity type"):
            raise
        if error.message.startswith("Invalid comparator '"):
            raise InvalidInput(error.message.replace("Invalid comparator", "Invalid comparison operator", 1)) from error
        raise InvalidInput(f"Invalid filter string: {text[:200]!r}. {error.message}") from error


def _condition(tenant: str, clause: Clause, datasets: Sequence[OnDataset], dialect: str) -> ColumnElement[bool]:
    if clause.entity == "attribute":
        return compare(_COLUMNS[clause.key], clause.comparator, clause.value, dialect)
    if clause.entity == "metric":
        points = logged_model_metrics.c
        fits = compare(points.value, clause.comparator, clause.value, dialect)
        nan = points.is_nan == true()
        fits = or_(fits, nan) if clause.comparator == "!=" else and_(fits, points.is_nan == false())
        return exists().where(*_points(tenant), points.key == clause.key, fits, _on_any(datasets))
    pairs = _PAIRS[clause.entity]
    held = (pairs.c.tenant == tenant, pairs.c.model == logged_models.c.id, pairs.c.key == clause.key)
    if clause.comparator == "IS NULL":
        return ~exists().where(*held)
    if clause.comparator == "IS NOT NULL":
        return exists().where(*held)
    return exists().where(*held, compare(pairs.c.value, clause.comparator, clause.value, dialect))


def _points(tenant: str) -> tuple[ColumnElement[bool], ...]:
    return (logged_model_metrics.c.tenant == tenant, logged_model_metrics.c.model == logged_models.c.id)


def _on_any(datasets: Sequence[OnDataset]) -> ColumnElement[bool]:
    return or_(*(and_(true(), *_on(dataset)) for dataset in datasets)) if datasets else true()


def _on(dataset: OnDataset) -> list[ColumnElement[bool]]:
    points = logged_model_metrics.c
    named = [] if dataset.name is None else [points.dataset_name == dataset.name]
    return named if dataset.digest is None else [*named, points.dataset_digest == dataset.digest]


def _sort_keys(tenant: str, orders: Sequence[ModelOrder]) -> list[SortKey]:
    if len(orders) > _ORDERS:
        raise InvalidInput(f"order_by has {len(orders)} items; {_ORDERS} is the most.")
    keys: list[SortKey] = []
    columns: list[Any] = []
    for order in orders:
        entity, dot, key = order.field.partition(".")
        if not dot or entity == "attributes":
            column = _COLUMNS.get(key or entity)
            if column is None:
                raise InvalidInput(f"Invalid order by field name: {order.field[:100]}. Use: {', '.join(_COLUMNS)}.")
            columns.append(column)
            keys += _last_if_missing(column, order.ascending)
        elif entity == "metrics":
            keys += _last_if_missing(_newest(tenant, key.strip("`"), order.on), order.ascending)
        else:
            raise InvalidInput(f"Invalid order by field name: {order.field[:100]}. Only metrics are supported.")
    for column, ascending in ((logged_models.c.created_ms, False), (logged_models.c.id, True)):
        if not any(column is named for named in columns):
            keys.append(SortKey(column, ascending))
    return keys


def _newest(tenant: str, key: str, on: OnDataset) -> ColumnElement[Any]:
    points = logged_model_metrics.c
    newest = (
        select(points.value)
        .where(*_points(tenant), points.key == key, points.is_nan == false(), *_on(on))
        .order_by(points.at_ms.desc(), points.step.desc(), points.run)
        .limit(1)
    )
    return newest.scalar_subquery()


def _last_if_missing(value: ColumnElement[Any], ascending: bool) -> list[SortKey]:
    nothing = literal("" if value.type.python_type is str else 0, value.type)
    present = SortKey(func.coalesce(value, nothing, type_=value.type), ascending)
    return [SortKey(case((value.is_(None), 1), else_=0), True), present]


def _mark(orders: Sequence[ModelOrder]) -> str:
    return hashlib.sha256(msgspec.json.encode(list(orders))).hexdigest()[:8]


def _names(experiments: Sequence[int], query: ModelQuery) -> tuple[str, str, str]:
    among = hashlib.sha256(repr(sorted(set(experiments))).encode()).hexdigest()[:16]
    return among, hashlib.sha256(query.filter.encode()).hexdigest()[:16], _mark(query.order)


def _token(behind: str, experiments: Sequence[int], query: ModelQuery) -> str:
    token = _Token(*_names(experiments, query), behind)
    return base64.urlsafe_b64encode(msgspec.json.encode(token)).decode()


def _behind(token: str, experiments: Sequence[int], query: ModelQuery) -> str:
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(token.encode()), type=_Token)
    except (ValueError, msgspec.MsgspecError) as error:
        raise InvalidInput("Invalid page token. Give the next_page_token of the page before, unchanged.") from error
    held = (found.experiments, found.filter, found.order)
    for mine, asked, words in zip(held, _names(experiments, query), _OTHER, strict=True):
        if mine != asked:
            raise InvalidInput(f"{words} those of this search. Start again without a token.")
    return found.behind
