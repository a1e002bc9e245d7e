"""Verbs on journals that clients replay."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from twinloop.control.artifacts.flags import HEAD
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Blobs, Store
from twinloop.control.tracking.errors import ReplayGap
from twinloop.control.tracking.replay import repository
from twinloop.control.tracking.replay.applying import Applying, Resolve, Stored
from twinloop.control.tracking.replay.operations import Artifact, Operation
from twinloop.control.tracking.replay.repository import Rejection
from twinloop.core.clock import Clock, SystemClock
from twinloop.core.digests import Digest, is_digest
from twinloop.core.errors import InvalidInput

LIMIT = 10_000
_SPOOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")


class Replayed(msgspec.Struct, frozen=True):
    """``last`` is the number of the newest operation that was dealt with; ``rejected`` are those sent that were refused."""

    last: int
    rejected: tuple[Rejection, ...] = ()


class Replays:
    """Applies journals: every operation once and in order, whatever is sent twice, late or by two senders at once.

    An operation and the note that it was applied are one transaction, so neither a crash nor a lost answer can part them.
    """

    def __init__(self, store: Store, blobs: Blobs, resolve: Resolve, clock: Clock | None = None) -> None:
        self._store = store
        self._blobs = blobs
        self._resolve = resolve
        self._clock = clock or SystemClock()

    async def apply(self, who: Principal, spool: str, first: int, operations: Sequence[Operation]) -> Replayed:
        """Apply ``operations``, the first of which has the number ``first``; those that were applied before are skipped.

        Raises:
            ReplayGap: operations before these are missing; nothing was applied.
            InvalidInput: the name of the spool or a number cannot be, or there are more than 10,000 operations.
        """
        who.require(Role.developer)
        _check(spool)
        if not 1 <= first < 2**62:
            raise InvalidInput("first must be a number from 1.")
        if len(operations) > LIMIT:
            raise InvalidInput(f"{LIMIT} operations are the most at once. Send fewer.")
        stored = await self._stored([item.digest for item in operations if isinstance(item, Artifact)])
        now_ms = self._clock.now_ns() // 1_000_000

        def work(connection: Connection) -> Replayed:
            last = repository.claim(connection, who.tenant, spool)
            if first > last + 1:
                raise ReplayGap(spool, last, first)
            end = first + len(operations) - 1
            applying = Applying(connection, who, now_ms, self._resolve, stored)
            for sequence, operation in enumerate(operations[last + 1 - first :], last + 1):
                applying.apply(sequence, operation)
            applying.finish()
            if end > last:
                repository.reject(connection, who.tenant, spool, applying.rejected)
                repository.advance(connection, who.tenant, spool, end, now_ms)
            refused = repository.rejections(connection, who.tenant, spool, first, end)
            return Replayed(max(last, end), tuple(refused))

        return await self._store.write(work)

    async def last(self, who: Principal, spool: str) -> int:
        """The number of the last operation of the journal that was dealt with; 0 when none was."""
        who.require(Role.developer)
        return await self._store.read(lambda c: repository.last(c, who.tenant, _check(spool)))

    async def _stored(self, digests: Sequence[str]) -> dict[str, Stored]:
        found: dict[str, Stored] = {}
        for digest in {digest for digest in digests if is_digest(digest)}:
            size = await self._blobs.size(Digest(digest))
            if size is not None:
                head = b"".join([chunk async for chunk in self._blobs.open(Digest(digest), 0, HEAD)])
                found[digest] = Stored(size, head)
        return found


def _check(spool: str) -> str:
    if not _SPOOL.match(spool):
        raise InvalidInput(f"{spool[:80]!r} cannot name a spool. Use up to 64 letters, digits, '_' and '-'.")
    return spool
