"""Queries of cards and their tags. Cards come without their tags, which few who look one up need."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from twinloop.control.registry import event_rows, keys
from twinloop.control.registry.errors import CardNotFound, TitleTaken
from twinloop.control.registry.model import Act, Card, Revision
from twinloop.control.registry.tables import ON_SHELF, aliases, card_tags, cards, notes
from twinloop.control.store.sql import upsert
from twinloop.core.errors import InvalidInput
from twinloop.core.ids import check_name

_SLUG = 100


class Named(NamedTuple):
    """A card by its name in references; where no card has the name, by its title on the shelf of its kind."""

    kind: str
    name: str
    shelf: str


class Titled(NamedTuple):
    """A card by what people call it, among those of one shelf."""

    shelf: str
    title: str


Which = Named | Titled


def find(connection: Connection, tenant: str, which: Which) -> Card | None:
    """The card that is not deleted."""
    if isinstance(which, Titled):
        return _one(connection, *_titled(tenant, which.shelf, which.title))
    named = _one(connection, *_key(tenant, which.kind, which.name), ON_SHELF)
    return named or _one(connection, *_titled(tenant, which.shelf, which.name), cards.c.kind == which.kind)


def get(connection: Connection, tenant: str, which: Which) -> Card:
    """Raises CardNotFound."""
    found = find(connection, tenant, which)
    if found is None:
        raise CardNotFound(which.title if isinstance(which, Titled) else f"{which.kind}/{which.name}")
    return found


def kept(connection: Connection, tenant: str, kind: str, name: str) -> Card | None:
    """The card of this very name, deleted or not."""
    return _one(connection, *_key(tenant, kind, name))


def of_revision(connection: Connection, tenant: str, revision: Revision) -> Card:
    """The card of a revision, deleted or not."""
    return kept(connection, tenant, revision.kind, revision.name) or Card(
        revision.kind, revision.name, revision.kind, revision.name, None, 0, 0, revision.created_by, 0
    )


def reload(connection: Connection, tenant: str, card: Card) -> Card:
    """The card as it is now."""
    return kept(connection, tenant, card.kind, card.name) or card


def name_of(connection: Connection, tenant: str, which: Named) -> str:
    """The name under which it is kept: itself, or that of the card whose title it is."""
    known = connection.execute(select(cards.c.deleted).where(*_key(tenant, which.kind, which.name))).scalar()
    if known is False:
        return which.name
    titled = (*_titled(tenant, which.shelf, which.name), cards.c.kind == which.kind)
    return connection.execute(select(cards.c.name).where(*titled)).scalar() or which.name


def make(
    connection: Connection,
    act: Act,
    kind: str,
    shelf: str,
    title: str,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Card:
    """Add a card under a name that was never used.

    Raises:
        TitleTaken: a card of the shelf has this title.
    """
    _require_free(connection, act.tenant, shelf, title)
    return _insert(
        connection, act, kind, _free_name(connection, act.tenant, kind, title), shelf, title, description, tags
    )


def ensure(connection: Connection, act: Act, which: Named) -> Card:
    """The card of ``kind/name``, made when there is none, or taken up again when it was deleted."""
    kind, name, shelf = which
    found = find(connection, act.tenant, which)
    if found is not None:
        touch(connection, act, found)
        return found
    there = kept(connection, act.tenant, kind, name)
    title = _free_title(connection, act.tenant, shelf, kind, name)
    if there is None:
        return _insert(connection, act, kind, name, shelf, title, None, None)
    connection.execute(
        update(cards)
        .where(*_key(act.tenant, kind, name))
        .values(deleted=False, title=title, description=None, updated_ms=act.at_ms)
    )
    event_rows.append(connection, act, (kind, name, title), "card.created", detail={"again": True})
    return reload(connection, act.tenant, there)


def touch(connection: Connection, act: Act, card: Card) -> None:
    connection.execute(update(cards).where(*_key(act.tenant, card.kind, card.name)).values(updated_ms=act.at_ms))


def describe(connection: Connection, act: Act, card: Card, description: str | None) -> None:
    connection.execute(
        update(cards)
        .where(*_key(act.tenant, card.kind, card.name))
        .values(description=description, updated_ms=act.at_ms)
    )
    detail = {"description": description, "before": card.description}
    event_rows.append(connection, act, (card.kind, card.name, card.title), "card.described", detail=detail)


def require_approvals(connection: Connection, act: Act, card: Card, count: int) -> None:
    """How many must approve from now on; what is live stays live."""
    connection.execute(
        update(cards).where(*_key(act.tenant, card.kind, card.name)).values(approvals=count, updated_ms=act.at_ms)
    )
    detail = {"approvals": count, "before": card.approvals}
    event_rows.append(connection, act, (card.kind, card.name, card.title), "card.described", detail=detail)


def rename(connection: Connection, act: Act, card: Card, title: str) -> None:
    """Change what people call it. Raises TitleTaken when another card of the shelf is called so."""
    if title != card.title:
        _require_free(connection, act.tenant, card.shelf, title)
    connection.execute(
        update(cards).where(*_key(act.tenant, card.kind, card.name)).values(title=title, updated_ms=act.at_ms)
    )
    mine = (notes.c.tenant == act.tenant, notes.c.kind == card.kind, notes.c.name == card.name)
    connection.execute(update(notes).where(*mine).values(updated_ms=act.at_ms))
    detail = {"from": card.title, "to": title}
    event_rows.append(connection, act, (card.kind, card.name, title), "card.renamed", detail=detail)


def remove(connection: Connection, act: Act, card: Card) -> None:
    """Take the card, its tags and aliases out of sight; its revisions are marked by the caller."""
    connection.execute(
        update(cards).where(*_key(act.tenant, card.kind, card.name)).values(deleted=True, updated_ms=act.at_ms)
    )
    for table in (card_tags, aliases):
        mine = (table.c.tenant == act.tenant, table.c.kind == card.kind, table.c.name == card.name)
        connection.execute(delete(table).where(*mine))
    event_rows.append(connection, act, (card.kind, card.name, card.title), "card.deleted")


def put_tag(connection: Connection, act: Act, card: Card, key: str, value: str) -> None:
    owner = {"tenant": act.tenant, "kind": card.kind, "name": card.name, "key": key}
    upsert(connection, card_tags, [{**owner, "value": value}], tuple(owner), ("value",))
    detail = {"key": key, "value": value}
    event_rows.append(connection, act, (card.kind, card.name, card.title), "card.tagged", detail=detail)


def remove_tag(connection: Connection, act: Act, card: Card, key: str) -> None:
    """A tag that is not there is no error."""
    mine = (card_tags.c.tenant == act.tenant, card_tags.c.kind == card.kind, card_tags.c.name == card.name)
    if connection.execute(delete(card_tags).where(*mine, card_tags.c.key == key)).rowcount:
        event_rows.append(connection, act, (card.kind, card.name, card.title), "card.untagged", detail={"key": key})


def tagged(connection: Connection, tenant: str, found: Sequence[Card]) -> list[Card]:
    """The same cards with their tags."""
    tags: dict[tuple[str, str], dict[str, str]] = {}
    wanted = [(card.kind, card.name) for card in found]
    for tag in keys.of_cards(connection, select(card_tags).order_by(card_tags.c.key), card_tags, tenant, wanted):
        tags.setdefault((tag.kind, tag.name), {})[tag.key] = tag.value
    return [msgspec.structs.replace(card, tags=tags.get((card.kind, card.name), {})) for card in found]


def _insert(
    connection: Connection,
    act: Act,
    kind: str,
    name: str,
    shelf: str,
    title: str,
    description: str | None,
    tags: Mapping[str, str] | None,
) -> Card:
    card = Card(kind, name, shelf, title, description, 0, act.at_ms, act.by, act.at_ms, tags=dict(tags or {}))
    connection.execute(
        insert(cards).values(
            tenant=act.tenant,
            kind=kind,
            name=name,
            shelf=shelf,
            title=title,
            description=description,
            approvals=0,
            created_ms=act.at_ms,
            created_by=act.by,
            updated_ms=act.at_ms,
            deleted=False,
        )
    )
    owner = {"tenant": act.tenant, "kind": kind, "name": name}
    if tags:
        connection.execute(insert(card_tags), [{**owner, "key": key, "value": tags[key]} for key in tags])
    detail = {"description": description, "tags": dict(tags or {})}
    event_rows.append(connection, act, (kind, name, title), "card.created", detail=detail)
    return card


def _require_free(connection: Connection, tenant: str, shelf: str, title: str) -> None:
    holder = find(connection, tenant, Titled(shelf, title))
    if holder is not None:
        raise TitleTaken(title, holder)


def _free_name(connection: Connection, tenant: str, kind: str, title: str) -> str:
    if _is_name(title) and not _used(connection, tenant, kind, title):
        return title
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-")[:_SLUG] or kind
    while _used(connection, tenant, kind, name := f"{slug}-{secrets.token_hex(3)}"):
        pass
    return name


def _free_title(connection: Connection, tenant: str, shelf: str, kind: str, name: str) -> str:
    """``name``, or, when a card of another kind on the shelf is called so, the name with its kind."""
    wanted, more = name, 1
    while find(connection, tenant, Titled(shelf, wanted)) is not None:
        wanted = f"{name} ({kind})" if more == 1 else f"{name} ({kind} {more})"
        more += 1
    return wanted


def _is_name(title: str) -> bool:
    try:
        check_name(title)
    except InvalidInput:
        return False
    return True


def _used(connection: Connection, tenant: str, kind: str, name: str) -> bool:
    return connection.execute(select(cards.c.name).where(*_key(tenant, kind, name))).first() is not None


def _titled(tenant: str, shelf: str, title: str) -> tuple[Any, ...]:
    return cards.c.tenant == tenant, cards.c.shelf == shelf, cards.c.title == title, ON_SHELF


def _one(connection: Connection, *conditions: Any) -> Card | None:
    row = connection.execute(select(cards).where(*conditions)).one_or_none()
    return None if row is None else card_of(row)


def _key(tenant: str, kind: str, name: str) -> tuple[Any, ...]:
    return cards.c.tenant == tenant, cards.c.kind == kind, cards.c.name == name


def card_of(row: Any) -> Card:
    """A row of ``cards`` as a value."""
    return Card(
        kind=row.kind,
        name=row.name,
        shelf=row.shelf,
        title=row.title,
        description=row.description,
        approvals=row.approvals,
        created_ms=row.created_ms,
        created_by=row.created_by,
        updated_ms=row.updated_ms,
        deleted=row.deleted,
    )
