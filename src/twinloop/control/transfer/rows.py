"""Queries that carry rows of any shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, or_, select, tuple_

from twinloop.control.transfer.model import Row, Scope, Sum
from twinloop.control.transfer.shape import Shape, sum_of_values
from twinloop.core.errors import InvalidInput

_PART = 200


def read(
    connection: Connection,
    tenant: str,
    shape: Shape,
    scopes: Sequence[Scope] | None,
    after: Sequence[Any] | None,
    limit: int,
    by: Sequence[str] | None = None,
) -> list[Row]:
    """Rows by key behind ``after``; where ``scopes`` are given, those alone whose scope, or columns ``by``, are among them."""
    if scopes is not None and len(scopes) > _PART:
        # One statement holds a bounded number of parameters; what is asked for by so many is small, and put in order here.
        found = [row for part in _parts(scopes) for row in read(connection, tenant, shape, part, after, limit, by)]
        return sorted(found, key=shape.key_of)[:limit]
    if shape.reader is not None:
        return shape.reader(connection, tenant, scopes, after, limit)
    table, place = shape.table, [shape.table.c[name] for name in shape.key]
    query = select(*(table.c[name] for name in shape.columns)).where(table.c.tenant == tenant)
    if scopes is not None:
        query = query.where(_among(shape, by or shape.scope, scopes))
    if after is not None:
        query = query.where(_behind(place, after))
    rows = connection.execute(query.order_by(*place).limit(limit))
    return [dict(zip(shape.columns, row, strict=True)) for row in rows]


def insert(connection: Connection, tenant: str, shape: Shape, rows: Sequence[Row]) -> int:
    """Add rows; one whose key is there already is left as it is. Returns how many are new."""
    if not rows:
        return 0
    if shape.writer is not None:
        return shape.writer(connection, tenant, rows)
    return shape.insertion.rows(connection, shape.flat(tenant, rows))


def keys(connection: Connection, tenant: str, shape: Shape, wanted: Iterable[Scope]) -> set[Scope]:
    """Those of ``wanted``, keys of rows, that are there."""
    return present(connection, tenant, shape, shape.key, wanted)


def present(
    connection: Connection, tenant: str, shape: Shape, columns: Sequence[str], wanted: Iterable[Scope]
) -> set[Scope]:
    """Those of ``wanted``, values of ``columns``, that some row has."""
    found: set[Scope] = set()
    for part in _parts(list(dict.fromkeys(wanted))):
        query = select(*(shape.table.c[name] for name in columns)).where(shape.table.c.tenant == tenant)
        found.update(tuple(row) for row in connection.execute(query.where(_among(shape, columns, part))))
    return found


def sums(
    connection: Connection, tenant: str, shape: Shape, scopes: Sequence[Scope], without: Sequence[str] = ()
) -> dict[Scope, Sum]:
    """Count and digest of the rows of each scope, over all columns but some; none for a scope without rows."""
    found: dict[Scope, list[Any]] = {}
    parts = _parts(list(dict.fromkeys(scopes)))
    if shape.summer is None and shape.reader is not None:
        raise InvalidInput(f"Rows of {shape.name} cannot be added up. Read them instead.")
    if shape.summer is not None:
        return {scope: each for part in parts for scope, each in shape.summer(connection, tenant, part).items()}
    owner = [shape.columns.index(name) for name in shape.scope]
    for part in parts:
        columns = [shape.table.c[name] for name in shape.columns]
        query = select(*columns).where(shape.table.c.tenant == tenant, _among(shape, shape.scope, part))
        for row in connection.execute(query):
            found.setdefault(tuple(row[at] for at in owner), []).append(row)
    return {scope: sum_of_values(shape, mine, without) for scope, mine in found.items()}


def _among(shape: Shape, columns: Sequence[str], values: Sequence[Scope]) -> ColumnElement[bool]:
    if len(columns) == 1:
        return shape.table.c[columns[0]].in_([value[0] for value in values])
    return tuple_(*(shape.table.c[name] for name in columns)).in_([tuple(value) for value in values])


def _behind(place: Sequence[ColumnElement[Any]], after: Sequence[Any]) -> ColumnElement[bool]:
    """Whether a row comes after another, column by column, so that NULL and mixed types are no matter."""
    conditions = []
    for index, column in enumerate(place):
        same = [earlier == value for earlier, value in zip(place[:index], after[:index], strict=True)]
        conditions.append(and_(*same, column > after[index]))
    return or_(*conditions)


def _parts(values: Sequence[Scope]) -> Iterator[Sequence[Scope]]:
    for start in range(0, len(values), _PART):
        yield values[start : start + _PART]
