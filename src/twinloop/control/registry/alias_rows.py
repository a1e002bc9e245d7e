"""Queries of aliases: movable names on revisions."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from twinloop.control.registry import event_rows
from twinloop.control.registry.model import Act, Card
from twinloop.control.registry.tables import aliases
from twinloop.control.store.sql import upsert


def of_card(connection: Connection, tenant: str, card: Card) -> dict[str, int]:
    """Alias to revision number."""
    query = select(aliases.c.alias, aliases.c.number).where(
        aliases.c.tenant == tenant, aliases.c.kind == card.kind, aliases.c.name == card.name
    )
    return {row.alias: row.number for row in connection.execute(query.order_by(aliases.c.alias))}


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
