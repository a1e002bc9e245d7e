"""Verbs on the revisions of a card: what is noted about each, and which alias points where."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from twinloop.control.registry import alias_rows, approval_rows, card_rows, note_rows, repository
from twinloop.control.registry.card_rows import Named, Titled, Which
from twinloop.control.registry.cards import check_tags
from twinloop.control.registry.errors import AliasNotFound, CardNotFound, VersionNotFound
from twinloop.control.registry.ledger import Ledger
from twinloop.control.registry.model import Act, Card, Note, NoteChange, Stage, Version
from twinloop.control.registry.repository import Wanted
from twinloop.control.registry.search import Wish, find_versions
from twinloop.control.search.page import Page
from twinloop.control.security.model import Principal, Role
from twinloop.core.errors import InvalidInput

_REPLACING: tuple[Stage, ...] = ("Staging", "Production")
"""Stages that one revision may take from the others."""

_LIVE: Stage = "Production"
"""The stage that clients load by name, so a revision needs what it needs to go live."""


class Versions:
    """Changes what may change about revisions. A change and its event are one transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def add(self, who: Principal, which: Which, kind: str, wanted: Wanted) -> Version:
        """Make a new revision of a card of ``kind``; its manifest must have been checked.

        Raises:
            CardNotFound: there is no such card of this kind.
            Conflict: ``wanted.number`` is not the next one.
        """
        who.require(Role.developer)

        def work(connection: Connection, act: Act) -> Version:
            card = card_rows.get(connection, act.tenant, which)
            if card.kind != kind:  # its name was taken by something else since
                raise CardNotFound(card.title)
            card_rows.touch(connection, act, card)
            done = repository.add(connection, act, card, wanted)
            if not done.created:
                return _get(connection, act.tenant, card, done.revision.number)
            note = Note(wanted.description, "None", wanted.status, False, act.at_ms, wanted.tags)
            return Version(card.title, done.revision, note)

        return await self._ledger.write(who, work)

    async def get(self, who: Principal, which: Which, number: int) -> Version:
        """Raises VersionNotFound, also when there is no such card."""
        who.require(Role.viewer)
        return await self._ledger.read(lambda c: _find(c, who.tenant, which, number))

    async def by_alias(self, who: Principal, which: Which, alias: str) -> Version:
        """Raises CardNotFound, AliasNotFound."""
        who.require(Role.viewer)

        def work(connection: Connection) -> Version:
            card = card_rows.get(connection, who.tenant, which)
            number = alias_rows.of_card(connection, who.tenant, card).get(alias)
            if number is None:
                raise AliasNotFound(alias)
            return _get(connection, who.tenant, card, number)

        return await self._ledger.read(work)

    async def search(self, who: Principal, wish: Wish) -> Page[Version]:
        """Revisions that are not deleted, the last updated first unless the wish says otherwise."""
        who.require(Role.viewer)
        return await self._ledger.read(lambda c: find_versions(c, who.tenant, wish))

    async def newest(self, who: Principal, which: Which) -> Version | None:
        """The revision with the highest number; None when there is none. Raises CardNotFound."""
        who.require(Role.viewer)

        def work(connection: Connection) -> Version | None:
            card = card_rows.get(connection, who.tenant, which)
            return next(iter(repository.of_card(connection, who.tenant, card, limit=1)), None)

        return await self._ledger.read(work)

    async def latest(self, who: Principal, which: Which, stages: Sequence[Stage]) -> list[Version]:
        """The highest revision at each of ``stages`` that has one. Raises CardNotFound."""
        who.require(Role.viewer)

        def work(connection: Connection) -> list[Version]:
            card = card_rows.get(connection, who.tenant, which)
            found = repository.latest(connection, who.tenant, [card])
            return [version for version in found.get((card.kind, card.name), []) if version.note.stage in stages]

        return await self._ledger.read(work)

    async def change(self, who: Principal, which: Which, number: int, change: NoteChange) -> Version:
        """Change several things as one. Raises like ``set_stage``, and InvalidInput for a tag that cannot be."""
        if change.stage is not None:
            _check_archiving(change.stage, change.archive_others)
        check_tags(change.tags)

        def work(connection: Connection, act: Act, card: Card, version: Version) -> None:
            if change.description is not None:
                note_rows.describe(connection, act, version, change.description)
            if change.stage is not None:
                _move(connection, act, card, version, change.stage, change.archive_others)
            for key, value in change.tags.items():
                if value is None:
                    note_rows.remove_tag(connection, act, version, key)
                else:
                    note_rows.put_tag(connection, act, version, key, value)

        return await self._change(who, which, number, work)

    async def describe(self, who: Principal, which: Which, number: int, description: str | None) -> Version:
        return await self._change(
            who, which, number, lambda c, act, card, version: note_rows.describe(c, act, version, description)
        )

    async def set_tag(self, who: Principal, which: Which, number: int, key: str, value: str) -> Version:
        return await self._change(
            who, which, number, lambda c, act, card, version: note_rows.put_tag(c, act, version, key, value)
        )

    async def delete_tag(self, who: Principal, which: Which, number: int, key: str) -> Version:
        return await self._change(
            who, which, number, lambda c, act, card, version: note_rows.remove_tag(c, act, version, key)
        )

    async def set_stage(
        self, who: Principal, which: Which, number: int, stage: Stage, archive_others: bool = False
    ) -> Version:
        """Move a revision to a stage; ``archive_others`` moves away what was there.

        Raises:
            InvalidInput: others cannot be archived from a stage that many may share.
            Refused: the stage is Production and the revision lacks approvals.
        """
        _check_archiving(stage, archive_others)
        return await self._change(
            who, which, number, lambda c, act, card, version: _move(c, act, card, version, stage, archive_others)
        )

    async def set_alias(self, who: Principal, which: Which, alias: str, number: int) -> Version:
        """Point an alias at a revision. Raises VersionNotFound, and Refused when the revision lacks approvals."""

        def change(connection: Connection, act: Act, card: Card, version: Version) -> None:
            approval_rows.require(connection, act.tenant, [version.revision.digest])
            alias_rows.move(connection, act, card, alias, number)

        return await self._change(who, which, number, change)

    async def delete_alias(self, who: Principal, which: Which, alias: str) -> None:
        """One that is not there is no error. Raises CardNotFound."""
        who.require(Role.developer)

        def work(connection: Connection, act: Act) -> None:
            alias_rows.remove(connection, act, card_rows.get(connection, act.tenant, which), alias)

        await self._ledger.write(who, work)

    async def delete(self, who: Principal, which: Which, number: int) -> None:
        """Take a revision out of sight; its number is not given again and its digest stays readable.

        Raises:
            Held: something live pins it.
        """
        who.require(Role.developer)

        def work(connection: Connection, act: Act) -> None:
            version = _find(connection, act.tenant, which, number)
            revision = version.revision
            self._ledger.require_loose(connection, act.tenant, revision.ref, [revision.digest])
            note_rows.remove(connection, act, version)
            card_rows.touch(connection, act, card_rows.get(connection, act.tenant, which))

        await self._ledger.write(who, work)

    async def _change(
        self,
        who: Principal,
        which: Which,
        number: int,
        change: Callable[[Connection, Act, Card, Version], None],
    ) -> Version:
        who.require(Role.developer)

        def work(connection: Connection, act: Act) -> Version:
            version = _find(connection, act.tenant, which, number)
            card = card_rows.get(connection, act.tenant, which)
            change(connection, act, card, version)
            return _get(connection, act.tenant, card, number)

        return await self._ledger.write(who, work)


