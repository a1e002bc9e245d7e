"""Verbs on cards: what a model, a prompt or anything else is called, says about itself, and needs before it goes live."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from twinloop.control.registry import alias_rows, card_rows, note_rows, repository
from twinloop.control.registry.card_rows import Named, Which
from twinloop.control.registry.ledger import Ledger
from twinloop.control.registry.model import Act, Card
from twinloop.control.security.model import Principal, Role
from twinloop.core.errors import InvalidInput

_TITLE = 1_000
_APPROVERS = 20


class Cards:
    """Changes cards. A change and its event are one transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def named(self, kind: str, name: str) -> Named:
        """A card by its name in references."""
        return Named(kind, name, self._ledger.shelf(kind))

    async def create(
        self,
        who: Principal,
        kind: str,
        title: str,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Card:
        """Make a card with no revisions yet. Raises TitleTaken."""
        who.require(Role.developer)
        _check_title(title)
        shelf = self._ledger.shelf(kind)
        return await self._ledger.write(
            who, lambda connection, act: card_rows.make(connection, act, kind, shelf, title, description, tags)
        )

    async def get(self, who: Principal, which: Which) -> Card:
        """Raises CardNotFound."""
        who.require(Role.viewer)
        return await self._ledger.read(lambda c: card_rows.get(c, who.tenant, which))

    async def describe(self, who: Principal, which: Which, description: str | None) -> Card:
        return await self._change(who, which, lambda c, act, card: card_rows.describe(c, act, card, description))

    async def rename(self, who: Principal, which: Which, title: str) -> Card:
        """Change the title; references keep the name. Raises TitleTaken."""
        _check_title(title)
        return await self._change(who, which, lambda c, act, card: card_rows.rename(c, act, card, title))

    async def set_tag(self, who: Principal, which: Which, key: str, value: str) -> Card:
        return await self._change(who, which, lambda c, act, card: card_rows.put_tag(c, act, card, key, value))

    async def delete_tag(self, who: Principal, which: Which, key: str) -> Card:
        return await self._change(who, which, lambda c, act, card: card_rows.remove_tag(c, act, card, key))

    async def require_approvals(self, who: Principal, which: Which, count: int) -> Card:
        """How many principals must approve a revision before it goes live from now on. Needs the role releaser."""
        who.require(Role.releaser)
        if not 0 <= count <= _APPROVERS:
            raise InvalidInput(f"approvals must be between 0 and {_APPROVERS}; it is {count}.")
        return await self._change(who, which, lambda c, act, card: card_rows.require_approvals(c, act, card, count))

    async def aliases(self, who: Principal, which: Which) -> dict[str, int]:
        """Alias to revision number."""
        who.require(Role.viewer)
        return await self._ledger.read(lambda c: alias_rows.of_card(c, who.tenant, card_rows.get(c, who.tenant, which)))

    async def delete(self, who: Principal, which: Which) -> None:
        """Take a card and its revisions out of sight. Digests stay readable, and the history keeps them.

        Raises:
            Held: something live pins one of its revisions.
        """
        who.require(Role.developer)

        def work(connection: Connection, act: Act) -> None:
            card = card_rows.get(connection, act.tenant, which)
            self._ledger.require_loose(
                connection, act.tenant, card.ref, repository.digests_of(connection, act.tenant, card)
            )
            note_rows.remove_all(connection, act, card)
            card_rows.remove(connection, act, card)

        await self._ledger.write(who, work)

    async def _change(self, who: Principal, which: Which, change: Callable[[Connection, Act, Card], None]) -> Card:
        who.require(Role.developer)

        def work(connection: Connection, act: Act) -> Card:
            card = card_rows.get(connection, act.tenant, which)
            change(connection, act, card)
            return card_rows.reload(connection, act.tenant, card)

        return await self._ledger.write(who, work)


def _check_title(title: str) -> None:
    if not title.strip() or len(title) > _TITLE or any(ord(char) < 32 for char in title):
        raise InvalidInput(f"A title has 1 to {_TITLE} characters and no control characters. Choose another one.")
