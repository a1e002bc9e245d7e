"""Streams of bytes to and from local files: hashed and copied in a thread while the loop moves the next bytes."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from twinloop.core.digests import Digest
from twinloop.core.errors import StorageCorrupt, StorageFull, StorageUnreadable, TwinloopError

CHUNK = 2**20
"""Bytes handed over at once. A hop to a thread costs some 50 µs; hashing and copying 1 MiB costs some 1,000."""


class Spooled(NamedTuple):
    """A synced file that holds a whole stream."""

    path: Path
    digest: Digest
    size: int


@asynccontextmanager
async def spooled(chunks: AsyncIterable[bytes], folder: Path) -> AsyncIterator[Spooled]:
    """A stream as a file in ``folder``, synced to disk. The file is removed at the end unless it was moved away.

    At most two batches of 1 MiB are held: one is hashed and written in a thread while the next arrives.

    Raises:
        StorageFull, StorageUnreadable: the folder cannot be written.
    """
    writer = await asyncio.to_thread(_Writer, folder)
    try:
        batch: list[bytes] = []
        waiting = 0
        async for chunk in chunks:
            batch.append(chunk)
            waiting += len(chunk)
            if waiting >= CHUNK:
                await writer.free()
                writer.begin(batch)
                batch, waiting = [], 0
        await writer.free()
        writer.begin(batch, last=True)
        await writer.free()
        yield Spooled(writer.path, writer.digest, writer.size)
    finally:
        await writer.close()


class _Writer:
    """A file under way. One thread at a time works on it; ``free`` waits until none does."""

    def __init__(self, folder: Path) -> None:
        self.size = 0
        self._sha = hashlib.sha256()
        self._job: asyncio.Future[None] | None = None
        with translated(folder):
            self._handle, name = tempfile.mkstemp(dir=folder)
        self.path = Path(name)

    @property
    def digest(self) -> Digest:
        return Digest("sha256:" + self._sha.hexdigest())

    def begin(self, batch: list[bytes], *, last: bool = False) -> None:
        self._job = asyncio.get_running_loop().run_in_executor(None, self._write, batch, last)

    async def free(self) -> None:
        if self._job is not None:
            await asyncio.shield(self._job)
            self._job = None

    async def close(self) -> None:
        """Close and remove the file, but not before a thread that still writes has ended: its number may be used again."""
        await _finished(self._job, self._close)

    def _close(self) -> None:
        os.close(self._handle)
        self.path.unlink(missing_ok=True)

    def _write(self, batch: list[bytes], last: bool) -> None:
        with translated(self.path.parent):
            for chunk in batch:
                self._sha.update(chunk)
                write_all(self._handle, chunk)
                self.size += len(chunk)
            if last:
                os.fsync(self._handle)


async def file_chunks(
    path: Path, start: int = 0, end: int | None = None, digest: Digest | None = None
) -> AsyncGenerator[bytes, None]:
    """The bytes of a file in chunks of at most 1 MiB; the next one is read while one is used.

    When all of the file is read and ``digest`` is given, the bytes are compared with it before the last chunk is given
    out, so that a reader who counts bytes learns that some are wrong.

    Raises:
        StorageCorrupt: the bytes do not have the digest, or the file ends early.
    """
    reader = await asyncio.to_thread(_Reader, path, start, end, digest)
    loop = asyncio.get_running_loop()
    job = loop.run_in_executor(None, reader.read)
    try:
        while chunk := await asyncio.shield(job):
            job = loop.run_in_executor(None, reader.read)
            yield chunk
    finally:
        await _finished(job, reader.close)


class _Reader:
    def __init__(self, path: Path, start: int, end: int | None, digest: Digest | None) -> None:
        self._path = path
        with translated(path):
            self._file = path.open("rb", buffering=0)
        size = os.fstat(self._file.fileno()).st_size
        self._at = start
        self._end = size if end is None else min(end, size)
        self._wanted = digest if start == 0 and self._end == size else None
        self._sha = hashlib.sha256()
        if size == 0:
            self._verify()

    def read(self) -> bytes:
        count = min(CHUNK, self._end - self._at)
        if count <= 0:
            return b""
        with translated(self._path):
            chunk = os.pread(self._file.fileno(), count, self._at)
        if not chunk:
            raise damaged(self._path, "it became shorter while it was read")
        self._at += len(chunk)
        if self._wanted is not None:
            self._sha.update(chunk)
            if self._at == self._end:
                self._verify()
        return chunk

    def _verify(self) -> None:
        if self._wanted is not None and "sha256:" + self._sha.hexdigest() != self._wanted:
            raise damaged(self._path, f"its bytes do not have the digest {self._wanted}")

    def close(self) -> None:
        self._file.close()


def digest_file(path: Path, into: int | None = None, sha: hashlib._Hash | None = None) -> tuple[Digest, int]:
    """The digest and size of a file, read 256 KiB at a time: what is hashed is then still in the cache when it is copied.

    With ``into`` its bytes are written to that descriptor too, and with ``sha`` they are hashed there as well.
    """
    own = hashlib.sha256()
    size = 0
    buffer = bytearray(2**18)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            part = view[:count]
            own.update(part)
            if sha is not None:
                sha.update(part)
            if into is not None:
                write_all(into, part)
            size += count
    return Digest("sha256:" + own.hexdigest()), size


def write_all(handle: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def sync_folder(folder: Path) -> None:
    """Make names that were added to ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def damaged(path: Path, why: str) -> StorageCorrupt:
    return StorageCorrupt(f"The blob {path} is damaged: {why}. Restore it from a backup, or upload the file again.")


@contextmanager
def translated(place: Path) -> Iterator[None]:
    """Turns what the operating system says about ``place`` into errors of ours."""
    try:
        yield
    except OSError as error:
        raise storage_error(place, error) from error


def storage_error(place: Path, error: OSError) -> TwinloopError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(f"No space is left in {place}. Free some and send it again; nothing was stored.")
    return StorageUnreadable(f"{place} cannot be read and written ({error.strerror}). Check its owner and permissions.")


async def _finished(job: asyncio.Future[Any] | None, then: Callable[[], None]) -> None:
    """Run ``then`` once ``job`` has ended, also when the caller is cancelled meanwhile.

    Whoever waits for a job shields it: a future that is cancelled counts as ended, while its thread goes on.
    """
    if job is None or job.done():
        then()
    else:
        job.add_done_callback(lambda done: (done.exception(), then()))
        await asyncio.wait([job])
