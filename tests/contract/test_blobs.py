"""What every Blobs must do; run over each backend."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from twinloop.backends.local_fs import LocalBlobs
from twinloop.control.store.ports import Blobs
from twinloop.core.digests import Digest, digest_bytes
from twinloop.core.errors import InvalidInput, NotFound


@pytest.fixture(params=["local_fs"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return LocalBlobs(tmp_path / "blobs")


async def stream(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(blobs: Blobs, digest: Digest) -> bytes:
    return b"".join([chunk async for chunk in blobs.open(digest)])


async def test_what_was_put_is_read_by_its_digest(blobs: Blobs) -> None:
    kept = await blobs.put(stream(b"hel", b"lo"))
    assert (kept.digest, kept.size) == (digest_bytes(b"hello"), 5)
    assert await read(blobs, kept.digest) == b"hello"
    assert (await blobs.local_path(kept.digest)).read_bytes() == b"hello"


async def test_an_empty_blob_is_a_blob(blobs: Blobs) -> None:
    kept = await blobs.put(stream())
    assert await blobs.size(kept.digest) == 0
    assert await read(blobs, kept.digest) == b""


async def test_bytes_that_are_not_what_was_announced_are_not_kept(blobs: Blobs) -> None:
    wanted = digest_bytes(b"hello")
    with pytest.raises(InvalidInput, match="have the digest"):
        await blobs.put(stream(b"hell"), wanted)
    assert await blobs.size(wanted) is None
    assert await blobs.size(digest_bytes(b"hell")) is None


async def test_the_same_bytes_are_stored_once(blobs: Blobs, tmp_path: Path) -> None:
    await blobs.put(stream(b"x" * 5_000_000))
    await blobs.put(stream(b"x" * 2_500_000, b"x" * 2_500_000))
    assert sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()) == 5_000_000


async def test_a_stream_that_breaks_off_leaves_nothing(blobs: Blobs, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 3_000_000
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        await blobs.put(broken())
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


async def test_a_blob_that_is_not_there_is_not_found(blobs: Blobs) -> None:
    missing = digest_bytes(b"missing")
    with pytest.raises(NotFound):
        await read(blobs, missing)
    with pytest.raises(NotFound):
        await blobs.local_path(missing)


@pytest.mark.parametrize(
    "digest", ["sha256:../../etc/passwd", "", "sha256:" + "G" * 64, "md5:abc", "sha256:" + "a" * 63]
)
async def test_what_is_not_a_digest_never_becomes_a_path(blobs: Blobs, digest: str) -> None:
    with pytest.raises(InvalidInput, match="not a digest"):
        await blobs.size(Digest(digest))


async def test_a_large_blob_passes_in_constant_memory(blobs: Blobs) -> None:
    async def large() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield bytes(2**18)

    tracemalloc.start()
    try:
        kept = await blobs.put(large())
        size = 0
        async for chunk in blobs.open(kept.digest):
            size += len(chunk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == kept.size == 400 * 2**18
    assert peak < 16 * 2**20
