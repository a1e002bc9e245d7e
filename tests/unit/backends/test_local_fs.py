from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from twinloop.backends.local_fs import LocalBlobs
from twinloop.core.digests import digest_bytes
from twinloop.core.errors import StorageCorrupt, StorageUnreadable


async def stream(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(blobs: LocalBlobs, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in blobs.open(digest_bytes(b"hello"), start, end)])


@pytest.mark.parametrize("damaged", [b"hel", b"hallo", b"hello and more", b""])
async def test_a_damaged_blob_is_mended_by_the_same_bytes(tmp_path: Path, damaged: bytes) -> None:
    blobs = LocalBlobs(tmp_path)
    kept = await blobs.put(stream(b"hello"))
    (await blobs.local_path(kept.digest)).write_bytes(damaged)
    with pytest.raises(StorageCorrupt):
        await read(blobs)
    await blobs.put(stream(b"hello"))
    assert await read(blobs) == b"hello"


async def test_every_folder_on_the_way_to_a_blob_survives_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs, synced, sync = LocalBlobs(tmp_path), set[Path](), os.fsync

    def noted(handle: int) -> None:
        synced.add(Path(f"/proc/self/fd/{handle}").readlink())
        sync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    kept = await blobs.put(stream(b"hello"))
    path = await blobs.local_path(kept.digest)
    assert {path.parent, path.parent.parent, tmp_path} <= synced


async def test_a_reader_of_a_blob_that_is_put_again_reads_on(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    kept = await blobs.put(stream(bytes(3 * 2**20)))
    chunks = blobs.open(kept.digest)
    first = await anext(chunks)
    await blobs.put(stream(bytes(3 * 2**20)))
    assert len(first) + sum([len(chunk) async for chunk in chunks]) == kept.size


async def test_what_an_earlier_process_left_unfinished_is_removed_but_not_its_parts(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    part = await blobs.put_part("up", 1, stream(b"part"))
    (tmp_path / "incoming" / "half").write_bytes(b"half")
    later = LocalBlobs(tmp_path)
    assert list((tmp_path / "incoming").iterdir()) == []
    assert (await later.join_parts("up", [(1, part)])).digest == digest_bytes(b"part")


async def test_reading_a_file_that_shrinks_says_that_it_is_damaged(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    kept = await blobs.put(stream(bytes(5 * 2**20)))
    chunks = blobs.open(kept.digest)
    await anext(chunks)
    os.truncate(await blobs.local_path(kept.digest), 2**20)
    with pytest.raises(StorageCorrupt, match="shorter"):
        [chunk async for chunk in chunks]


async def test_a_reader_that_stops_early_leaves_no_file_open(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    kept = await blobs.put(stream(bytes(5 * 2**20)))
    chunks = blobs.open(kept.digest)
    await anext(chunks)
    await chunks.aclose()
    held = [target for link in Path("/proc/self/fd").iterdir() if (target := _target(link)).startswith(str(tmp_path))]
    assert held == []


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


async def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file")
    with pytest.raises(StorageUnreadable, match="blobs"):
        LocalBlobs(tmp_path / "blobs")
