"""What can go wrong in the registry beyond the general errors; protocols with words of their own read the attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twinloop.control.registry.model import Card
from twinloop.core.digests import Digest
from twinloop.core.errors import Conflict, NotFound, Refused


class CardNotFound(NotFound):
    """There is no card of this name or title."""

    def __init__(self, called: str) -> None:
        super().__init__(f"There is no {called[:300]}. List what there is with: twinloop cards")
        self.called = called


class VersionNotFound(NotFound):
    """The card has no such revision, or it was deleted."""

    def __init__(self, called: str, number: int) -> None:
        super().__init__(
            f"{called[:300]} has no revision {number}. See what it has with: twinloop history {called[:300]}"
        )
        self.called = called
        self.number = number


class AliasNotFound(NotFound):
    """The card has no such alias."""

    def __init__(self, alias: str) -> None:
        super().__init__(f"There is no alias {alias[:200]} on it. Set it first.")
        self.alias = alias


class TitleTaken(Conflict):
    """Another card of the shelf is called so."""

    def __init__(self, title: str, holder: Card) -> None:
        super().__init__(f"{holder.ref} is called {title[:300]!r} already. Choose another title.")
        self.title = title
        self.holder = holder


class Held(Refused):
    """A release that answers, or that a rollback returns to, pins what should be deleted."""

    def __init__(self, what: str, holders: Mapping[Digest, Sequence[str]]) -> None:
        named = ", ".join(sorted({name for names in holders.values() for name in names}))
        super().__init__(
            f"{what[:300]} cannot be deleted: it is pinned by {named}. Release something else there, twice when it is the "
            "one to roll back to, and delete it then."
        )
        self.holders = holders
