"""Parts of uploads under way, as files; a restart finds them again.

Parts whose place is known lie in one file, ``parts/<upload>/whole``, each in its place, so that joining reads them and copies
nothing. Others lie beside each other, ``parts/<upload>/<number>.<digest>``, and are copied one behind the other at the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from twinloop.backends.file_stream import (
    Spooled,
    damaged,
    make_folder,
    spooled,
    sync_folder,
    translated,
    write_all,
    write_slot,
)
from twinloop.control.store.ports import BlobRef, Slot
from twinloop.core.digests import Digest, parse_digest
from twinloop.core.errors import InvalidInput, NotFound

Parts = Sequence[tuple[int, BlobRef]]

_UPLOAD = re.compile(r"[A-Za-z0-9-]{1,64}\Z")
_WHOLE = "whole"
# What is hashed is then still in the processor's cache when it is copied.
_CHUNK = 2**18


class LocalParts:
    """Keeps parts below ``folder/parts``; ``folder/incoming`` holds what is not yet whole."""

    def __init__(self, folder: Path) -> None:
        self._incoming = folder / "incoming"
        self._parts = folder / "parts"
        with translated(folder):
            make_folder(self._parts)

    async def put(self, upload: str, number: int, chunks: AsyncIterable[bytes], slot: Slot | None) -> BlobRef:
        folder = self._folder(upload)
        if slot is not None:
            await asyncio.to_thread(self._make, folder / _WHOLE)
            return BlobRef(await write_slot(chunks, folder / _WHOLE, slot), slot.size)
        async with spooled(chunks, self._incoming) as part:
            await asyncio.to_thread(self._keep, part, folder / _name(number, part.digest))
            return BlobRef(part.digest, part.size)

    @asynccontextmanager
    async def joined(self, upload: str, parts: Parts, *, verify: bool) -> AsyncIterator[Spooled]:
        """All parts in order as one synced file. ``verify`` compares each with its digest; what is copied always is."""
        folder = self._folder(upload)
        if (folder / _WHOLE).exists():
            yield await asyncio.to_thread(_read_placed, folder / _WHOLE, parts, verify)
            return
        whole = await asyncio.to_thread(self._copy, folder, parts)
        try:
            yield whole
        finally:
            whole.path.unlink(missing_ok=True)

    async def drop(self, upload: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder(upload), ignore_errors=True)

    async def uploads(self) -> Sequence[str]:
        with translated(self._parts):
            return sorted(found.name for found in self._parts.iterdir())

    def _folder(self, upload: str) -> Path:
        if not _UPLOAD.match(upload):
            raise InvalidInput(f"{upload[:80]!r} cannot name an upload. Use letters, digits and hyphens.")
        return self._parts / upload

    def _make(self, file: Path) -> None:
        """Make a file whose name survives a power cut."""
        if file.exists():
            return
        with translated(self._parts):
            make_folder(file.parent)
            file.touch()
            sync_folder(file.parent)

    def _keep(self, part: Spooled, path: Path) -> None:
        with translated(self._parts):
            make_folder(path.parent)
            part.path.rename(path)
            sync_folder(path.parent)

    def _copy(self, folder: Path, parts: Parts) -> Spooled:
        sha = hashlib.sha256()
        with translated(self._incoming):
            handle, name = tempfile.mkstemp(dir=self._incoming)
            try:
                for number, part in parts:
                    _copy_part(folder / _name(number, part.digest), number, part, handle, sha)
                os.fsync(handle)
            except BaseException:
                Path(name).unlink()
                raise
            finally:
                os.close(handle)
        return Spooled(Path(name), _digest(sha), sum(part.size for _, part in parts))


def _copy_part(path: Path, number: int, part: BlobRef, handle: int, whole: hashlib._Hash) -> None:
    own = hashlib.sha256()
    buffer = bytearray(_CHUNK)
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError as error:
        raise NotFound(f"The part {number} is not there. Send it again.") from error
    with file:
        while count := file.readinto(buffer):
            view = memoryview(buffer)[:count]
            own.update(view)
            whole.update(view)
            write_all(handle, view)
    if _digest(own) != part.digest:
        raise damaged(path, f"its bytes do not have the digest {part.digest}")


def _read_placed(path: Path, parts: Parts, verify: bool) -> Spooled:
    whole = hashlib.sha256()
    buffer = bytearray(_CHUNK)
    total = 0
    with translated(path), path.open("rb", buffering=0) as file:
        for number, part in parts:
            own, left = hashlib.sha256(), part.size
            while left and (count := file.readinto(memoryview(buffer)[: min(left, _CHUNK)])):
                view = memoryview(buffer)[:count]
                whole.update(view)
                if verify:
                    own.update(view)
                left -= count
            if left or (verify and _digest(own) != part.digest):
                raise damaged(path, f"the bytes of part {number} do not have the digest {part.digest}")
            total += part.size
        if file.read(1):
            raise damaged(path, f"it has more than the {total} bytes of its parts")
    return Spooled(path, _digest(whole), total)


def _digest(sha: hashlib._Hash) -> Digest:
    return Digest("sha256:" + sha.hexdigest())


def _name(number: int, digest: Digest) -> str:
    return f"{number}.{parse_digest(digest).removeprefix('sha256:')}"
