"""Verbs of the registry: register, get, list, alias."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from twinloop.control.registry import repository
from twinloop.control.registry.model import Parent, Registered, Revision, revision_digest
from twinloop.control.registry.ports import Kind
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Store
from twinloop.core.clock import Clock, SystemClock
from twinloop.core.digests import Digest, is_digest
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.core.ids import Ref, check_kind, check_name

_MANIFEST_DEPTH = 32


class Registry:
    """Keeps immutable revisions of the kinds it was given."""

    def __init__(self, store: Store, kinds: Iterable[Kind], clock: Clock | None = None) -> None:
        self._store = store
        self._kinds = {kind.name: kind for kind in kinds}
        self._clock = clock or SystemClock()

    async def register(
        self,
        who: Principal,
        kind: str,
        name: str,
        manifest: Mapping[str, Any],
        parents: Sequence[Parent] = (),
        run_id: str | None = None,
    ) -> Registered:
        """Make ``kind/name@n`` with the next number, or return the revision that has this content already.

        Raises:
            InvalidInput: unknown kind, bad name, or a manifest its kind refuses.
            NotFound: a parent does not exist.
        """
        who.require(Role.developer)
        self._kind(kind).validate(_json_object(manifest))
        check_name(name)
        digest = revision_digest(kind, name, manifest, tuple(parents))
        wanted = Revision(
            kind=kind,
            name=name,
            number=0,
            digest=digest,
            manifest=dict(manifest),
            parents=tuple(parents),
            created_ns=self._clock.now_ns(),
            created_by=who.name,
            run_id=run_id,
        )
        return await self._store.write(lambda connection: repository.add(connection, who.tenant, wanted))

    async def get(self, who: Principal, ref: str) -> Revision:
        """Return the revision called ``kind/name@n``, ``kind/name@alias``, ``kind/name`` (newest) or by its digest."""
        found = await self.find(who, ref)
        if found is None:
            raise NotFound(f"There is no revision {ref[:200]}. List what there is with: twinloop status")
        return found

    async def find(self, who: Principal, ref: str) -> Revision | None:
        if is_digest(ref):
            return await self._store.read(lambda c: repository.by_digest(c, who.tenant, Digest(ref)))
        parsed = Ref.parse(ref)
        return await self._store.read(lambda c: repository.by_ref(c, who.tenant, parsed))

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
        return await self._store.read(lambda c: repository.newest(c, who.tenant, kind, name, limit, before))

    async def count(self, who: Principal) -> dict[str, int]:
        """How many revisions of each kind there are."""
        return await self._store.read(lambda c: repository.count(c, who.tenant))

    async def set_alias(self, who: Principal, kind: str, name: str, alias: str, number: int) -> Revision:
        """Point ``kind/name@alias`` at a revision; the move is kept in the history."""
        who.require(Role.developer)
        check_name(alias, "alias")
        if alias.isdigit():
            raise InvalidInput(f"{alias!r} cannot be an alias because it reads as a revision number. Use a word.")
        revision = await self.get(who, f"{kind}/{name}@{number}")
        at = self._clock.now_ns()
        await self._store.write(lambda c: repository.move_alias(c, who.tenant, revision, alias, at, who.name))
        return revision

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
