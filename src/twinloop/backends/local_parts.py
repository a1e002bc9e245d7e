"""Parts of uploads under way, as files: ``parts/<upload>/<number>.<digest>``. A restart finds them again."""

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

from twinloop.backends.file_stream import Spooled, damaged, digest_file, spooled, sync_folder, translated
from twinloop.control.store.ports import BlobRef
from twinloop.core.digests import Digest, parse_digest
from twinloop.core.errors import InvalidInput, NotFound

_UPLOAD = re.compile(r"[A-Za-z0-9-]{1,64}\Z")


class LocalParts:
    """Keeps parts below ``folder/parts``; ``folder/incoming`` holds what is not yet whole."""

    def __init__(self, folder: Path) -> None:
        self._incoming = folder / "incoming"
        self._parts = folder / "parts"
        with translated(folder):
            self._parts.mkdir(parents=True, exist_ok=True)

    async def put(self, upload: str, number: int, chunks: AsyncIterable[bytes]) -> BlobRef:
        folder = self._folder(upload)
        async with spooled(chunks, self._incoming) as part:
            await asyncio.to_thread(self._keep, part, folder / _name(number, part.digest))
            return BlobRef(part.digest, part.size)

    @asynccontextmanager
    async def joined(self, upload: str, parts: Sequence[tuple[int, Digest]]) -> AsyncIterator[Spooled]:
        """All parts in order as one synced file, removed at the end unless it was moved away."""
        paths = [(self._folder(upload) / _name(number, digest), digest) for number, digest in parts]
        whole = await asyncio.to_thread(self._join, paths)
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

    def _keep(self, part: Spooled, path: Path) -> None:
        with translated(self._parts):
            if not path.parent.is_dir():
                path.parent.mkdir(exist_ok=True)
                sync_folder(self._parts)
            part.path.rename(path)
            sync_folder(path.parent)

    def _join(self, parts: Sequence[tuple[Path, Digest]]) -> Spooled:
        sha = hashlib.sha256()
        total = 0
        with translated(self._incoming):
            handle, name = tempfile.mkstemp(dir=self._incoming)
            try:
                for path, wanted in parts:
                    found, size = _copied(path, handle, sha)
                    if found != wanted:
                        raise damaged(path, f"its bytes do not have the digest {wanted}")
                    total += size
                os.fsync(handle)
            except BaseException:
                Path(name).unlink()
                raise
            finally:
                os.close(handle)
        return Spooled(Path(name), Digest("sha256:" + sha.hexdigest()), total)


def _copied(path: Path, handle: int, sha: hashlib._Hash) -> tuple[Digest, int]:
    try:
        return digest_file(path, handle, sha)
    except FileNotFoundError as error:
        raise NotFound(f"The part {path.name.partition('.')[0]} is not there. Send it again.") from error


def _name(number: int, digest: Digest) -> str:
    return f"{number}.{parse_digest(digest).removeprefix('sha256:')}"
