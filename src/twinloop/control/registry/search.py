"""Searches of cards and of revisions, in the grammar that runs are searched with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, select, true, tuple_

from twinloop.control.registry import card_rows, repository
from twinloop.control.registry.model import Card, Version
from twinloop.control.registry.tables import ON_SHELF, card_tags, cards, notes, revision_tags, revisions
from twinloop.control.search.comparing import compare
from twinloop.control.search.grammar import Vocabulary
from twinloop.control.search.keyset import Keyset, SortKey
from twinloop.control.search.page import Page
from twinloop.control.search.reader import Clause, Order

_ATTRIBUTES: Mapping[str, str] = {"attribute": "attribute", "attributes": "attribute"}
_ENTITIES: Mapping[str, str] = {**_ATTRIBUTES, "tag": "tag", "tags": "tag"}

CARDS = Vocabulary(entities=_ENTITIES, numeric=frozenset(), text=frozenset({"name"}), listed=frozenset({"name"}))
"""What cards are found by; ``name`` is the title."""

CARD_ORDER = Vocabulary(
    entities=_ATTRIBUTES,
    numeric=frozenset({"last_updated_timestamp"}),
    text=frozenset({"name"}),
    listed=frozenset(),
    aliases={"timestamp": "last_updated_timestamp"},
    unknown="Invalid order by key",
)

VERSIONS = Vocabulary(
    entities=_ENTITIES,
    numeric=frozenset({"version_number"}),
    text=frozenset({"name", "run_id", "source_path"}),
    listed=frozenset({"name", "run_id"}),
    whole=frozenset({"version_number"}),
)
"""What revisions are found by; ``name`` is the title of their card."""

VERSION_ORDER = Vocabulary(
    entities=_ATTRIBUTES,
    numeric=frozenset({"version_number", "creation_timestamp", "last_updated_timestamp"}),
    text=frozenset({"name"}),
    listed=frozenset(),
)


class Wish(NamedTuple):
    """What to find on a shelf: of which kinds (None is all), by which clauses, in which order, and from where on."""

    shelf: str | None
    kinds: Sequence[str] | None = None
    clauses: Sequence[Clause] = ()
    orders: Sequence[Order] = ()
    limit: int = 100
    token: str | None = None


_CARD_SORT: Mapping[str, ColumnElement[Any]] = {
    "name": cards.c.title,
    "last_updated_timestamp": cards.c.updated_ms,
}
_VERSION_SORT: Mapping[str, ColumnElement[Any]] = {
    "name": cards.c.title,
    "version_number": notes.c.number,
    "creation_timestamp": revisions.c.created_ns // 1_000_000,
    "last_updated_timestamp": notes.c.updated_ms,
}
_FEW = ("name", "run_id")
_NEWEST = [Order("attribute", "last_updated_timestamp", ascending=False)]


def find_cards(connection: Connection, tenant: str, wish: Wish) -> Page[Card]:
    """Cards by title, unless ``wish.orders`` says otherwise."""
    sort = [SortKey(_CARD_SORT[order.key], order.ascending) for order in wish.orders]
    if "name" not in {order.key for order in wish.orders}:
        sort.append(SortKey(cards.c.title, True))
    sort.append(SortKey(cards.c.kind, True))  # titles are unique on one shelf only
    keyset = _keyset(sort, wish)
    query = select(cards, *keyset.columns).where(*_on_shelf(tenant, wish), *_of_kinds(cards.c.kind, wish))
    query = query.where(*(_card_condition(clause, tenant, connection.dialect.name) for clause in wish.clauses))
    rows, following = _page(connection, query, keyset, wish)
    return Page(tuple(card_rows.card_of(row) for row in rows), following)


def find_versions(connection: Connection, tenant: str, wish: Wish) -> Page[Version]:
    """Revisions that are not deleted, the last updated first unless ``wish.orders`` says otherwise."""
    orders = wish.orders or _NEWEST
    named = {order.key for order in orders}
    few = any(
        clause.entity == "attribute" and clause.key in _FEW and clause.comparator in ("=", "IN")
        for clause in wish.clauses
    )
    sort = [SortKey(_sort_value(order.key, few), order.ascending) for order in orders]
    if "name" not in named:
        sort.append(SortKey(cards.c.title, True))
    sort.append(SortKey(cards.c.kind, True))
    if "version_number" not in named:
        sort.append(SortKey(notes.c.number, False))
    joined = notes.join(cards, _same(notes, cards)).join(
        revisions, and_(_same(notes, revisions), notes.c.number == revisions.c.number)
    )
    keyset = _keyset(sort, wish)
    query = select(revisions, cards.c.title, *repository.NOTED, *keyset.columns).select_from(joined)
    query = query.where(notes.c.tenant == tenant, notes.c.deleted.is_(False))
    query = query.where(*_on_shelf(tenant, wish), *_of_kinds(cards.c.kind + "" if few else notes.c.kind, wish))
    query = query.where(*(_version_condition(clause, tenant, connection.dialect.name) for clause in wish.clauses))
    query = query.where(*(_of_runs(clause, tenant) for clause in wish.clauses if clause.key == "run_id" and few))
    rows, following = _page(connection, query, keyset, wish)
    titles = {(row.kind, row.name): row.title for row in rows}
    return Page(tuple(repository.versions(connection, tenant, rows, titles)), following)


def _of_runs(clause: Clause, tenant: str) -> ColumnElement[bool]:
    """The same said as a list of keys, to begin with: what a run registered is found by the index of runs."""
    runs = clause.value if isinstance(clause.value, tuple) else (str(clause.value),)
    if clause.comparator not in ("=", "IN") or "" in runs:
        return true()
    mine = select(revisions.c.kind, revisions.c.name, revisions.c.number).where(
        revisions.c.tenant == tenant, revisions.c.run_id.in_(runs)
    )
    return tuple_(notes.c.kind, notes.c.name, notes.c.number).in_(mine)


def _on_shelf(tenant: str, wish: Wish) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [cards.c.tenant == tenant, ON_SHELF]
    if wish.shelf is not None:
        conditions.append(cards.c.shelf == wish.shelf)
    return conditions


def _of_kinds(kind: ColumnElement[Any], wish: Wish) -> list[ColumnElement[bool]]:
    """One kind is compared and not listed, so that an index behind it still gives the order."""
    if wish.kinds is None:
        return []
    return [kind == wish.kinds[0] if len(wish.kinds) == 1 else kind.in_(wish.kinds)]


def _sort_value(key: str, few: bool) -> ColumnElement[Any]:
    """What to order by; where a clause leaves ``few`` rows, as no index has it, so that no planner walks through one."""
    value = _VERSION_SORT[key]
    return value + 0 if few and value.type.python_type is int else value


def _same(one: Any, other: Any) -> ColumnElement[bool]:
    return and_(one.c.tenant == other.c.tenant, one.c.kind == other.c.kind, one.c.name == other.c.name)


def _card_condition(clause: Clause, tenant: str, dialect: str) -> ColumnElement[bool]:
    if clause.entity == "attribute":
        return compare(cards.c.title, clause.comparator, clause.value, dialect)
    return _tagged(clause, card_tags, [_same(card_tags, cards)], tenant, dialect)


def _version_condition(clause: Clause, tenant: str, dialect: str) -> ColumnElement[bool]:
    if clause.entity == "tag":
        mine = [_same(revision_tags, notes), revision_tags.c.number == notes.c.number]
        return _tagged(clause, revision_tags, mine, tenant, dialect)
    match clause.key:
        case "name":
            column: ColumnElement[Any] = cards.c.title
        case "version_number":
            column = notes.c.number
        case "run_id":
            column = _absent_as_empty(revisions.c.run_id, clause)
        case _:
            column = _absent_as_empty(revisions.c.source, clause)
    return compare(column, clause.comparator, clause.value, dialect)


def _absent_as_empty(column: ColumnElement[Any], clause: Clause) -> ColumnElement[Any]:
    """What differs from a value differs from none at all; an index serves the other comparisons."""
    values = clause.value if isinstance(clause.value, tuple) else (clause.value,)
    plain = clause.comparator in ("=", "IN", "LIKE", "ILIKE") and "" not in values
    return column if plain else func.coalesce(column, "")


def _tagged(
    clause: Clause, tags: Any, mine: list[ColumnElement[bool]], tenant: str, dialect: str
) -> ColumnElement[bool]:
    found = exists().where(tags.c.tenant == tenant, *mine, tags.c.key == clause.key)
    if clause.comparator == "IS NULL":
        return ~found
    if clause.comparator == "IS NOT NULL":
        return found
    return found.where(compare(tags.c.value, clause.comparator, clause.value, dialect))


def _page(connection: Connection, query: Select[Any], keyset: Keyset, wish: Wish) -> tuple[list[Any], str | None]:
    """The rows of one page, and the token that goes on behind its last row."""
    if wish.token is not None:
        query = query.where(keyset.behind(keyset.decode(wish.token)))
    rows = list(connection.execute(query.order_by(*keyset.order).limit(wish.limit + 1)).all())
    shown = rows[: wish.limit]
    return shown, keyset.token(shown[-1]) if len(rows) > wish.limit else None


def _keyset(sort: Sequence[SortKey], wish: Wish) -> Keyset:
    return Keyset(sort, hashlib.sha256(repr(wish.orders).encode()).hexdigest()[:8])
