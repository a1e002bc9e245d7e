"""The registry's part of a history: its events of one card or of one revision, whether deleted or not."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection

from twinloop.control.registry import card_rows, event_rows, repository
from twinloop.control.registry.ledger import Ledger
from twinloop.control.registry.model import Card, RegistryEvent
from twinloop.core.digests import Digest, is_digest
from twinloop.core.errors import NotFound
from twinloop.core.ids import Ref


class Told(NamedTuple):
    """``events`` are newest first; ``revisions`` are those the history is about, digest to number."""

    card: Card
    events: list[RegistryEvent]
    revisions: dict[Digest, int]


def told(connection: Connection, tenant: str, ledger: Ledger, ref: str, limit: int, before: int | None) -> Told:
    """Raises NotFound when there never was such a card or revision."""
    kind, name, number = _meant(connection, tenant, ledger, ref)
    card = card_rows.kept(connection, tenant, kind, name)
    revisions = repository.kept(connection, tenant, kind, name, number)
    if card is None or (number is not None and not revisions):
        raise NotFound(f"Nothing is known of {ref[:200]}. List what there is with: twinloop cards")
    events = event_rows.of_card(connection, tenant, kind, name, number, limit, before)
    return Told(card, events, revisions)


def _meant(connection: Connection, tenant: str, ledger: Ledger, ref: str) -> tuple[str, str, int | None]:
    if is_digest(ref) or Ref.parse(ref).alias is not None:
        revision = ledger.get(connection, tenant, ref)
        return revision.kind, revision.name, revision.number
    parsed = Ref.parse(ref)
    name = card_rows.name_of(connection, tenant, ledger.named(parsed.kind, parsed.name))
    return parsed.kind, name, parsed.number
