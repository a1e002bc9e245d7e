from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from twinloop.backends.local_fs import LocalBlobs
from twinloop.backends.sqlite import open_store
from twinloop.control.artifacts.service import Artifacts
from twinloop.control.artifacts.uploads import Uploads
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.control.store.ports import BlobRef
from twinloop.core.clock import ManualClock
from twinloop.core.digests import digest_bytes
from twinloop.core.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated

VIEWER = Principal("v", "default", Role.viewer)
OTHER = Principal("o", "other", Role.admin)
PART = 2**16
WHOLE = bytes(range(256)) * 600  # two parts and a bit
PARTS = {1: WHOLE[:PART], 2: WHOLE[PART : 2 * PART], 3: WHOLE[2 * PART :]}


class Opened:
    """The service over real files; ``again`` is what a restart finds."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self.folder = folder
        self.clock = clock
        self.store = open_store(folder / "store.db")
        self.blobs = LocalBlobs(folder / "blobs")
        self.artifacts = Artifacts(self.store, self.blobs, clock)
        self.uploads = self.artifacts.uploads

    async def again(self) -> Opened:
        await self.store.aclose()
        return Opened(self.folder, self.clock)

    async def begin(self, path: str = "r/big") -> str:
        return (await self.uploads.begin(LOCAL_ADMIN, path, len(WHOLE), PART)).upload.id

    async def put(self, id: str, *numbers: int) -> None:
        for number in numbers:
            await self.uploads.put_part(LOCAL_ADMIN, id, number, stream(PARTS[number]))

    async def read(self, path: str = "r/big") -> bytes:
        _, chunks = await self.artifacts.open(VIEWER, path)
        return b"".join([chunk async for chunk in chunks])

    def files(self) -> list[Path]:
        return [path for path in (self.folder / "blobs").rglob("*") if path.is_file()]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    found = Opened(tmp_path, ManualClock())
    yield found
    await found.store.aclose()


async def stream(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_parts_in_any_order_become_the_file(opened: Opened) -> None:
    id = await opened.begin()
    await opened.put(id, 3, 1, 2)
    made = await opened.uploads.complete(LOCAL_ADMIN, id, digest_bytes(WHOLE))
    assert (made.path, made.size, made.digest) == ("r/big", len(WHOLE), digest_bytes(WHOLE))
    assert await opened.read() == WHOLE
    assert len(opened.files()) == 1


async def test_a_part_sent_again_replaces_the_one_before(opened: Opened) -> None:
    id = await opened.begin()
    await opened.uploads.put_part(LOCAL_ADMIN, id, 1, stream(b"x" * PART))
    await opened.put(id, 1, 2, 3)
    await opened.uploads.complete(LOCAL_ADMIN, id)
    assert await opened.read() == WHOLE


async def test_an_upload_goes_on_after_a_restart(tmp_path: Path) -> None:
    first = Opened(tmp_path, ManualClock())
    id = await first.begin()
    await first.put(id, 1, 3)
    second = await first.again()
    await second.uploads.sweep()
    found = await second.uploads.get(LOCAL_ADMIN, id)
    assert [(part.number, part.digest) for part in found.parts] == [(n, digest_bytes(PARTS[n])) for n in (1, 3)]
    assert [upload.id for upload in await second.uploads.under_way(LOCAL_ADMIN, "r/big")] == [id]
    await second.put(id, 2)
    await second.uploads.complete(LOCAL_ADMIN, id, digest_bytes(WHOLE))
    assert await second.read() == WHOLE
    await second.store.aclose()


async def test_an_upload_with_missing_parts_is_not_completed(opened: Opened) -> None:
    id = await opened.begin()
    await opened.put(id, 1)
    with pytest.raises(InvalidInput, match="missing: 2, 3"):
        await opened.uploads.complete(LOCAL_ADMIN, id)
    assert await opened.artifacts.find(VIEWER, "r/big") is None


async def test_a_part_of_another_size_is_refused_and_not_counted(opened: Opened) -> None:
    id = await opened.begin()
    with pytest.raises(InvalidInput, match="must have"):
        await opened.uploads.put_part(LOCAL_ADMIN, id, 1, stream(b"short"))
    with pytest.raises(InvalidInput, match="numbered from 1 to 3"):
        await opened.uploads.put_part(LOCAL_ADMIN, id, 4, stream(b""))
    assert (await opened.uploads.get(LOCAL_ADMIN, id)).parts == ()


async def test_parts_other_than_those_named_are_not_joined(opened: Opened) -> None:
    id = await opened.begin()
    await opened.put(id, 1, 2, 3)
    named: dict[int, str] = {number: digest_bytes(data) for number, data in PARTS.items()}
    with pytest.raises(InvalidInput, match="other bytes are stored: 2"):
        await opened.uploads.complete(LOCAL_ADMIN, id, None, named | {2: digest_bytes(b"else")})
    with pytest.raises(InvalidInput, match="2 were named"):
        await opened.uploads.complete(LOCAL_ADMIN, id, None, {n: named[n] for n in (1, 2)})
    await opened.uploads.complete(LOCAL_ADMIN, id, None, named)
    assert await opened.read() == WHOLE


async def test_a_part_with_a_number_beyond_all_parts_is_refused_and_not_looked_for(opened: Opened) -> None:
    id = (await opened.uploads.begin(LOCAL_ADMIN, "r/big")).upload.id
    with pytest.raises(InvalidInput, match="numbered from 1 to 10000"):
        await opened.uploads.complete(LOCAL_ADMIN, id, None, {10**15: digest_bytes(b"")})


async def test_a_file_with_another_digest_than_announced_is_not_entered(opened: Opened) -> None:
    id = await opened.begin()
    await opened.put(id, 1, 2, 3)
    with pytest.raises(InvalidInput, match="have the digest"):
        await opened.uploads.complete(LOCAL_ADMIN, id, digest_bytes(b"else"))
    assert await opened.artifacts.find(VIEWER, "r/big") is None
    await opened.uploads.complete(LOCAL_ADMIN, id, digest_bytes(WHOLE))


async def test_completing_twice_gives_the_same_answer(opened: Opened) -> None:
    id = await opened.begin()
    await opened.put(id, 1, 2, 3)
    first, second = await asyncio.gather(*(opened.uploads.complete(LOCAL_ADMIN, id) for _ in range(2)))
    assert first == second == await opened.uploads.complete(LOCAL_ADMIN, id)
    with pytest.raises(NotFound):
        await opened.put(id, 1)


async def test_no_part_changes_while_the_upload_is_completed(opened: Opened) -> None:
    id = await opened.begin()
    await opened.put(id, 1, 2)
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        arrived.set()
        await go_on.wait()
        yield PARTS[3]

    last = asyncio.create_task(opened.uploads.put_part(LOCAL_ADMIN, id, 3, slow()))
    await arrived.wait()
    completing = asyncio.create_task(opened.uploads.complete(LOCAL_ADMIN, id))
    await asyncio.sleep(0.05)
    with pytest.raises(Conflict, match="being completed"):
        await opened.uploads.put_part(LOCAL_ADMIN, id, 1, stream(b"x" * PART))
    go_on.set()
    await last
    assert (await completing).digest == digest_bytes(WHOLE)
    assert await opened.read() == WHOLE


async def test_a_part_that_breaks_off_while_it_replaces_another_must_be_sent_again(opened: Opened) -> None:
    id = await opened.begin()
    await opened.put(id, 1, 2, 3)

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        await opened.uploads.put_part(LOCAL_ADMIN, id, 2, broken())
    with pytest.raises(InvalidInput, match="missing: 2"):
        await opened.uploads.complete(LOCAL_ADMIN, id)
    await opened.put(id, 2)
    await opened.uploads.complete(LOCAL_ADMIN, id)
    assert await opened.read() == WHOLE


async def test_a_sender_that_is_gone_without_a_word_does_not_keep_its_part_from_another(opened: Opened) -> None:
    uploads = Uploads(opened.store, opened.blobs, opened.artifacts.attach, opened.clock, idle_s=0.1)
    id = await opened.begin()

    async def silent() -> AsyncIterator[bytes]:
        yield PARTS[1][:1000]
        await asyncio.Event().wait()

    gone = asyncio.create_task(uploads.put_part(LOCAL_ADMIN, id, 1, silent()))
    await asyncio.sleep(0.02)
    for number in PARTS:
        await uploads.put_part(LOCAL_ADMIN, id, number, stream(PARTS[number]))
    with pytest.raises(InvalidInput, match=r"Nothing came for 0\.1 s"):
        await gone
    await uploads.complete(LOCAL_ADMIN, id)
    assert await opened.read() == WHOLE


async def test_completing_goes_on_where_a_crash_left_the_joined_file(opened: Opened) -> None:
    id = await opened.begin()
    await opened.put(id, 1, 2, 3)
    found = await opened.uploads.get(LOCAL_ADMIN, id)
    parts = [(part.number, BlobRef(part.digest, part.size)) for part in found.parts]
    await opened.blobs.join_parts(id, parts)  # and the crash comes before this is written down
    await opened.uploads.complete(LOCAL_ADMIN, id, digest_bytes(WHOLE))
    assert await opened.read() == WHOLE


async def test_an_upload_whose_path_was_taken_is_completed_once_that_is_free(opened: Opened) -> None:
    id = await opened.begin()
    await opened.put(id, 1, 2, 3)
    await opened.artifacts.put(LOCAL_ADMIN, "r/big/in the way", stream(b"x"))
    for _ in range(2):
        with pytest.raises(Conflict, match="is a folder"):
            await opened.uploads.complete(LOCAL_ADMIN, id)
    await opened.artifacts.delete(LOCAL_ADMIN, "r/big")
    assert (await opened.uploads.complete(LOCAL_ADMIN, id)).digest == digest_bytes(WHOLE)
    assert await opened.read() == WHOLE


async def test_an_aborted_upload_leaves_nothing(opened: Opened) -> None:
    id = await opened.begin()
    await opened.put(id, 1, 2)
    await opened.uploads.abort(LOCAL_ADMIN, id)
    await opened.uploads.abort(LOCAL_ADMIN, id)
    assert opened.files() == []
    with pytest.raises(NotFound):
        await opened.uploads.complete(LOCAL_ADMIN, id)


async def test_uploads_that_nobody_touches_for_a_week_are_removed_at_the_start(opened: Opened) -> None:
    left, touched = await opened.begin("r/left"), await opened.begin("r/touched")
    await opened.put(left, 1)
    opened.clock.advance(6 * 86_400)
    await opened.put(touched, 1)
    opened.clock.advance(2 * 86_400)
    await opened.uploads.sweep()
    with pytest.raises(NotFound):
        await opened.uploads.get(LOCAL_ADMIN, left)
    assert len((await opened.uploads.get(LOCAL_ADMIN, touched)).parts) == 1
    assert len(opened.files()) == 1


async def test_parts_without_an_account_are_removed_at_the_start(opened: Opened) -> None:
    await LocalBlobs(opened.folder / "blobs").put_part("nobody-knows-this", 1, stream(b"x"))
    await opened.uploads.sweep()
    assert opened.files() == []


async def test_a_token_puts_parts_of_its_upload_for_an_hour_after_the_last(opened: Opened) -> None:
    begun = await opened.uploads.begin(LOCAL_ADMIN, "r/big", len(WHOLE), PART)
    for number in (1, 2, 3):
        opened.clock.advance(3000)
        await opened.uploads.put_part_by_token(begun.token, number, stream(PARTS[number]))
    with pytest.raises(Unauthenticated):
        await opened.uploads.put_part_by_token(begun.token + "x", 1, stream(b""))
    opened.clock.advance(3601)
    with pytest.raises(Unauthenticated):
        await opened.uploads.put_part_by_token(begun.token, 1, stream(PARTS[1]))
    await opened.uploads.complete(LOCAL_ADMIN, begun.upload.id, digest_bytes(WHOLE))
    with pytest.raises(NotFound):
        await opened.uploads.put_part_by_token(begun.token, 1, stream(PARTS[1]))


async def test_a_torch_file_that_comes_in_parts_is_flagged(opened: Opened) -> None:
    id = (await opened.uploads.begin(LOCAL_ADMIN, "r/weights", 3, None)).upload.id
    await opened.uploads.put_part(LOCAL_ADMIN, id, 1, stream(b"\x80\x02}"))
    assert (await opened.uploads.complete(LOCAL_ADMIN, id)).flag == "pickle"


async def test_an_empty_file_is_one_empty_part(opened: Opened) -> None:
    id = (await opened.uploads.begin(LOCAL_ADMIN, "r/empty", 0)).upload.id
    await opened.uploads.put_part(LOCAL_ADMIN, id, 1, stream())
    assert (await opened.uploads.complete(LOCAL_ADMIN, id)).size == 0


async def test_an_upload_to_a_folder_is_refused_at_the_beginning(opened: Opened) -> None:
    await opened.artifacts.put(LOCAL_ADMIN, "r/a/x", stream(b"x"))
    for path in ("r/a", "r/a/x/y"):
        with pytest.raises(Conflict):
            await opened.uploads.begin(LOCAL_ADMIN, path)


@pytest.mark.parametrize(("size", "part_size"), [(-1, None), (10, 1), (2**40, 2**16), (1, 2**40), (None, 0)], ids=str)
async def test_sizes_that_cannot_be_are_refused(opened: Opened, size: int | None, part_size: int | None) -> None:
    with pytest.raises(InvalidInput):
        await opened.uploads.begin(LOCAL_ADMIN, "r/x", size, part_size)


async def test_uploads_are_kept_apart_by_tenant_and_need_a_developer(opened: Opened) -> None:
    id = await opened.begin()
    with pytest.raises(NotFound):
        await opened.uploads.put_part(OTHER, id, 1, stream(PARTS[1]))
    await opened.uploads.abort(OTHER, id)
    assert await opened.uploads.under_way(OTHER, "r/big") == []
    await opened.put(id, 1)
    with pytest.raises(Forbidden):
        await opened.uploads.begin(VIEWER, "r/x")
    with pytest.raises(Forbidden):
        await opened.uploads.get(VIEWER, id)
