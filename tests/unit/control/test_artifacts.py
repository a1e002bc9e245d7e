from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from twinloop.backends.local_fs import LocalBlobs
from twinloop.backends.sqlite import open_store
from twinloop.control.artifacts.service import Artifacts
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.core.clock import ManualClock
from twinloop.core.digests import digest_bytes
from twinloop.core.errors import Conflict, Forbidden, InvalidInput, NotFound

VIEWER = Principal("v", "default", Role.viewer)
OTHER = Principal("o", "other", Role.admin)


@pytest.fixture
async def artifacts(tmp_path: Path) -> AsyncIterator[Artifacts]:
    store = open_store(tmp_path / "store.db")
    yield Artifacts(store, LocalBlobs(tmp_path / "blobs"), ManualClock())
    await store.aclose()


async def stream(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def put(artifacts: Artifacts, *paths: str, who: Principal = LOCAL_ADMIN) -> None:
    for path in paths:
        await artifacts.put(who, path, stream(path.encode()))


async def read(artifacts: Artifacts, path: str, start: int = 0, end: int | None = None) -> bytes:
    _, chunks = await artifacts.open(VIEWER, path, start, end)
    return b"".join([chunk async for chunk in chunks])


async def paths(artifacts: Artifacts, folder: str, who: Principal = VIEWER) -> list[str]:
    return [found.path for found in (await artifacts.list(who, folder)).items]


async def test_what_was_put_is_read_at_its_path(artifacts: Artifacts) -> None:
    made = await artifacts.put(LOCAL_ADMIN, "1/run/artifacts/model/MLmodel", stream(b"hel", b"lo"))
    assert made == await artifacts.get(VIEWER, "1/run/artifacts/model/MLmodel")
    assert (made.size, made.digest, made.is_dir, made.flag) == (5, digest_bytes(b"hello"), False, None)
    assert await read(artifacts, made.path) == b"hello"
    assert await read(artifacts, made.path, 1, 3) == b"el"


async def test_a_folder_lists_its_direct_children_and_its_tree_all_files(artifacts: Artifacts) -> None:
    await put(artifacts, "r/b.txt", "r/a/x.txt", "r/a/y/z.txt", "r0/else.txt", "r-/else.txt")
    assert await paths(artifacts, "r") == ["r/a", "r/b.txt"]
    assert await paths(artifacts, "r/") == ["r/a", "r/b.txt"]
    assert [found.path for found in await artifacts.tree(VIEWER, "r")] == ["r/a/x.txt", "r/a/y/z.txt", "r/b.txt"]
    assert (await artifacts.get(VIEWER, "r/a")).is_dir
    assert await paths(artifacts, "nothing") == []


async def test_a_listing_goes_on_where_a_page_ended(artifacts: Artifacts) -> None:
    await put(artifacts, *(f"r/{number:02}" for number in range(5)))
    first = await artifacts.list(VIEWER, "r", 2)
    second = await artifacts.list(VIEWER, "r", 2, first.next)
    third = await artifacts.list(VIEWER, "r", 2, second.next)
    assert [a.name for page in (first, second, third) for a in page.items] == ["00", "01", "02", "03", "04"]
    assert third.next is None


async def test_a_path_is_a_file_or_a_folder(artifacts: Artifacts) -> None:
    await put(artifacts, "r/a/x")
    for path in ("r/a", "r/a/x/y"):
        with pytest.raises(Conflict):
            await put(artifacts, path)
    assert [found.path for found in await artifacts.tree(VIEWER)] == ["r/a/x"]


async def test_a_file_put_again_is_replaced(artifacts: Artifacts) -> None:
    await artifacts.put(LOCAL_ADMIN, "r/x", stream(b"one"))
    await artifacts.put(LOCAL_ADMIN, "r/x", stream(b"second"))
    assert await read(artifacts, "r/x") == b"second"
    assert len((await artifacts.list(VIEWER, "r")).items) == 1


async def test_bytes_that_are_not_what_was_announced_leave_no_entry(artifacts: Artifacts) -> None:
    with pytest.raises(InvalidInput, match="have the digest"):
        await artifacts.put(LOCAL_ADMIN, "r/x", stream(b"one"), digest_bytes(b"two"))
    assert await artifacts.find(VIEWER, "r/x") is None


async def test_a_stored_blob_is_attached_without_its_bytes(artifacts: Artifacts) -> None:
    first = await artifacts.put(LOCAL_ADMIN, "r/x", stream(b"\x80\x04\x95rest"))
    made = await artifacts.attach(LOCAL_ADMIN, "r/y", first.digest)
    assert (made.size, made.digest, made.flag) == (first.size, first.digest, "pickle")
    with pytest.raises(NotFound):
        await artifacts.attach(LOCAL_ADMIN, "r/z", digest_bytes(b"nobody sent this"))


async def test_a_deleted_folder_takes_what_is_below_and_nothing_beside(artifacts: Artifacts) -> None:
    await put(artifacts, "r/a/x", "r/a/y/z", "r/ab/x", "r/a-/x", "r/a0")
    assert await artifacts.delete(LOCAL_ADMIN, "r/a") == 2
    assert [found.path for found in await artifacts.tree(VIEWER)] == ["r/a-/x", "r/a0", "r/ab/x"]
    assert await artifacts.find(VIEWER, "r/a") is None
    assert await artifacts.delete(LOCAL_ADMIN, "r/a") == 0


async def test_a_folder_whose_files_are_gone_can_become_a_file(artifacts: Artifacts) -> None:
    await put(artifacts, "r/a/x")
    await artifacts.delete(LOCAL_ADMIN, "r/a/x")
    await put(artifacts, "r/a")
    assert not (await artifacts.get(VIEWER, "r/a")).is_dir


async def test_tenants_do_not_see_each_others_files(artifacts: Artifacts) -> None:
    await put(artifacts, "r/x")
    assert await paths(artifacts, "r", OTHER) == []
    with pytest.raises(NotFound):
        await artifacts.open(OTHER, "r/x")
    await put(artifacts, "r/x/y", who=OTHER)
    assert await artifacts.delete(OTHER, "r") == 1
    assert await read(artifacts, "r/x") == b"r/x"


async def test_a_viewer_reads_and_does_not_write(artifacts: Artifacts) -> None:
    for refused in (put(artifacts, "r/x", who=VIEWER), artifacts.delete(VIEWER, "r/x")):
        with pytest.raises(Forbidden):
            await refused


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "/etc/passwd", "..", "../x", "a/../b", "a/..", ".", "a/./b", "a//b", "a/", "a\\b", "..\\x", "C:/x", "c:x",
        "file:x/../y", "a\x00b", "a\nb", "\x7f", "%2e%2e/x", "a/%2E%2E/b", "%252e%252e/x", "a%2f..%2fb", "%2fetc/passwd",
        "%255c..", "x" * 256, "x/" * 600 + "x", "%25252525252e%25252525252e/x", "C%3a/x", "a/\ud800",
    ],
)  # fmt: skip
async def test_a_path_that_leads_elsewhere_is_refused(artifacts: Artifacts, path: str) -> None:
    with pytest.raises(InvalidInput):
        await put(artifacts, path) if "\ud800" not in path else await artifacts.put(LOCAL_ADMIN, path, stream(b""))
    with pytest.raises(InvalidInput):
        await artifacts.open(VIEWER, path)
    with pytest.raises(InvalidInput):
        await artifacts.delete(LOCAL_ADMIN, path)
    assert await artifacts.tree(VIEWER) == []


@pytest.mark.parametrize(
    "path",
    [
        "a b/c",
        "ä/日本.txt",
        "a+b",
        "100%.txt",
        "a..b/..c/d..",
        "...",
        "ab:c",
        "#?&=",
        "~x",
        "%20",
        "x" * 255,
        "dog%step%20%timestamp%100%9f.png",
    ],
)
async def test_an_unusual_name_is_kept_as_it_is(artifacts: Artifacts, path: str) -> None:
    await put(artifacts, path)
    assert await read(artifacts, path) == path.encode()
    assert [found.path for found in await artifacts.tree(VIEWER)] == [path]
