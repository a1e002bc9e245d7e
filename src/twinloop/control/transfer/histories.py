"""Append-only histories, whose rows have only a running number to tell them apart: carried by their position in a group."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Integer, Table, and_, insert, or_, select, tuple_

from twinloop.control.transfer.model import Row, Scope
from twinloop.control.transfer.shape import Need, Shape

_ALL = 2**31 - 1
_encode = msgspec.json.Encoder(order="deterministic").encode


def history(
    name: str,
    table: Table,
    group: tuple[str, ...],
    check: Callable[[Row], None],
    sequence: str = "sequence",
    needs: tuple[Need, ...] = (),
) -> Shape:
    """The shape of a table whose rows are numbered by the column ``sequence``.

    ``position`` counts the rows of a ``group`` from 0. Rows that come in are added behind those of their group that are
    there; one that is there already is left out, and two equal ones stay two.
    """

    def read(
        connection: Connection, tenant: str, scopes: Sequence[Scope] | None, after: Sequence[Any] | None, limit: int
    ) -> list[Row]:
        place = [table.c[column] for column in group]
        query = select(table).where(table.c.tenant == tenant)
        if scopes is not None:
            query = query.where(tuple_(*place).in_([tuple(scope) for scope in scopes]))
        if after is not None:
            # The histories of one group are short, so it is read again from its beginning and what was given is dropped.
            query = query.where(or_(tuple_(*place) > tuple_(*after[:-1]), _equal(place, after[:-1])))
        counted: Counter[tuple[Any, ...]] = Counter()
        found: list[Row] = []
        for row in connection.execute(query.order_by(*place, table.c[sequence])):
            own = tuple(row._mapping[column] for column in group)
            item = {**row._mapping, "position": counted[own]}
            counted[own] += 1
            if after is None or [*own, item["position"]] > list(after):
                found.append({column: item[column] for column in shape.columns})
                if len(found) >= limit:
                    break
        return found

    def write(connection: Connection, tenant: str, rows: Sequence[Row]) -> int:
        groups: dict[Scope, list[Row]] = defaultdict(list)
        for row in sorted(rows, key=shape.key_of):
            groups[tuple(row[column] for column in group)].append(row)
        added = 0
        for own, mine in groups.items():
            held = Counter(_seen(row) for row in read(connection, tenant, [own], None, _ALL))
            for row in mine:
                if held[_seen(row)]:
                    held[_seen(row)] -= 1
                    continue
                values = {column: value for column, value in row.items() if column != "position"}
                connection.execute(insert(table).values(tenant=tenant, **values))
                added += 1
        return added

    shape = Shape(
        name=name,
        table=table,
        key=(*group, "position"),
        scope=group,
        needs=needs,
        hidden=frozenset({sequence}),
        virtual={"position": Column("position", Integer, nullable=False)},
        check=check,
        reader=read,
        writer=write,
    )
    return shape


def _seen(row: Row) -> bytes:
    return _encode({column: value for column, value in row.items() if column != "position"})


def _equal(place: Sequence[Any], values: Sequence[Any]) -> Any:
    return and_(*(column == value for column, value in zip(place, values, strict=True)))
