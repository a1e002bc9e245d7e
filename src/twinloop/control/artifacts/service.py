"""Verbs of the artifact tree: files and folders of runs, models and traces over content-addressed blobs."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

from twinloop.control.artifacts import repository
from twinloop.control.artifacts.flags import HEAD, Looking, flag_of
from twinloop.control.artifacts.model import Artifact
from twinloop.control.artifacts.paths import check_folder, check_path
from twinloop.control.artifacts.patience import patient
from twinloop.control.artifacts.uploads import Uploads
from twinloop.control.search.page import Page
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Blobs, Store
from twinloop.core.clock import Clock, SystemClock
from twinloop.core.digests import Digest, parse_digest
from twinloop.core.errors import InvalidInput, NotFound

_MS = 1_000_000
_LIMIT = 10_000

Files = list[Artifact]


class Artifacts:
    """A tree of paths for each tenant. A path is a file or a folder; whether its run exists is for the caller to ask."""

    def __init__(self, store: Store, blobs: Blobs, clock: Clock | None = None) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock or SystemClock()
        self.uploads = Uploads(store, blobs, self.attach, self._clock)

    async def put(
        self, who: Principal, path: str, chunks: AsyncIterable[bytes], expected: Digest | None = None
    ) -> Artifact:
        """Store a stream as the file at ``path``, in place of the one that may be there.

        Raises:
            InvalidInput: the path cannot be one, or the bytes do not have the ``expected`` digest.
            Conflict: the path is a folder, or a part of it is a file.
        """
        who.require(Role.developer)
        check_path(path)
        await self._store.read(lambda c: repository.check_free(c, who.tenant, path))
        looking = Looking(patient(chunks))
        kept = await self._blobs.put(looking, expected)
        return await self._enter(who, path, kept.digest, kept.size, looking.head)

    async def attach(self, who: Principal, path: str, digest: Digest) -> Artifact:
        """Put a blob that is stored already at ``path``.

        Raises:
            NotFound: there is no such blob.
            InvalidInput, Conflict: as ``put``.
        """
        who.require(Role.developer)
        check_path(path)
        size = await self._blobs.size(parse_digest(digest))
        if size is None:
            raise NotFound(f"There is no blob {digest}. Send the file itself.")
        head = b"".join([chunk async for chunk in self._blobs.open(digest, 0, HEAD)])
        return await self._enter(who, path, digest, size, head)

    async def get(self, who: Principal, path: str) -> Artifact:
        """The file or folder at ``path``. Raises NotFound when there is none."""
        who.require(Role.viewer)
        found = await self.find(who, path)
        if found is None:
            raise NotFound(f"There is no artifact {path[:200]!r}. List the folder to see what there is.")
        return found

    async def find(self, who: Principal, path: str) -> Artifact | None:
        """The file or folder at ``path``, or None."""
        who.require(Role.viewer)
        check_path(path)
        return await self._store.read(lambda c: repository.get(c, who.tenant, path))

    async def open(
        self, who: Principal, path: str, start: int = 0, end: int | None = None
    ) -> tuple[Artifact, AsyncIterator[bytes]]:
        """A file and its bytes from ``start`` up to, not including, ``end``.

        Raises:
            NotFound: there is no file at ``path``.
        """
        found = await self.get(who, path)
        if found.is_dir:
            raise NotFound(f"{path[:200]!r} is a folder. Name a file in it, or list it.")
        return found, self.read(found, start, end)

    def read(self, found: Artifact, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes of a file that was looked up before, from ``start`` up to, not including, ``end``."""
        return self._blobs.open(found.digest, start, end)

    async def list(
        self, who: Principal, folder: str = "", limit: int = 1000, token: str | None = None
    ) -> Page[Artifact]:
        """What lies directly in ``folder``, by name; empty when there is no such folder. The token is the last name."""
        who.require(Role.viewer)
        check_folder(folder)
        if not 1 <= limit <= _LIMIT:
            raise InvalidInput(f"limit must be between 1 and {_LIMIT}.")
        place = folder.removesuffix("/")
        found = await self._store.read(lambda c: repository.children(c, who.tenant, place, limit + 1, token or ""))
        return Page(tuple(found[:limit]), found[limit - 1].name if len(found) > limit else None)

    async def tree(self, who: Principal, folder: str = "") -> Files:
        """Every file at any depth below ``folder``, by path."""
        who.require(Role.viewer)
        place = check_folder(folder).removesuffix("/")
        return await self._store.read(lambda c: repository.below(c, who.tenant, place))

    async def delete(self, who: Principal, path: str) -> int:
        """Remove the file at ``path``, or the folder with all below it; returns how many files went.

        Their bytes stay: other paths and revisions may hold the same ones.
        """
        who.require(Role.developer)
        check_path(path)
        return await self._store.write(lambda c: repository.remove(c, who.tenant, path))

    async def _enter(self, who: Principal, path: str, digest: Digest, size: int, head: bytes) -> Artifact:
        made = Artifact(path, size, digest, False, self._clock.now_ns() // _MS, flag_of(path, head))
        await self._store.write(lambda c: repository.put(c, who.tenant, made))
        return made
