"""Blobs in a local folder, named by their digest: ``sha256/ab/cdef…``."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import tempfile
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path

from twinloop.backends.loading import folder_of
from twinloop.control.store.ports import BlobRef
from twinloop.core.digests import Digest, parse_digest
from twinloop.core.errors import InvalidInput, NotFound, StorageFull, StorageUnreadable, TwinloopError

_CHUNK = 2**20


class LocalBlobs:
    """Implements Blobs. A blob appears under its name only when it is whole and synced to disk.

    One process holds the folder at a time; what an earlier one left unfinished is removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        try:
            self._incoming.mkdir(parents=True, exist_ok=True)
            for abandoned in self._incoming.iterdir():
                abandoned.unlink()
        except OSError as error:
            raise _storage_error(folder, error) from error

    async def put(self, chunks: AsyncIterable[bytes], expected: Digest | None = None) -> BlobRef:
        sha = hashlib.sha256()
        size = 0
        pending = bytearray()
        handle, name = await asyncio.to_thread(self._new)
        temporary = Path(name)
        try:
            async for chunk in chunks:
                sha.update(chunk)
                size += len(chunk)
                pending += chunk
                if len(pending) >= _CHUNK:
                    data, pending = pending, bytearray()
                    await asyncio.to_thread(self._write, handle, data)
            digest = Digest("sha256:" + sha.hexdigest())
            if expected is not None and digest != expected:
                raise InvalidInput(f"The bytes have the digest {digest}, not {expected}. Send the whole file again.")
            await asyncio.to_thread(self._keep, handle, bytes(pending), temporary, digest)
        finally:
            os.close(handle)
            temporary.unlink(missing_ok=True)
        return BlobRef(digest, size)

    async def put_file(self, path: Path) -> BlobRef:
        return await self.put(_file_chunks(path))

    async def size(self, digest: Digest) -> int | None:
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            return None

    async def open(self, digest: Digest, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        async for chunk in _file_chunks(await self.local_path(digest), start, end):
            yield chunk

    async def local_path(self, digest: Digest) -> Path:
        path = self._path(digest)
        if not path.is_file():
            raise NotFound(f"There is no blob {digest}. Upload it with PUT /api/v1/blobs/{digest}")
        return path

    def _path(self, digest: Digest) -> Path:
        text = parse_digest(digest).removeprefix("sha256:")
        return self._folder / "sha256" / text[:2] / text[2:]

    def _new(self) -> tuple[int, str]:
        try:
            return tempfile.mkstemp(dir=self._incoming)
        except OSError as error:
            raise _storage_error(self._folder, error) from error

    def _write(self, handle: int, data: bytes | bytearray) -> None:
        try:
            _write_all(handle, data)
        except OSError as error:
            raise _storage_error(self._folder, error) from error

    def _keep(self, handle: int, rest: bytes, temporary: Path, digest: Digest) -> None:
        self._write(handle, rest)
        path = self._path(digest)
        if path.exists():
            return
        try:
            os.fsync(handle)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.rename(path)
            _sync_folder(path.parent)
        except OSError as error:
            raise _storage_error(self._folder, error) from error


async def _file_chunks(path: Path, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
    source = await asyncio.to_thread(path.open, "rb")
    try:
        source.seek(start)
        left = None if end is None else max(0, end - start)
        while chunk := await asyncio.to_thread(source.read, _CHUNK if left is None else min(_CHUNK, left)):
            left = None if left is None else left - len(chunk)
            yield chunk
    finally:
        source.close()


def _write_all(handle: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _storage_error(folder: Path, error: OSError) -> TwinloopError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(f"No space is left in {folder}. Free some and send it again; nothing was stored.")
    return StorageUnreadable(
        f"The folder {folder} cannot be written ({error.strerror}). Check its owner and permissions."
    )


def from_url(url: str, home: Path) -> LocalBlobs:
    """``file:blobs`` in the home, or ``file:///absolute/path``."""
    return LocalBlobs(folder_of(url, home))
