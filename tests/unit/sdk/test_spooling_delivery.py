"""What becomes of a spool on its way to a server: the copies of files, what cannot be sent, and what is left of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import twinloop as tl
from twinloop.control.tracking.replay.operations import Artifact, Finish, Operation, Start, encode
from twinloop.core.errors import PayloadTooLarge, Unauthenticated, Unavailable
from twinloop.core.ids import new_id
from twinloop.sdk.client import Client
from twinloop.sdk.spooling.delivery import Delivery, Rejected, open_runs
from twinloop.sdk.spooling.destination import Destination
from twinloop.sdk.spooling.draining import sweep
from twinloop.sdk.spooling.spool import Place, Spool

HERE = Place(home="/somewhere")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with tl.connect(home=tmp_path / "home") as connected:
        yield connected


def spooled(root: Path, *operations: Operation) -> Spool:
    spool = Spool.make(root, HERE)
    for operation in operations:
        spool.journal.append(encode(operation))
    return spool


def copies(spool: Spool) -> list[str]:
    assert spool.folder is not None
    return sorted(path.name for path in (spool.folder / "files").iterdir())


def delivering(spool: Spool, told: list[Rejected] | None = None) -> Delivery:
    refused = [] if told is None else told
    return Delivery(spool.about.id, spool.folder, 0, acknowledge=spool.acknowledge, told=refused.extend)


def test_the_copy_of_a_file_is_deleted_when_the_file_has_arrived(client: Client, tmp_path: Path) -> None:
    """A program of weeks would fill its disk with checkpoints that the server has."""
    spool, run = spooled(tmp_path / "spool"), new_id()
    spool.journal.append(encode(Start(run, 1)))
    for number in (1, 2, 3):
        kept = spool.keep(b"checkpoint" * number, number)
        spool.journal.append(encode(Artifact(run, "model.bin", file=kept)))
    delivery = delivering(spool)
    left = []
    while delivery.advance(client):
        left.append(len(copies(spool)))
    assert left == [3, 2, 1, 0]
    folder = f"{client.runs.get(run)['experiment']}/{run}/artifacts"
    assert client.artifacts.read(folder, "model.bin") == b"checkpoint" * 3
    delivery.close()
    spool.remove()


def test_a_copy_that_cannot_be_read_or_is_too_large_holds_up_nothing_behind_it(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, run = spooled(tmp_path / "spool"), new_id()
    spool.journal.append(encode(Start(run, 1)))
    for number, content in enumerate((b"damaged", b"too large", b"good"), 1):
        kept = spool.keep(content, number)
        spool.journal.append(encode(Artifact(run, f"{content.decode()}.bin", file=kept)))
    upload = client.blobs.upload

    def as_a_disk_and_a_proxy_do(source: Path) -> object:
        if source.read_bytes() == b"damaged":
            raise OSError(5, "Input/output error")
        if source.read_bytes() == b"too large":
            raise PayloadTooLarge("1 MB is the most.")
        return upload(source)

    monkeypatch.setattr(client.blobs, "upload", as_a_disk_and_a_proxy_do)
    told: list[Rejected] = []
    delivery = delivering(spool, told)
    while delivery.advance(client):
        pass
    assert [(item.run, item.sequence) for item in told] == [(run, 2), (run, 3)]
    assert "damaged.bin cannot be read (Input/output error)" in told[0].message
    assert "too large.bin is larger than what is taken at once" in told[1].message
    folder = f"{client.runs.get(run)['experiment']}/{run}/artifacts"
    assert [item["path"] for item in client.artifacts.list(folder)] == [f"{folder}/good.bin"]
    delivery.close()
    spool.remove()


def test_one_spool_that_cannot_be_read_holds_up_no_other(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, run = tmp_path / "spool", new_id()
    first, second = spooled(root, Start(new_id(), 1)), spooled(root, Start(run, 1), Finish(run, 2))
    first.close()
    second.close()
    assert first.folder is not None
    assert second.folder is not None
    damaged = first.folder

    def on_a_damaged_disk(folder: Path) -> list[str]:
        if folder == damaged:
            raise OSError(5, "Input/output error")
        return open_runs(folder)

    monkeypatch.setattr("twinloop.sdk.spooling.draining.open_runs", on_a_damaged_disk)
    sweep(root, HERE, client)
    assert client.runs.get(run)["status"] == "FINISHED"
    assert first.folder.is_dir()
    assert not second.folder.exists()


@pytest.mark.parametrize("error", [Unavailable("away"), Unauthenticated("The key was revoked.")])
def test_the_way_and_the_key_are_looked_up_again_after_they_failed(client: Client, error: Exception) -> None:
    """A notebook gets a new key without being started again."""
    asked: list[Place] = []

    def reach(place: Place) -> Client:
        asked.append(place)
        return client

    destination = Destination(HERE, reach, reach)
    for _ in range(2):
        with destination.client():
            pass
    assert len(asked) == 1
    with pytest.raises(type(error)), destination.client():
        raise error
    with destination.client():
        pass
    assert len(asked) == 2
