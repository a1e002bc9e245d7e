"""Blobs in a bucket of S3, or of anything that speaks its protocol: ``s3://bucket/prefix?endpoint=…&region=…``.

A stream is spooled to a local file before it is sent, because its digest, and with it its key, is known only at the end.
The other way, sending to a temporary key and copying, sends what is there already once more, leaves a hidden upload in the
bucket when it breaks off, and S3 copies no object over 5 GB (https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from twinloop.backends.file_cache import FileCache
from twinloop.backends.file_stream import CHUNK, Spooled, file_chunks, spooled, translated
from twinloop.backends.local_fs import check_expected
from twinloop.backends.local_parts import LocalParts
from twinloop.control.store.ports import BlobRef, Slot
from twinloop.core.digests import Digest, parse_digest
from twinloop.core.errors import (
    InvalidSettings,
    MissingDependency,
    NotFound,
    StorageCorrupt,
    StorageUnreadable,
    TwinloopError,
    Unavailable,
)

_PART = 5 * 2**20
_PARTS_LIMIT = 9_000
_SENT_AT_ONCE = 2
_CACHE_GB = 20.0
_OPTIONS = {"endpoint", "region", "anonymous", "virtual_hosted", "cache_gb"}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class S3Blobs:
    """Implements Blobs. ``folder`` holds what is spooled, parts of uploads, and copies for engines that take a path.

    An object appears under its key only when it is whole: S3 shows neither half a put nor an upload that is not completed.
    """

    def __init__(self, store: Any, where: str, folder: Path, cache_bytes: int) -> None:
        self._store = store
        self._where = where
        self._incoming = folder / "incoming"
        with translated(folder):
            self._incoming.mkdir(parents=True, exist_ok=True)
            for abandoned in self._incoming.iterdir():
                abandoned.unlink()
        self._parts = LocalParts(folder)
        self._cache = FileCache(folder / "cache", cache_bytes)

    def check(self) -> None:
        """Raise StorageUnreadable unless the bucket can be listed."""
        import obstore

        try:
            with self._translated():
                next(iter(obstore.list(self._store, chunk_size=1)), None)
        except (Unavailable, FileNotFoundError) as error:
            raise StorageUnreadable(str(error)) from error

    async def put(self, chunks: AsyncIterable[bytes], expected: Digest | None = None) -> BlobRef:
        async with spooled(chunks, self._incoming) as whole:
            return await self._send(whole, expected)

    async def put_file(self, path: Path) -> BlobRef:
        return await self.put(file_chunks(path))

    async def size(self, digest: Digest) -> int | None:
        import obstore

        key = _key(digest)
        try:
            with self._translated():
                return int((await obstore.head_async(self._store, key))["size"])
        except FileNotFoundError:
            return None

    async def open(self, digest: Digest, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        size = await self.size(digest)
        if size is None:
            raise _missing(digest)
        end = size if end is None else min(end, size)
        whole = start == 0 and end == size
        async with aclosing(self._whole(digest, size) if whole else self._stream(digest, start, end)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def local_path(self, digest: Digest) -> Path:
        """The blob as a file in the cache: fetched and compared with its digest the first time."""
        path = self._cache.find(parse_digest(digest))
        if path is not None:
            return path
        async with spooled(self.open(digest), self._incoming) as whole:
            return await asyncio.to_thread(self._cache.keep, whole)

    async def put_part(
        self, upload: str, number: int, chunks: AsyncIterable[bytes], slot: Slot | None = None
    ) -> BlobRef:
        return await self._parts.put(upload, number, chunks, slot)

    async def join_parts(
        self, upload: str, parts: Sequence[tuple[int, BlobRef]], expected: Digest | None = None
    ) -> BlobRef:
        async with self._parts.joined(upload, parts, verify=expected is None) as whole:
            return await self._send(whole, expected)

    async def drop_parts(self, upload: str) -> None:
        await self._parts.drop(upload)

    async def uploads(self) -> Sequence[str]:
        return await self._parts.uploads()

    async def _send(self, whole: Spooled, expected: Digest | None) -> BlobRef:
        import obstore

        check_expected(whole.digest, expected)
        if await self.size(whole.digest) != whole.size:
            with self._translated():
                await obstore.put_async(
                    self._store,
                    _key(whole.digest),
                    whole.path,
                    chunk_size=max(_PART, whole.size // _PARTS_LIMIT),
                    max_concurrency=_SENT_AT_ONCE,
                )
        return BlobRef(whole.digest, whole.size)

    async def _whole(self, digest: Digest, size: int) -> AsyncGenerator[bytes, None]:
        """All bytes; the last chunk is held back until the digest is found to be right."""
        sha = hashlib.sha256()
        held = b""
        async with aclosing(self._stream(digest, 0, size)) as chunks:
            async for chunk in chunks:
                if held:
                    yield held
                await asyncio.to_thread(sha.update, chunk)
                held = chunk
        if "sha256:" + sha.hexdigest() != digest:
            raise StorageCorrupt(
                f"The object {_key(digest)} in {self._where} is damaged: its bytes do not have this digest. "
                "Restore it from a backup, or upload the file again."
            )
        if held:
            yield held

    async def _stream(self, digest: Digest, start: int, end: int) -> AsyncGenerator[bytes, None]:
        import obstore

        if start >= end:
            return
        try:
            with self._translated():
                answer = await obstore.get_async(self._store, _key(digest), options={"range": (start, end)})
                async for found in answer.stream(min_chunk_size=CHUNK // 2):
                    for at in range(0, len(found), CHUNK):
                        yield bytes(found[at : at + CHUNK])
        except FileNotFoundError as error:
            raise _missing(digest) from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Errors of ours for what the engine says, but for FileNotFoundError, which each verb reads in its own way."""
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise _error(self._where, error) from error
            raise
        except (BaseError, OSError) as error:
            raise _error(self._where, error) from error


