"""Reads the rows of many cards or revisions at once, by index and in statements that are compiled once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Select

CardKey = tuple[str, str]
"""Kind and name."""
Key = tuple[str, str, int]
"""Kind, name and number."""

_NAMES = 200
_CROSSING = 1_000
"""Names times numbers that one statement may look for; rows it finds beside the wanted ones are dropped."""


def of_cards(connection: Connection, query: Select[Any], table: Any, tenant: str, keys: Sequence[CardKey]) -> list[Any]:
    """Rows of ``query``, which selects from ``table``, that belong to one of the cards."""
    rows: list[Any] = []
    for kind in sorted({kind for kind, _ in keys}):
        names = sorted({name for own, name in keys if own == kind})
        for start in range(0, len(names), _NAMES):
            mine = (table.c.tenant == tenant, table.c.kind == kind, table.c.name.in_(names[start : start + _NAMES]))
            rows += connection.execute(query.where(*mine))
    return rows


def of_revisions(connection: Connection, query: Select[Any], table: Any, tenant: str, keys: Sequence[Key]) -> list[Any]:
    """Rows of ``query``, which selects from ``table`` and shows kind, name and number, of one of the revisions."""
    wanted = set(keys)
    rows: list[Any] = []
    for kind, names, numbers in _chunks(wanted):
        mine = (table.c.tenant == tenant, table.c.kind == kind, table.c.name.in_(names), table.c.number.in_(numbers))
        rows += (row for row in connection.execute(query.where(*mine)) if (row.kind, row.name, row.number) in wanted)
    return rows


def _chunks(keys: Iterable[Key]) -> Iterator[tuple[str, list[str], list[int]]]:
    """Keys of one kind each, such that names and numbers do not cross too often."""
    current = ""
    names: set[str] = set()
    numbers: set[int] = set()
    for kind, name, number in sorted(keys, key=lambda key: (key[0], key[2], key[1])):
        grown = (len(names | {name})) * (len(numbers | {number}))
        if names and (kind != current or grown > _CROSSING or len(names) >= _NAMES):
            yield current, sorted(names), sorted(numbers)
            names, numbers = set(), set()
        current = kind
        names.add(name)
        numbers.add(number)
    if names:
        yield current, sorted(names), sorted(numbers)
