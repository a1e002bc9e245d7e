"""Blobs in a local folder, named by their digest: ``sha256/ab/cdef…``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import aclosing
from pathlib import Path

from twinloop.backends.file_stream import Spooled, file_chunks, make_folder, spooled, sync_folder, translated
from twinloop.backends.loading import folder_of
from twinloop.backends.local_parts import LocalParts
from twinloop.control.store.ports import BlobRef, Slot
from twinloop.core.digests import Digest, parse_digest
from twinloop.core.errors import InvalidInput, NotFound


class LocalBlobs:
    """Implements Blobs. A blob appears under its name only when it is whole and synced to disk.

    One process holds the folder at a time; what an earlier one left unfinished is removed, but for parts of uploads.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        with translated(folder):
            self._incoming.mkdir(parents=True, exist_ok=True)
            for abandoned in self._incoming.iterdir():
                abandoned.unlink()
        self._parts = LocalParts(folder)

    async def put(self, chunks: AsyncIterable[bytes], expected: Digest | None = None) -> BlobRef:
        async with spooled(chunks, self._incoming) as whole:
            return await self._keep(whole, expected)

    async def put_file(self, path: Path) -> BlobRef:
        return await self.put(file_chunks(path))

    async def size(self, digest: Digest) -> int | None:
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            return None

    async def open(self, digest: Digest, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        async with aclosing(file_chunks(await self.local_path(digest), start, end, digest)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def local_path(self, digest: Digest) -> Path:
        path = self._path(digest)
        if not path.is_file():
            raise NotFound(f"There is no blob {digest}. Upload it with PUT /api/v1/blobs/{digest}")
        return path

    async def put_part(
        self, upload: str, number: int, chunks: AsyncIterable[bytes], slot: Slot | None = None
    ) -> BlobRef:
        return await self._parts.put(upload, number, chunks, slot)

    async def join_parts(
        self, upload: str, parts: Sequence[tuple[int, BlobRef]], expected: Digest | None = None
    ) -> BlobRef:
        async with self._parts.joined(upload, parts, verify=expected is None) as whole:
            return await self._keep(whole, expected)

    async def drop_parts(self, upload: str) -> None:
        await self._parts.drop(upload)

    async def uploads(self) -> Sequence[str]:
        return await self._parts.uploads()

    async def _keep(self, whole: Spooled, expected: Digest | None) -> BlobRef:
        check_expected(whole.digest, expected)
        await asyncio.to_thread(_move, whole, self._path(whole.digest))
        return BlobRef(whole.digest, whole.size)

    def _path(self, digest: Digest) -> Path:
        text = parse_digest(digest).removeprefix("sha256:")
        return self._folder / "sha256" / text[:2] / text[2:]


def check_expected(found: Digest, expected: Digest | None) -> None:
    """Raise InvalidInput unless the bytes that came are those that were announced."""
    if expected is not None and found != expected:
        raise InvalidInput(f"The bytes have the digest {found}, not {expected}. Send the whole file again.")


def _move(whole: Spooled, path: Path) -> None:
    """Give a synced file its name. One there is replaced, which costs nothing and mends it where it was damaged."""
    with translated(path):
        make_folder(path.parent)
        whole.path.rename(path)
        sync_folder(path.parent)


def from_url(url: str, home: Path) -> LocalBlobs:
    """``file:blobs`` in the home, or ``file:///absolute/path``."""
    return LocalBlobs(folder_of(url, home))
