"""/api/v1/cards and /api/v1/notes: what may change about models, prompts and everything else in the registry."""

from __future__ import annotations

from typing import Annotated, TypedDict

import msgspec
from starlette.routing import Route

from twinloop.control.registry.card_rows import Named
from twinloop.control.registry.model import CardChange, NoteChange, Shown, Stage, Status, Version
from twinloop.control.registry.search import CARD_ORDER, CARDS, Wish
from twinloop.control.registry.service import Registry
from twinloop.control.search.grammar import parse_filter, parse_order
from twinloop.core.clock import iso
from twinloop.core.errors import InvalidInput
from twinloop.core.ids import Ref
from twinloop.protocols.http import Call, route
from twinloop.protocols.native import encode, wire
from twinloop.protocols.native.errors import NATIVE

_MS = 1_000_000
Tags = Annotated[dict[str, str | None], msgspec.Meta(max_length=100, description="A tag that is null is taken away.")]


class CardPatch(msgspec.Struct, frozen=True):
    """What to change; null leaves it. ``approvals`` is how many must approve a revision before it goes live."""

    title: str | None = None
    description: str | None = None
    tags: Tags = {}
    approvals: int | None = None


class NotePatch(msgspec.Struct, frozen=True):
    """What to change; null leaves it. ``archive_others`` moves away what was at the stage before."""

    description: str | None = None
    tags: Tags = {}
    stage: Stage | None = None
    archive_others: bool = False


class CardQuery(msgspec.Struct, frozen=True):
    """``filter`` and ``order_by`` as for searching MLflow's registered models: ``name LIKE 'c%' AND tags.team = 'x'``."""

    kind: str | None = None
    filter: str = ""
    order_by: str = ""
    limit: wire.Limit = 100
    token: str = ""


class Card(TypedDict):
    """``ref`` is for ever; ``title`` is what it is called now. ``latest`` has the highest revision at each stage."""

    ref: str
    kind: str
    name: str
    title: str
    description: str | None
    tags: dict[str, str]
    approvals: int
    aliases: dict[str, int]
    latest: dict[str, int]
    created_at: str
    created_by: str
    updated_at: str


class Cards(TypedDict):
    """``next`` is the token of the part behind this one, null at the end."""

    cards: list[Card]
    next: str | None


class Note(TypedDict):
    """What may change about ``revision``."""

    revision: wire.Revision
    title: str
    description: str | None
    tags: dict[str, str]
    stage: Stage
    status: Status
    updated_at: str


def routes(registry: Registry) -> list[Route]:
    async def listing(call: Call, query: CardQuery) -> Cards:
        """Cards that are not deleted, by title, narrowed by kind and filter."""
        clauses = parse_filter(query.filter, CARDS)
        orders = parse_order([query.order_by] if query.order_by else [], CARD_ORDER)
        kinds = None if query.kind is None else (query.kind,)
        wish = Wish(None, kinds, clauses, orders, query.limit, query.token or None)
        page = await registry.cards.search(call.who, wish)
        return {"cards": [card_json(shown) for shown in page.items], "next": page.next}

    async def get(call: Call) -> Card:
        """One card, by kind/name."""
        return card_json(await registry.cards.get(call.who, _card(registry, call)))

    async def patch(call: Call, body: CardPatch) -> Card:
        """Change a card's title, description, tags or approvals, as one."""
        change = CardChange(body.title, body.description, body.tags, body.approvals)
        return card_json(await registry.cards.change(call.who, _card(registry, call), change))

    async def delete(call: Call) -> wire.Nothing:
        """Take a card and its revisions out of sight; refused while a release pins one of them."""
        await registry.cards.delete(call.who, _card(registry, call))
        return {}

    async def note(call: Call) -> Note:
        """What is noted about one revision."""
        return note_json(await registry.version(call.who, call.path["ref"]))

    async def patch_note(call: Call, body: NotePatch) -> Note:
        """Change a revision's description, tags or stage, as one."""
        which, number = _revision(registry, call)
        change = NoteChange(body.description, body.tags, body.stage, body.archive_others)
        return note_json(await registry.versions.change(call.who, which, number, change))

    async def delete_revision(call: Call) -> wire.Nothing:
        """Take one revision out of sight; refused while a release pins it."""
        which, number = _revision(registry, call)
        await registry.versions.delete(call.who, which, number)
        return {}

    card, ref = "/api/v1/cards/{ref:path}", "/api/v1/notes/{ref:path}"
    return [
        route(NATIVE, "GET", "/api/v1/cards", listing, query=CardQuery, answer=Cards),
        route(NATIVE, "GET", card, get, answer=Card),
        route(NATIVE, "PATCH", card, patch, body=CardPatch, answer=Card),
        route(NATIVE, "DELETE", card, delete, answer=wire.Nothing),
        route(NATIVE, "GET", ref, note, answer=Note),
        route(NATIVE, "PATCH", ref, patch_note, body=NotePatch, answer=Note),
        route(NATIVE, "DELETE", "/api/v1/revisions/{ref:path}", delete_revision, answer=wire.Nothing),
    ]


def card_json(shown: Shown) -> Card:
    card = shown.card
    return {
        "ref": card.ref,
        "kind": card.kind,
        "name": card.name,
        "title": card.title,
        "description": card.description,
        "tags": card.tags,
        "approvals": card.approvals,
        "aliases": shown.aliases,
        "latest": {version.note.stage: version.revision.number for version in shown.latest},
        "created_at": iso(card.created_ms * _MS),
        "created_by": card.created_by,
        "updated_at": iso(card.updated_ms * _MS),
    }


def note_json(version: Version) -> Note:
    note = version.note
    return {
        "revision": encode.revision(version.revision),
        "title": version.title,
        "description": note.description,
        "tags": note.tags,
        "stage": note.stage,
        "status": note.status,
        "updated_at": iso(note.updated_ms * _MS),
    }


def _card(registry: Registry, call: Call) -> Named:
    ref = Ref.parse(call.path["ref"])
    if ref.number is not None or ref.alias is not None:
        raise InvalidInput(f"{ref} is a revision. Name a card as kind/name, without @.")
    return registry.cards.named(ref.kind, ref.name)


def _revision(registry: Registry, call: Call) -> tuple[Named, int]:
    ref = Ref.parse(call.path["ref"])
    if ref.number is None:
        raise InvalidInput(f"{ref} does not name one revision. Write kind/name@number.")
    return registry.cards.named(ref.kind, ref.name), ref.number
