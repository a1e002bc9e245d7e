from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from twinloop.backends.file_cache import FileCache
from twinloop.backends.file_stream import Spooled
from twinloop.core.digests import Digest, digest_bytes
from twinloop.core.errors import InvalidSettings, NotFound, StorageUnreadable

pytest.importorskip("obstore", reason="the extra s3 is not installed")

from twinloop.backends.s3 import S3Blobs, from_url


@pytest.mark.parametrize(
    "url",
    [
        "s3:bucket",
        "s3:///prefix",
        "s3://key:secret@bucket/prefix",
        "s3://bucket?endpoint=http://minio.example.org:9000",
        "s3://bucket?endpoint=ftp://127.0.0.1",
        "s3://bucket?secret_access_key=x",
        "s3://bucket?cache_gb=much",
        "s3://bucket?cache_gb=-1",
    ],
)
def test_a_url_that_cannot_be_read_is_an_error_at_start(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidSettings, match="TWINLOOP_BLOBS"):
        from_url(url, tmp_path)


def test_an_endpoint_that_does_not_answer_is_an_error_at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with pytest.raises(StorageUnreadable, match="does not answer"):
        from_url("s3://bucket?endpoint=http://127.0.0.1:9&region=x", tmp_path)


async def test_an_object_that_goes_away_after_it_was_measured_is_not_there(tmp_path: Path) -> None:
    import obstore
    from obstore.store import MemoryStore

    bucket = MemoryStore()

    class Fading(S3Blobs):
        async def size(self, digest: Digest) -> int | None:
            found = await super().size(digest)
            for one in obstore.list(bucket).collect():
                obstore.delete(bucket, one["path"])
            return found

    async def hello() -> AsyncIterator[bytes]:
        yield b"hello"

    blobs = Fading(bucket, "memory", tmp_path, 0)
    kept = await blobs.put(hello())
    with pytest.raises(NotFound, match="There is no blob"):
        await anext(blobs.open(kept.digest))


def test_the_cache_lets_go_of_what_was_unused_for_longest_when_it_is_opened(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache", 25)
    digests = [keep(cache, tmp_path, bytes([number]) * 10, age=3 - number) for number in range(3)]
    assert cache.find(digests[0]) is not None  # used just now
    again = FileCache(tmp_path / "cache", 25)
    assert [again.find(digest) is not None for digest in digests] == [True, False, True]


def keep(cache: FileCache, folder: Path, data: bytes, age: int) -> Digest:
    file = folder / "incoming"
    file.write_bytes(data)
    path = cache.keep(Spooled(file, digest_bytes(data), len(data)))
    os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))
    return digest_bytes(data)
