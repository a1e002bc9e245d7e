"""Verbs on cards: what a model, a prompt or anything else is called, says about itself, and needs before it goes live."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection

from twinloop.control.registry import alias_rows, card_rows, note_rows, repository
from twinloop.control.registry.card_rows import Named, Titled, Which
from twinloop.control.registry.ledger import Ledger
from twinloop.control.registry.model import Act, Card, CardChange, Shown
from twinloop.control.registry.search import Wish, find_cards
from twinloop.control.search.page import Page
from twinloop.control.security.model import Principal, Role
from twinloop.control.tracking.names import check_pairs
from twinloop.core.errors import InvalidInput

_TITLE = 1_000
_TAG = 100_000
_APPROVERS = 20


class Cards:
    """Changes cards. A change and its event are one transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def named(self, kind: str, name: str) -> Named:
        """A card by its name in references."""
        return self._ledger.named(kind, name)

    def titled(self, kind: str, title: str) -> Titled:
        """A card by what it is called, on the shelf of ``kind``."""
        return Titled(self._ledger.shelf(kind), title)

    async def create(
        self,
        who: Principal,
        kind: str,
        title: str,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Shown:
        """Make a card with no revisions yet. Raises TitleTaken."""
        who.require(Role.developer)
        _check_title(title)
        shelf = self._ledger.shelf(kind)
        return await self._ledger.write(
            who, lambda connection, act: Shown(card_rows.make(connection, act, kind, shelf, title, description, tags))
        )

    async def get(self, who: Principal, which: Which) -> Shown:
        """Raises CardNotFound."""
        who.require(Role.viewer)
        return await self._ledger.read(lambda c: _show(c, who.tenant, [card_rows.get(c, who.tenant, which)])[0])

    async def search(self, who: Principal, wish: Wish) -> Page[Shown]:
        """Cards that are not deleted, by title unless the wish says otherwise."""
        who.require(Role.viewer)

        def work(connection: Connection) -> Page[Shown]:
            found = find_cards(connection, who.tenant, wish)
            return Page(tuple(_show(connection, who.tenant, found.items)), found.next)

        return await self._ledger.read(work)

    async def change(self, who: Principal, which: Which, change: CardChange) -> Shown:
        """Change several things as one.

        Raises:
            InvalidInput, TitleTaken: a title, tag or number that cannot be.
            Forbidden: the number of approvals is set by one who is no releaser.
        """
        if change.approvals is not None:
            _check_approvals(who, change.approvals)
        if change.title is not None:
            _check_title(change.title)
        check_tags(change.tags)

        def work(connection: Connection, act: Act, card: Card) -> None:
            if change.title is not None:
                card_rows.rename(connection, act, card, change.title)
                card = card_rows.reload(connection, act.tenant, card)
            if change.description is not None:
                card_rows.describe(connection, act, card, change.description)
            if change.approvals is not None:
                card_rows.require_approvals(connection, act, card, change.approvals)
            for key, value in change.tags.items():
                if value is None:
                    card_rows.remove_tag(connection, act, card, key)
                else:
                    card_rows.put_tag(connection, act, card, key, value)

        return await self._change(who, which, work)

    async def describe(self, who: Principal, which: Which, description: str | None) -> Shown:
        return await self._change(who, which, lambda c, act, card: card_rows.describe(c, act, card, description))

    async def rename(self, who: Principal, which: Which, title: str) -> Shown:
        """Change the title; references keep the name. Raises TitleTaken."""
        _check_title(title)
        return await self._change(who, which, lambda c, act, card: card_rows.rename(c, act, card, title))

    async def set_tag(self, who: Principal, which: Which, key: str, value: str) -> Shown:
        return await self._change(who, which, lambda c, act, card: card_rows.put_tag(c, act, card, key, value))

    async def delete_tag(self, who: Principal, which: Which, key: str) -> Shown:
        return await self._change(who, which, lambda c, act, card: card_rows.remove_tag(c, act, card, key))

    async def require_approvals(self, who: Principal, which: Which, count: int) -> Shown:
        """How many principals must approve a revision before it goes live from now on. Needs the role releaser."""
        _check_approvals(who, count)
        return await self._change(who, which, lambda c, act, card: card_rows.require_approvals(c, act, card, count))

    async def delete(self, who: Principal, which: Which) -> None:
        """Take a card and its revisions out of sight. Digests stay readable, and the history keeps them.

        Raises:
            Held: something live pins one of its revisions.
        """
        who.require(Role.developer)

        def work(connection: Connection, act: Act) -> None:
            card = card_rows.get(connection, act.tenant, which)
            self._ledger.require_loose(
                connection,
                act.tenant,
                card.ref,
                list(repository.kept(connection, act.tenant, card.kind, card.name, None)),
            )
            note_rows.remove_all(connection, act, card)
            card_rows.remove(connection, act, card)

        await self._ledger.write(who, work)

    async def _change(self, who: Principal, which: Which, change: Callable[[Connection, Act, Card], None]) -> Shown:
        who.require(Role.developer)

        def work(connection: Connection, act: Act) -> Shown:
            card = card_rows.get(connection, act.tenant, which)
            change(connection, act, card)
            return _show(connection, act.tenant, [card_rows.reload(connection, act.tenant, card)])[0]

        return await self._ledger.write(who, work)


def _show(connection: Connection, tenant: str, found: Sequence[Card]) -> list[Shown]:
    latest = repository.latest(connection, tenant, found)
    pointing = alias_rows.of_cards(connection, tenant, found)
    return [
        Shown(card, tuple(latest.get((card.kind, card.name), ())), pointing.get((card.kind, card.name), {}))
        for card in card_rows.tagged(connection, tenant, found)
    ]


def _check_title(title: str) -> None:
    if not title.strip() or len(title) > _TITLE or any(ord(char) < 32 for char in title):
        raise InvalidInput(f"A title has 1 to {_TITLE} characters and no control characters. Choose another one.")


def _check_approvals(who: Principal, count: int) -> None:
    who.require(Role.releaser)
    if not 0 <= count <= _APPROVERS:
        raise InvalidInput(f"approvals must be between 0 and {_APPROVERS}; it is {count}.")


def check_tags(tags: Mapping[str, str | None]) -> None:
    """Raises InvalidInput for a key or a value that is not kept."""
    check_pairs({key: value or "" for key, value in tags.items()}, "tag", _TAG)
