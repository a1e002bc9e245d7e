"""Queries of aliases: movable names on revisions."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from twinloop.control.registry import event_rows, keys
from twinloop.control.registry.model import Act, Card
from twinloop.control.registry.tables import aliases
from twinloop.control.store.sql import upsert


def of_cards(connection: Connection, tenant: str, found: Sequence[Card]) -> dict[tuple[str, str], dict[str, int]]:
    """Alias to revision number, by kind and name of the card."""
    pointing: dict[tuple[str, str], dict[str, int]] = {}
    wanted = [(card.kind, card.name) for card in found]
    for row in keys.of_cards(connection, select(aliases).order_by(aliases.c.alias), aliases, tenant, wanted):
        pointing.setdefault((row.kind, row.name), {})[row.alias] = row.number
    return pointing


def of_card(connection: Connection, tenant: str, card: Card) -> dict[str, int]:
    """Alias to revision number."""
    return of_cards(connection, tenant, [card]).get((card.kind, card.name), {})


def move(connection: Connection, act: Act, card: Card, alias: str, number: int) -> None:
    key = {"tenant": act.tenant, "kind": card.kind, "name": card.name, "alias": alias}
    before = of_card(connection, act.tenant, card).get(alias)
    upsert(connection, aliases, [{**key, "number": number}], tuple(key), ("number",))
    detail = {"alias": alias, "from": before}
    event_rows.append(connection, act, (card.kind, card.name, card.title), "alias.set", number, detail)


def remove(connection: Connection, act: Act, card: Card, alias: str) -> None:
    """An alias that is not there is no error."""
    number = of_card(connection, act.tenant, card).get(alias)
    if number is None:
        return
    connection.execute(
        delete(aliases).where(
            aliases.c.tenant == act.tenant,
            aliases.c.kind == card.kind,
            aliases.c.name == card.name,
            aliases.c.alias == alias,
        )
    )
    event_rows.append(connection, act, (card.kind, card.name, card.title), "alias.removed", number, {"alias": alias})
