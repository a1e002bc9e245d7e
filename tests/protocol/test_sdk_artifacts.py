"""``client.artifacts`` against a real server, over connections that hold and connections that break."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cutting import CuttingProxy
from tests.protocol.test_mlflow_artifacts import ask
from tests.serving import ServerProcess
from twinloop.core.digests import digest_bytes
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.sdk.client import Client
from twinloop.sdk.file_transfer import PART
from twinloop.sdk.transports import HttpTransport

LARGE = 100 * 10**6 + 1


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(HttpTransport(server.url)) as opened:
        yield opened


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file that goes in parts, unlike any other."""
    file = tmp_path / "large.bin"
    file.write_bytes(os.urandom(LARGE))
    return file


def stored_parts(server: ServerProcess) -> list[Path]:
    return [path for path in (server.home / "blobs" / "parts").rglob("*") if path.is_file()]


def test_a_folder_of_a_run_goes_up_and_comes_down(client: Client, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for path, data in {"a.txt": b"1", "deep/ä %20+#.bin": bytes(range(256)), "deep/empty": b""}.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(data)
    with client.runs.start("sdk artifacts") as run:
        sent = client.artifacts.upload(run, source, into="data")
        client.artifacts.upload(run, source / "a.txt")
    root = client.artifacts.folder(run)
    assert root.endswith(f"/{run.id}/artifacts")
    assert {one["path"] for one in sent} == {f"{root}/data/{p}" for p in ("a.txt", "deep/ä %20+#.bin", "deep/empty")}
    assert [one["path"] for one in client.artifacts.list(run)] == [f"{root}/a.txt", f"{root}/data"]
    assert [one["path"] for one in client.artifacts.list(run, "data")] == [f"{root}/data/a.txt", f"{root}/data/deep"]
    assert client.artifacts.read(run, "data/deep/ä %20+#.bin") == bytes(range(256))
    into = client.artifacts.download(run, tmp_path / "into")
    assert {p.relative_to(into).as_posix(): p.read_bytes() for p in into.rglob("*") if p.is_file()} == {
        "a.txt": b"1", "data/a.txt": b"1", "data/deep/ä %20+#.bin": bytes(range(256)), "data/deep/empty": b"",
    }  # fmt: skip
    one = client.artifacts.download(run, tmp_path / "one", "data/a.txt")
    assert one == tmp_path / "one" / "a.txt"
    assert one.read_bytes() == b"1"
    client.artifacts.delete(run, "data")
    assert [found["path"] for found in client.artifacts.list(run, deep=True)] == [f"{root}/a.txt"]
    with pytest.raises(NotFound):
        client.artifacts.download(run, tmp_path / "none", "data")


def test_what_is_there_already_is_not_sent_again(client: Client, server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "twice.bin"
    file.write_bytes(os.urandom(3_000_000))
    [first] = client.artifacts.upload("sdk/first", file)
    with CuttingProxy(server.url, 100_000, 100) as proxy, Client(HttpTransport(proxy.url)) as narrow:
        [second] = narrow.artifacts.upload("sdk/second", file)
        assert proxy.cuts_left == 100
    assert (second["path"], second["digest"]) == ("sdk/second/twice.bin", first["digest"])


def test_a_large_file_goes_in_parts(client: Client, server: ServerProcess, large: Path, tmp_path: Path) -> None:
    [sent] = client.artifacts.upload("sdk/large", large)
    assert (sent["size"], stored_parts(server)) == (LARGE, [])
    found = client.artifacts.download("sdk/large/large.bin", tmp_path / "into")
    assert found.read_bytes() == large.read_bytes()


def test_a_large_file_goes_up_and_comes_down_over_a_connection_that_breaks(
    server: ServerProcess, large: Path, tmp_path: Path
) -> None:
    with CuttingProxy(server.url, 20_000_000, 3) as proxy, Client(HttpTransport(proxy.url)) as client:
        [sent] = client.artifacts.upload("sdk/broken", large)
        assert proxy.cuts_left == 0
        proxy.cuts_left = 4
        found = client.artifacts.download("sdk/broken/large.bin", tmp_path / "into")
        assert proxy.cuts_left == 0
    assert digest_bytes(found.read_bytes()) == sent["digest"] == digest_bytes(large.read_bytes())
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["large.bin"]


def test_an_upload_that_was_given_up_is_gone_on_with(client: Client, server: ServerProcess, large: Path) -> None:
    begun = client.call("POST", "/api/v1/uploads", {"path": "sdk/again/large.bin", "size": LARGE, "part_size": PART})
    one = f"/api/v1/uploads/{begun['id']}/parts"
    data = large.read_bytes()
    client.call("PUT", f"{one}/1", content=data[:PART])
    client.call("PUT", f"{one}/2", content=bytes(PART))  # of another content of the file
    with CuttingProxy(server.url, 3 * PART + PART // 2, 1) as proxy, Client(HttpTransport(proxy.url)) as narrow:
        [sent] = narrow.artifacts.upload("sdk/again", large)
        assert proxy.cuts_left == 1, "the first part was sent again"
    assert sent["digest"] == digest_bytes(data)
    assert stored_parts(server) == []


def test_a_download_that_was_given_up_is_gone_on_with(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "file.bin"
    file.write_bytes(os.urandom(3_000_000))
    [sent] = client.artifacts.upload("sdk/resumed", file)
    half = tmp_path / "into" / f".{sent['digest'].removeprefix('sha256:')[:32]}.partial"
    half.parent.mkdir()
    half.write_bytes(file.read_bytes()[:1_000_000])
    assert client.artifacts.download("sdk/resumed/file.bin", half.parent).read_bytes() == file.read_bytes()
    half.write_bytes(bytes(4_000_000))
    (half.parent / "file.bin").unlink()
    assert client.artifacts.download("sdk/resumed/file.bin", half.parent).read_bytes() == file.read_bytes()
    assert [path.name for path in half.parent.iterdir()] == ["file.bin"]


def test_a_file_that_is_there_already_is_not_fetched(client: Client, server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "file.bin"
    file.write_bytes(os.urandom(3_000_000))
    client.artifacts.upload("sdk/kept", file)
    with CuttingProxy(server.url, 100_000, 100) as proxy, Client(HttpTransport(proxy.url)) as narrow:
        assert narrow.artifacts.download("sdk/kept/file.bin", tmp_path) == file
        assert proxy.cuts_left == 100


@pytest.mark.parametrize("path", ["../x", "/x", "a/../b"])
def test_a_path_that_leads_elsewhere_is_refused_before_it_is_sent(client: Client, tmp_path: Path, path: str) -> None:
    (tmp_path / "f").write_bytes(b"x")
    with pytest.raises(InvalidInput, match="Invalid path"):
        client.artifacts.upload("sdk", tmp_path / "f", into=path)
    with pytest.raises(InvalidInput, match="Invalid path"):
        client.artifacts.download(path, tmp_path / "into")
    with pytest.raises(InvalidInput, match="neither a file nor a folder"):
        client.artifacts.upload("sdk", tmp_path / "none")


def test_a_file_that_is_unsafe_to_load_says_so(client: Client, server: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x80\x04\x95")
    [sent] = client.artifacts.upload("sdk/unsafe", tmp_path / "model.onnx")
    assert sent["flag"] == "pickle"
    assert ask(server, "HEAD", "/api/v1/artifacts/sdk/unsafe/model.onnx").headers["x-content-flag"] == "pickle"
