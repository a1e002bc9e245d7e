"""Verbs of the registry: register, get, list, alias."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from twinloop.control.registry import approval_rows, card_rows, repository
from twinloop.control.registry.approvals import Approvals
from twinloop.control.registry.card_rows import Which
from twinloop.control.registry.cards import Cards
from twinloop.control.registry.differing import Difference, differences
from twinloop.control.registry.ledger import Ledger
from twinloop.control.registry.model import Act, Parent, Registered, Revision, Version, revision_digest
from twinloop.control.registry.ports import Holds, Kind
from twinloop.control.registry.repository import Wanted
from twinloop.control.registry.telling import Told, told
from twinloop.control.registry.versions import Versions
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Store
from twinloop.core.clock import Clock, SystemClock
from twinloop.core.digests import Digest, digest_json
from twinloop.core.errors import InvalidInput
from twinloop.core.events import Bus
from twinloop.core.ids import check_kind, check_name

_MANIFEST_DEPTH = 32


class Registry:
    """Keeps immutable revisions of the kinds it was given."""

    def __init__(
        self,
        store: Store,
        kinds: Iterable[Kind],
        clock: Clock | None = None,
        bus: Bus | None = None,
        shelves: Mapping[str, str] | None = None,
        holds: Holds | None = None,
    ) -> None:
        """``shelves`` maps a kind to the kind whose cards it shares titles with; ``holds`` tells what may not be deleted."""
        self._kinds = {kind.name: kind for kind in kinds}
        self._ledger = Ledger(store, clock or SystemClock(), bus, shelves, holds)
        self.cards = Cards(self._ledger)
        self.versions = Versions(self._ledger)
        self.approvals = Approvals(self._ledger)

    async def register(
        self,
        who: Principal,
        kind: str,
        name: str,
        manifest: Mapping[str, Any],
        parents: Sequence[Parent] = (),
        run_id: str | None = None,
        number: int | None = None,
    ) -> Registered:
        """Make ``kind/name@n`` with the next number, or return the revision that has this content already.

        Raises:
            InvalidInput: unknown kind, bad name, or a manifest its kind refuses.
            NotFound: a parent does not exist.
            Conflict: ``number`` is given and is not the next one; of callers at once, one gets it.
        """
        who.require(Role.developer)
        self._kind(kind).validate(_json_object(manifest))
        check_name(name)
        # What takes long is done here: while the transaction runs, every other writer waits.
        digest = revision_digest(kind, name, manifest, tuple(parents))
        wanted = Wanted(dict(manifest), tuple(parents), run_id, number=number, digest=digest)

        def work(connection: Connection, act: Act) -> Registered:
            card = card_rows.ensure(connection, act, self._ledger.named(kind, name))
            same = wanted if card.name == name else msgspec.structs.replace(wanted, digest=None)
            return repository.add(connection, act, card, same)

        return await self._ledger.write(who, work)

    async def add_version(self, who: Principal, which: Which, kind: str, wanted: Wanted) -> Version:
        """Make a new revision of a card that exists and is of ``kind``.

        Raises:
            InvalidInput: a manifest that the kind refuses.
            CardNotFound: there is no such card, or it is of another kind by now.
            Conflict: ``wanted.number`` is given and is not the next one.
        """
        who.require(Role.developer)
        manifest = {**wanted.manifest, "version": 1} if wanted.fresh else wanted.manifest
        self._kind(kind).validate(_json_object(manifest))
        digest_json(manifest)  # says what JSON cannot before the store is asked
        return await self.versions.add(who, which, kind, wanted)

    async def get(self, who: Principal, ref: str) -> Revision:
        """Return the revision called ``kind/name@n``, ``kind/name@alias``, ``kind/name`` (newest) or by its digest."""
        return await self._ledger.read(lambda c: self._ledger.get(c, who.tenant, ref))

    async def find(self, who: Principal, ref: str) -> Revision | None:
        return await self._ledger.read(lambda c: self._ledger.find(c, who.tenant, ref))

    async def revisions(
        self,
        who: Principal,
        kind: str | None = None,
        name: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[Revision]:
        """Revisions, newest first. ``before`` is a ``created_ns`` to go on from."""
        if not 1 <= limit <= 1000:
            raise InvalidInput("limit must be between 1 and 1000.")

        def work(connection: Connection) -> list[Revision]:
            kept = card_rows.name_of(connection, who.tenant, self._ledger.named(kind, name)) if kind and name else name
            return repository.newest(connection, who.tenant, kind, kept, limit, before)

        return await self._ledger.read(work)

    async def count(self, who: Principal) -> dict[str, int]:
        """How many revisions of each kind there are."""
        return await self._ledger.read(lambda c: repository.count(c, who.tenant))

    async def set_alias(self, who: Principal, kind: str, name: str, alias: str, number: int) -> Revision:
        """Point ``kind/name@alias`` at a revision; the move is kept in the history."""
        check_name(alias, "alias")
        if alias.isdigit():
            raise InvalidInput(f"{alias!r} cannot be an alias because it reads as a revision number. Use a word.")
        return (await self.versions.set_alias(who, self._ledger.named(kind, name), alias, number)).revision

    async def version(self, who: Principal, ref: str) -> Version:
        """The revision called ``ref`` with its note and its card's title. Raises NotFound."""
        revision = await self.get(who, ref)
        return await self.versions.get(who, self.cards.named(revision.kind, revision.name), revision.number)

    async def closure(self, who: Principal, revisions: Iterable[Revision]) -> list[Revision]:
        """The given revisions and all they require, each once, requirements after the ones that need them."""
        found: dict[Digest, Revision] = {}
        waiting = list(revisions)
        while waiting:
            revision = waiting.pop(0)
            if revision.digest in found:
                continue
            found[revision.digest] = revision
            for digest in self._kind(revision.kind).requires(revision.manifest):
                waiting.append(await self.get(who, digest))
        return list(found.values())

    async def diff(self, who: Principal, before: str, after: str) -> tuple[Revision, Revision, list[Difference]]:
        """How the manifests of two revisions of one kind differ. Raises NotFound, InvalidInput."""
        one, other = await self.get(who, before), await self.get(who, after)
        if one.kind != other.kind:
            raise InvalidInput(f"{one.ref} and {other.ref} are of different kinds. Compare two of one kind.")
        return one, other, differences(one.manifest, other.manifest)

    def told(self, connection: Connection, tenant: str, ref: str, limit: int, before: int | None) -> Told:
        """The history's events of a card, or of one revision, for others who tell it together with their own.

        Raises NotFound when there never was such a thing.
        """
        return told(connection, tenant, self._ledger, ref, limit, before)

    async def require_approved(self, who: Principal, revisions: Iterable[Revision]) -> None:
        """Raise Refused unless each may go live: not deleted, not rejected, and approved where its card asks for it."""
        digests = [revision.digest for revision in revisions]
        await self._ledger.read(lambda c: approval_rows.require(c, who.tenant, digests))

    def _kind(self, kind: str) -> Kind:
        check_kind(kind)
        try:
            return self._kinds[kind]
        except KeyError:
            raise InvalidInput(f"There is no kind {kind}. Kinds are: {', '.join(sorted(self._kinds))}.") from None


def _json_object(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(manifest, Mapping):
        raise InvalidInput("A manifest must be a JSON object.")
    _check_depth(manifest, _MANIFEST_DEPTH)
    return manifest


def _check_depth(value: Any, left: int) -> None:
    if left == 0:
        raise InvalidInput(f"A manifest may be nested {_MANIFEST_DEPTH} levels deep at most.")
    if isinstance(value, Mapping):
        for item in value.values():
            _check_depth(item, left - 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_depth(item, left - 1)
