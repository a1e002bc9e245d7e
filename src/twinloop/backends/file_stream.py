"""Streams of bytes to and from local files: hashed and copied in a thread while the loop moves the next bytes."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from twinloop.control.store.ports import Slot
from twinloop.core.digests import Digest
from twinloop.core.errors import InvalidInput, StorageCorrupt, StorageFull, StorageUnreadable, TwinloopError

CHUNK = 2**19
"""Bytes handed over at once; a stream holds two of these. A hop to a thread costs 50 µs, hashing and copying this much 600."""


class Spooled(NamedTuple):
    """A synced file that holds a whole stream."""

    path: Path
    digest: Digest
    size: int


@asynccontextmanager
async def spooled(chunks: AsyncIterable[bytes], folder: Path) -> AsyncIterator[Spooled]:
    """A stream as a file in ``folder``, synced to disk. The file is removed at the end unless it was moved away.

    At most two batches of 512 KiB are held: one is hashed and written in a thread while the next arrives.

    Raises:
        StorageFull, StorageUnreadable: the folder cannot be written.
    """
    path, handle = await asyncio.to_thread(_temporary, folder)
    writer = _Writer(path, handle)
    try:
        await _pass(chunks, writer, None)
        yield writer.done
    finally:
        await writer.close(remove=True)


async def write_slot(chunks: AsyncIterable[bytes], path: Path, slot: Slot) -> Digest:
    """Write a stream into its place in a file, which is made if there is none, and sync it.

    Raises:
        InvalidInput: the stream has more or fewer bytes than the slot; no byte outside of it was touched.
        StorageFull, StorageUnreadable: as ``spooled``.
    """
    with translated(path):
        handle = await asyncio.to_thread(os.open, path, os.O_RDWR | os.O_CREAT, 0o600)
    writer = _Writer(path, handle, slot.start)
    try:
        await _pass(chunks, writer, slot.size)
        return writer.done.digest
    finally:
        await writer.close(remove=False)


async def _pass(chunks: AsyncIterable[bytes], writer: _Writer, size: int | None) -> None:
    """Write all chunks, which must have ``size`` bytes where that is given."""
    batch: list[bytes] = []
    waiting = total = 0
    async for chunk in chunks:
        total += len(chunk)
        if size is not None and total > size:
            raise InvalidInput(f"More bytes came than the {size} that this part must have. Send it again.")
        batch.append(chunk)
        waiting += len(chunk)
        if waiting >= CHUNK:
            await writer.free()
            writer.begin(batch)
            batch, waiting = [], 0
    if size is not None and total < size:
        raise InvalidInput(f"{total} bytes came, and this part must have {size}. Send it again.")
    await writer.free()
    writer.begin(batch, last=True)
    await writer.free()


class _Writer:
    """A file under way, written from ``start`` on. One thread at a time works on it; ``free`` waits until none does."""

    def __init__(self, path: Path, handle: int, start: int = 0) -> None:
        self._path = path
        self._handle = handle
        self._start = start
        self._size = 0
        self._sha = hashlib.sha256()
        self._job: asyncio.Future[None] | None = None

    @property
    def done(self) -> Spooled:
        return Spooled(self._path, Digest("sha256:" + self._sha.hexdigest()), self._size)

    def begin(self, batch: list[bytes], *, last: bool = False) -> None:
        self._job = asyncio.get_running_loop().run_in_executor(None, self._write, batch, last)

    async def free(self) -> None:
        if self._job is not None:
            await asyncio.shield(self._job)
            self._job = None

    async def close(self, *, remove: bool) -> None:
        """Close the file, but not before a thread that still writes has ended: its number may be used again."""
        await _finished(self._job, partial(self._close, remove))

    def _close(self, remove: bool) -> None:
        os.close(self._handle)
        if remove:
            self._path.unlink(missing_ok=True)

    def _write(self, batch: list[bytes], last: bool) -> None:
        with translated(self._path.parent):
            for chunk in batch:
                self._sha.update(chunk)
                view = memoryview(chunk)
                while view:
                    written = os.pwrite(self._handle, view, self._start + self._size)
                    self._size += written
                    view = view[written:]
            if last:
                os.fsync(self._handle)


def _temporary(folder: Path) -> tuple[Path, int]:
    with translated(folder):
        handle, name = tempfile.mkstemp(dir=folder)
    return Path(name), handle


async def file_chunks(
    path: Path, start: int = 0, end: int | None = None, digest: Digest | None = None
) -> AsyncGenerator[bytes, None]:
    """The bytes of a file in chunks of at most 512 KiB; the next one is read while one is used.

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

    def read(self) -> bytes:
        count = min(CHUNK, self._end - self._at)
        if count <= 0:
            self._verify()
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


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, whose names survive a power cut. One that is there is left as it is."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


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

        def ended(done: asyncio.Future[Any]) -> None:
            done.exception()  # looked at, so that asyncio does not report it
            then()

        job.add_done_callback(ended)
        await asyncio.wait([job])
