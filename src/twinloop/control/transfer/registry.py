"""What is carried of the registry: revisions as they are, what is noted about them, aliases, approvals and the history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import msgspec
from sqlalchemy import Connection

from twinloop.control.registry.model import STAGES, Action, Parent, Status, revision_digest
from twinloop.control.registry.tables import (
    aliases,
    approvals,
    card_tags,
    cards,
    notes,
    registry_events,
    revision_tags,
    revisions,
)
from twinloop.control.transfer import rows
from twinloop.control.transfer.histories import history
from twinloop.control.transfer.model import Row
from twinloop.control.transfer.shape import Need, Shape
from twinloop.core.errors import InvalidInput
from twinloop.core.ids import check_kind, check_name

_ALL = 2**31
_CARD = ("kind", "name")
_REVISION = ("kind", "name", "number")


def _card(row: Row) -> None:
    _named(row)
    if not 0 <= row["approvals"] <= 20:
        raise InvalidInput("The number of approvals is from 0 to 20.")


def _revision(row: Row) -> None:
    """A revision must have the digest of its content, or whoever trusts digests could be told anything."""
    _named(row)
    if row["number"] < 1:
        raise InvalidInput("The number of a revision is 1 or more.")
    try:
        parents = msgspec.convert(row["parents"], tuple[Parent, ...])
    except msgspec.ValidationError as error:
        raise InvalidInput(f"The parents of a revision are not well formed: {error}.") from error
    if not isinstance(row["manifest"], dict):
        raise InvalidInput("The manifest of a revision must be a JSON object.")
    digest = revision_digest(row["kind"], row["name"], row["manifest"], parents)
    if digest != row["digest"]:
        raise InvalidInput(f"The content has the digest {digest} and not {row['digest'][:80]}: it was changed.")


def _note(row: Row) -> None:
    if row["stage"] not in STAGES or row["status"] not in get_args(Status):
        raise InvalidInput("The stage or the status of a revision is none that there is.")


def _event(row: Row) -> None:
    _named(row)
    if row["action"] not in get_args(Action):
        raise InvalidInput(f"{row['action'][:60]!r} is nothing that can happen to a card.")


def _alias(row: Row) -> None:
    check_name(row["alias"], "alias")


def _admit_cards(connection: Connection, tenant: str, found: Sequence[Row]) -> list[str | None]:
    """Two cards that are in sight on one shelf must not be called the same."""
    by = ("shelf", "title")
    titled = [row for row in found if not row["deleted"]]
    there = rows.read(connection, tenant, CARDS, [(row["shelf"], row["title"]) for row in titled], None, _ALL, by=by)
    holders = {(row["shelf"], row["title"]): (row["kind"], row["name"]) for row in there if not row["deleted"]}
    said: list[str | None] = []
    for row in found:
        own = (row["kind"], row["name"])
        holder = own if row["deleted"] else holders.setdefault((row["shelf"], row["title"]), own)
        said.append(None if holder == own else f"the title {row['title']!r} is that of {'/'.join(holder)} here")
    return said


def _admit_revisions(connection: Connection, tenant: str, found: Sequence[Row]) -> list[str | None]:
    """A number and a digest go together for ever, and what a revision was made from must be there before it."""
    numbers = {
        _place(row): row["digest"]
        for row in rows.read(connection, tenant, REVISIONS, [_place(r) for r in found], None, _ALL, by=_REVISION)
    }
    wanted = {row["digest"] for row in found} | {parent["digest"] for row in found for parent in row["parents"]}
    digests = {
        row["digest"]: _place(row)
        for row in rows.read(connection, tenant, REVISIONS, [(d,) for d in sorted(wanted)], None, _ALL, by=("digest",))
    }
    said: list[str | None] = []
    for row in found:
        place, digest = _place(row), row["digest"]
        missing = [parent["digest"] for parent in row["parents"] if parent["digest"] not in digests]
        if numbers.get(place, digest) != digest:
            said.append(f"the number is taken: {_called(place)} here has the digest {numbers[place]}")
        elif digests.get(digest, place) != place:
            said.append(f"the same content is here as {_called(digests[digest])}")
        elif missing:
            said.append(f"it was made from {missing[0]}, which is not here")
        else:
            numbers[place], digests[digest] = digest, place
            said.append(None)
    return said


def _place(row: Row) -> tuple[str, str, int]:
    return row["kind"], row["name"], row["number"]


def _called(place: tuple[str, str, int]) -> str:
    return "{}/{}@{}".format(*place)


def _named(row: Row) -> None:
    check_kind(row["kind"])
    check_name(row["name"])


CARDS = Shape("cards", cards, _CARD, _CARD, check=_card, admit=_admit_cards)
REVISIONS = Shape(
    "revisions",
    revisions,
    _REVISION,
    _CARD,
    lookups=(("digest",), _REVISION, ("run_id",)),
    check=_revision,
    admit=_admit_revisions,
)
EVENTS = history("registry_events", registry_events, _CARD, _event)
_OF_CARD = (Need(_CARD, "cards", _CARD),)
_OF_REVISION = (Need(_REVISION, "revisions", _REVISION),)
SHAPES = (
    CARDS,
    Shape("card_tags", card_tags, (*_CARD, "key"), _CARD, _OF_CARD),
    REVISIONS,
    Shape("notes", notes, _REVISION, _REVISION, _OF_REVISION, (_CARD,), check=_note),
    Shape("revision_tags", revision_tags, (*_REVISION, "key"), _REVISION, _OF_REVISION, (_CARD,)),
    Shape("aliases", aliases, (*_CARD, "alias"), _REVISION, _OF_REVISION, (_CARD,), check=_alias),
    Shape("approvals", approvals, (*_REVISION, "by"), _REVISION, _OF_REVISION, (_CARD,)),
    EVENTS,
)
