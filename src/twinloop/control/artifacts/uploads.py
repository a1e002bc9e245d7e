"""Verbs of uploads in parts: for files too large for one request, and for connections that break."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from weakref import WeakValueDictionary

from sqlalchemy import Connection

from twinloop.control.artifacts import repository, upload_rows
from twinloop.control.artifacts.gate import Gate
from twinloop.control.artifacts.model import Artifact, Begun, Part, Upload
from twinloop.control.artifacts.paths import check_path
from twinloop.control.artifacts.patience import IDLE_S, patient
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import BlobRef, Blobs, Slot, Store
from twinloop.core.clock import Clock
from twinloop.core.digests import Digest
from twinloop.core.errors import InvalidInput, NotFound, Unauthenticated
from twinloop.core.ids import new_id

PART_LIMIT = 10_000
"""Parts of one upload; as S3 has it."""
PART_SIZE = 32 * 2**20
"""Bytes of a part when the client does not say."""
_SMALLEST, _LARGEST = 2**16, 5 * 2**30
_MS = 1_000_000
_TOKEN_MS = 3_600_000
_KEPT_MS = 7 * 86_400_000

Attach = Callable[[Principal, str, Digest], Awaitable[Artifact]]


class Uploads:
    """Begin, put parts in any order, complete. What was acknowledged is there after a crash, and the client may go on.

    An upload that nobody touches for a week is removed at the next start.
    """

    def __init__(self, store: Store, blobs: Blobs, attach: Attach, clock: Clock, idle_s: float = IDLE_S) -> None:
        """A part of which nothing comes for ``idle_s`` seconds is given up: it keeps others from the same number."""
        self._store = store
        self._blobs = blobs
        self._attach = attach
        self._clock = clock
        self._idle_s = idle_s
        self._gates: WeakValueDictionary[str, Gate] = WeakValueDictionary()

    async def begin(self, who: Principal, path: str, size: int | None = None, part_size: int | None = None) -> Begun:
        """Begin an upload to ``path``. With ``size``, parts have ``part_size`` bytes, 32 MiB unless given, but the last.

        Raises:
            InvalidInput: the path cannot be one, or the sizes make more than 10,000 parts.
            Conflict: the path is a folder, or a part of it is a file.
        """
        who.require(Role.developer)
        check_path(path)
        if size is not None:
            part_size = part_size or max(PART_SIZE, -(-size // PART_LIMIT))
        _check_sizes(size, part_size)
        now = self._now_ms()
        made = Upload(new_id(), path, size, part_size, now, now)
        token = secrets.token_urlsafe(32)

        def work(connection: Connection) -> None:
            repository.check_free(connection, who.tenant, path)
            upload_rows.add(connection, who.tenant, made, _hash(token))

        await self._store.write(work)
        return Begun(made, token)

    async def get(self, who: Principal, id: str) -> Upload:
        """An upload with the parts that are stored. Raises NotFound."""
        who.require(Role.developer)
        found = await self._store.read(lambda c: upload_rows.get(c, who.tenant, id))
        if found is None:
            raise _gone(id)
        return found

    async def under_way(self, who: Principal, path: str) -> list[Upload]:
        """Uploads to ``path`` that are not complete, the one touched last first, so that a client can go on with one."""
        who.require(Role.developer)
        check_path(path)
        return await self._store.read(lambda c: upload_rows.under_way(c, who.tenant, path))

    async def put_part(self, who: Principal, id: str, number: int, chunks: AsyncIterable[bytes]) -> Part:
        """Store a part; a number that was stored before is replaced.

        Raises:
            NotFound: there is no such upload, or it is complete.
            InvalidInput: the number or the size cannot be one of this upload.
        """
        return await self._put_part(who.tenant, await self.get(who, id), number, chunks)

    async def put_part_by_token(self, token: str, number: int, chunks: AsyncIterable[bytes]) -> Part:
        """As ``put_part``, for whoever holds the token of an upload that was touched within the hour.

        Raises:
            Unauthenticated: the token is of no such upload.
        """
        found = await self._store.read(lambda c: upload_rows.by_token(c, _hash(token)))
        if found is None or self._now_ms() - found[1].touched_ms > _TOKEN_MS:
            raise Unauthenticated("This upload is over or was left alone for an hour. Begin it again.")
        return await self._put_part(*found, number, chunks)

    async def complete(
        self,
        who: Principal,
        id: str,
        expected: Digest | None = None,
        named: Mapping[int, str] | None = None,
    ) -> Artifact:
        """Join the parts and put the file at its path, in place of the one that may be there.

        Args:
            expected: the digest that the file must have.
            named: the digest of each part by its number, as the client has it; without, all that are stored.

        Raises:
            NotFound: there is no such upload.
            InvalidInput: parts are missing or others than named, or the file has another digest or size.
            Conflict: the path is a folder by now, or a part of it is a file. Once it is free, complete the upload again.
        """
        await self.get(who, id)  # who may not complete it must not close its gate
        async with self._gate(id).closed():
            upload = await self.get(who, id)
            if upload.digest is not None:
                return await self._attach(who, upload.path, upload.digest)
            _check_parts(upload, named)
            digest = await self._joined(upload, expected)
            now = self._now_ms()
            # Joining used the parts up, so it is written down before the file is entered, which may be refused.
            await self._store.write(lambda c: upload_rows.finish(c, who.tenant, id, digest, now))
            await self._blobs.drop_parts(id)
            return await self._attach(who, upload.path, digest)

    async def abort(self, who: Principal, id: str) -> None:
        """Forget an upload and its parts; nothing happens when there is none."""
        who.require(Role.developer)
        if await self._store.write(lambda c: upload_rows.remove(c, who.tenant, id)):
            await self._blobs.drop_parts(id)

    async def sweep(self) -> None:
        """Remove uploads that nobody has touched for a week, and parts of which there is no account."""
        before = self._now_ms() - _KEPT_MS
        known = set(await self._store.write(lambda c: upload_rows.remove_untouched(c, before)))
        for id in await self._blobs.uploads():
            if id not in known:
                await self._blobs.drop_parts(id)

    async def _put_part(self, tenant: str, upload: Upload, number: int, chunks: AsyncIterable[bytes]) -> Part:
        last = upload.part_count or PART_LIMIT
        if not 1 <= number <= last:
            raise InvalidInput(f"There is no part {number}: parts of this upload are numbered from 1 to {last}.")
        if upload.digest is not None:
            raise _gone(upload.id)
        async with self._gate(upload.id).passing(number):
            slot = _slot_of(upload, number)
            if slot is not None:
                # Its bytes are about to be written over, so that the part there may be is not there any more.
                await self._store.write(lambda c: upload_rows.forget_part(c, tenant, upload.id, number))
            kept = await self._blobs.put_part(upload.id, number, patient(chunks, self._idle_s), slot)
            part = Part(number, kept.size, kept.digest)
            now = self._now_ms()
            if not await self._store.write(lambda c: upload_rows.put_part(c, tenant, upload.id, part, now)):
                raise _gone(upload.id)
            return part

    async def _joined(self, upload: Upload, expected: Digest | None) -> Digest:
        """The blob of all parts. An earlier attempt may have stored it and ended before that was written down."""
        if expected is not None and upload.size is not None and await self._blobs.size(expected) == upload.size:
            return expected
        parts = [(part.number, BlobRef(part.digest, part.size)) for part in upload.parts]
        return (await self._blobs.join_parts(upload.id, parts, expected)).digest

    def _gate(self, id: str) -> Gate:
        return self._gates.setdefault(id, Gate())

    def _now_ms(self) -> int:
        return self._clock.now_ns() // _MS


def _check_sizes(size: int | None, part_size: int | None) -> None:
    if size is not None and size < 0:
        raise InvalidInput(f"A file cannot have {size} bytes.")
    if part_size is None:
        return
    if not _SMALLEST <= part_size <= _LARGEST:
        raise InvalidInput(f"A part may have from {_SMALLEST} to {_LARGEST} bytes, not {part_size}.")
    if size is not None and size > part_size * PART_LIMIT:
        raise InvalidInput(f"{size} bytes in parts of {part_size} are more than {PART_LIMIT} parts. Use larger ones.")


def _check_parts(upload: Upload, named: Mapping[int, str] | None) -> None:
    if named and max(named) > PART_LIMIT:
        raise InvalidInput(f"There is no part {max(named)}: parts are numbered from 1 to {PART_LIMIT} at most.")
    stored = {part.number: part.digest for part in upload.parts}
    wanted = range(1, (upload.part_count or max(stored, default=1)) + 1)
    if named is not None and upload.part_count is None:
        wanted = range(1, max(named, default=1) + 1)
    missing = [number for number in wanted if number not in stored]
    if missing:
        raise InvalidInput(f"Parts are missing: {_few(missing)}. Send them, then complete the upload again.")
    if named is None:
        return
    if sorted(named) != list(wanted) or len(stored) != len(named):
        raise InvalidInput(f"The upload has the parts 1 to {len(stored)}, and {len(named)} were named. Name each once.")
    other = [number for number, digest in named.items() if stored[number] != digest]
    if other:
        raise InvalidInput(f"Parts with other bytes are stored: {_few(other)}. Send them again.")


def _slot_of(upload: Upload, number: int) -> Slot | None:
    """Where a part lies, where the client said how large the file and its parts are."""
    if upload.size is None or upload.part_size is None:
        return None
    start = upload.part_size * (number - 1)
    return Slot(start, min(upload.part_size, upload.size - start))


def _few(numbers: list[int]) -> str:
    return ", ".join(map(str, sorted(numbers)[:10])) + (" …" if len(numbers) > 10 else "")


def _gone(id: str) -> NotFound:
    return NotFound(f"There is no upload {id[:80]!r} under way. Begin one.")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