def _error(where: str, error: Exception) -> TwinloopError:
    text = str(error).partition("\n")[0][:300]
    kind = type(error).__name__
    if "NoSuchBucket" in str(error):
        return StorageUnreadable(f"There is no bucket at {where}. Make it, or mend TWINLOOP_BLOBS.")
    if kind in ("PermissionDeniedError", "UnauthenticatedError", "PermissionError"):
        return StorageUnreadable(
            f"{where} refuses these credentials ({text}). Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to some that may "
            "list, read and write there."
        )
    return Unavailable(f"{where} does not answer as it should ({text}). Try again, or check the endpoint.")


def _missing(digest: Digest) -> NotFound:
    return NotFound(f"There is no blob {digest}. Upload it with PUT /api/v1/blobs/{digest}")


def _key(digest: Digest) -> str:
    text = parse_digest(digest).removeprefix("sha256:")
    return f"sha256/{text[:2]}/{text[2:]}"


def from_url(url: str, home: Path) -> S3Blobs:
    """``s3://bucket/prefix``, with ``?endpoint=``, ``region=``, ``anonymous=true``, ``virtual_hosted=true``, ``cache_gb=``.

    The engine itself reads credentials from ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN`` and
    the other variables of AWS's own tools.

    Raises:
        InvalidSettings: the URL cannot be read.
        MissingDependency: obstore is not installed.
        StorageUnreadable: the bucket does not answer, or refuses the credentials.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    if not parts.netloc or "@" in parts.netloc or set(options) - _OPTIONS:
        raise InvalidSettings(
            "TWINLOOP_BLOBS must look like s3://bucket/prefix, with no credentials in it, and may go on with ? and any of "
            f"{', '.join(sorted(_OPTIONS))}."
        )
    try:
        from obstore.store import S3Store
    except ImportError as error:
        raise MissingDependency("obstore", "s3") from error
    endpoint = options.get("endpoint", "")
    made: dict[str, Any] = {
        "prefix": parts.path.strip("/") or None,
        "client_options": {
            "allow_http": _plain(endpoint),
            "timeout": "24h",
            "read_timeout": "60s",
            "connect_timeout": "5s",
        },
        "retry_config": {"max_retries": 5, "retry_timeout": timedelta(seconds=60)},
        "skip_signature": options.get("anonymous") == "true",
        "virtual_hosted_style_request": options.get("virtual_hosted") == "true",
    }
    made |= {name: options[name] for name in ("endpoint", "region") if name in options}
    blobs = S3Blobs(S3Store(parts.netloc, **made), f"s3://{parts.netloc}{parts.path}", home / "s3", _cache(options))
    blobs.check()
    return blobs


def _plain(endpoint: str) -> bool:
    """Whether the endpoint is plain HTTP, which only loopback may be."""
    parts = urlsplit(endpoint)
    if not endpoint or parts.scheme == "https":
        return False
    if parts.scheme == "http" and parts.hostname in _LOOPBACK:
        return True
    raise InvalidSettings(
        f"The endpoint {endpoint!r} of TWINLOOP_BLOBS must begin with https://; only a loopback address may have http://."
    )


def _cache(options: dict[str, str]) -> int:
    try:
        size = float(options.get("cache_gb", _CACHE_GB))
    except ValueError:
        size = -1.0
    if not 0 <= size < 2**20:
        raise InvalidSettings(f"cache_gb of TWINLOOP_BLOBS is {options['cache_gb']!r}; give a number of gigabytes.")
    return int(size * 1e9)