def _check_archiving(stage: Stage, archive_others: bool) -> None:
    if archive_others and stage not in _REPLACING:
        raise InvalidInput(
            f"Model version transition cannot archive existing model versions because {stage!r} is not an Active stage. "
            f"Valid stages are {list(_REPLACING)}"
        )


def _move(connection: Connection, act: Act, card: Card, version: Version, stage: Stage, archive_others: bool) -> None:
    if stage == _LIVE:
        approval_rows.require(connection, act.tenant, [version.revision.digest])
    for other in note_rows.at_stage(connection, act.tenant, card, stage) if archive_others else []:
        if other != version.revision.number:
            note_rows.set_stage(connection, act, _get(connection, act.tenant, card, other), "Archived")
    note_rows.set_stage(connection, act, version, stage)
    card_rows.touch(connection, act, card)


def _find(connection: Connection, tenant: str, which: Which, number: int) -> Version:
    card = card_rows.find(connection, tenant, which)
    if card is None:
        raise VersionNotFound(_called(which), number)
    return _get(connection, tenant, card, number)


def _get(connection: Connection, tenant: str, card: Card, number: int) -> Version:
    found = repository.of_card(connection, tenant, card, number=number)
    if not found:
        raise VersionNotFound(card.title, number)
    return found[0]


def _called(which: Named | Titled) -> str:
    return which.title if isinstance(which, Titled) else f"{which.kind}/{which.name}"
