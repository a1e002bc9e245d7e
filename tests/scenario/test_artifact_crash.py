"""``kill -9`` while artifacts arrive: what was acknowledged is there afterwards, and uploads go on where they were."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import pytest

from tests import buckets
from tests.serving import ServerProcess
from twinloop.core.digests import digest_bytes
from twinloop.core.errors import TwinloopError
from twinloop.sdk.client import Client
from twinloop.sdk.transports import HttpTransport

ROUNDS = 4
PART = 2**20
PARTS = 40


def connect(server: ServerProcess) -> Client:
    return Client(HttpTransport(server.url, 30.0))


class Uploading(threading.Thread):
    """Puts the parts of one upload that are not acknowledged yet, and small files beside them, until the server is gone."""

    def __init__(self, url: str, id: str, data: bytes, parts: dict[int, str], files: dict[str, str]) -> None:
        super().__init__()
        self._client = Client(HttpTransport(url, 30.0))
        self._id, self._data = id, data
        self.parts, self.files = parts, files

    def run(self) -> None:
        try:
            for number in range(1, PARTS + 1):
                if number in self.parts:
                    continue
                content = self._data[(number - 1) * PART : number * PART]
                one = self._client.call("PUT", f"/api/v1/uploads/{self._id}/parts/{number}", content=content)
                self.parts[number] = one["digest"]
                path = f"beside/{number}-{time.time_ns()}"
                made = self._client.call("PUT", f"/api/v1/artifacts/{path}", content=os.urandom(200_000))
                self.files[path] = made["digest"]
        except TwinloopError:
            return  # the server was killed
        finally:
            self._client.close()


@pytest.mark.slow
def test_an_upload_survives_kill_9_at_random_moments(tmp_path: Path) -> None:
    data = os.urandom(PARTS * PART)
    parts: dict[int, str] = {}
    files: dict[str, str] = {}
    home = tmp_path / "home"
    with ServerProcess(home) as server, connect(server) as client:
        body = {"path": "crash/big", "size": len(data), "part_size": PART}
        id = client.call("POST", "/api/v1/uploads", body)["id"]
    for _ in range(ROUNDS):
        server = ServerProcess(home)
        uploading = Uploading(server.url, id, data, parts, files)
        uploading.start()
        time.sleep(random.uniform(0.05, 0.5))
        server.kill()
        uploading.join(30)
    with ServerProcess(home) as server, connect(server) as client:
        found = {one["number"]: one["digest"] for one in client.call("GET", f"/api/v1/uploads/{id}")["parts"]}
        assert found.items() >= parts.items()
        for path, digest in files.items():
            assert digest_bytes(client.artifacts.read("beside", path.removeprefix("beside/"))) == digest
        uploading = Uploading(server.url, id, data, parts, files)
        uploading.run()
        done = client.call("POST", f"/api/v1/uploads/{id}/complete", {"digest": digest_bytes(data)})
        assert done["size"] == len(data)
        assert client.artifacts.read("crash", "big") == data
        assert not (home / "blobs" / "parts" / id).exists()


@pytest.mark.slow
def test_the_whole_story_over_s3_with_a_crash_in_the_middle(tmp_path: Path) -> None:
    pytest.importorskip("moto", reason="moto[server] is not installed")
    pytest.importorskip("obstore", reason="the extra s3 is not installed")
    (tmp_path / "moto").mkdir()
    data = os.urandom(7 * PART + 5)
    with buckets.moto(tmp_path / "moto") as bucket:
        env = {**buckets.KEYS, "TWINLOOP_BLOBS": bucket.url}
        server = ServerProcess(tmp_path / "home", env=env)
        with connect(server) as client:
            body = {"path": "s3/big", "size": len(data), "part_size": 4 * PART}
            id = client.call("POST", "/api/v1/uploads", body)["id"]
            client.call("PUT", f"/api/v1/uploads/{id}/parts/2", content=data[4 * PART :])
            server.kill()
        with ServerProcess(tmp_path / "home", env=env) as server, connect(server) as client:
            client.call("PUT", f"/api/v1/uploads/{id}/parts/1", content=data[: 4 * PART])
            client.call("POST", f"/api/v1/uploads/{id}/complete", {"digest": digest_bytes(data)})
            (tmp_path / "small.txt").write_text("small")
            with client.runs.start("over s3") as run:
                client.artifacts.upload(run, tmp_path / "small.txt")
            assert client.artifacts.read("s3", "big") == data
            assert client.artifacts.read(run, "small.txt") == b"small"
        assert bucket.size() == len(data) + len(b"small")


def test_artifacts_work_in_this_process_too(tmp_path: Path) -> None:
    import twinloop

    (tmp_path / "file.txt").write_bytes(b"x" * 3_000_000)
    with twinloop.connect(home=tmp_path / "home") as client:
        with client.runs.start("embedded") as run:
            [sent] = client.artifacts.upload(run, tmp_path / "file.txt", into="a/b")
        assert sent["digest"] == digest_bytes(b"x" * 3_000_000)
        found = client.artifacts.download(run, tmp_path / "into")
        assert (found / "a/b/file.txt").read_bytes() == b"x" * 3_000_000
