"""A disk that fills up under a running server: callers are told, nothing acknowledged is lost, and it goes on later."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import twinloop
from tests.serving import ServerProcess
from twinloop.core.errors import StorageFull


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB; needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def model(column: str) -> dict[str, Any]:
    facts = {"format": "constant", "task": "binary", "label": "y", "files": {}, "params": {"value": 0.5}}
    return {**facts, "inputs": [{"name": column}]}


def fill(client: twinloop.Client, kept: list[str]) -> None:
    for n in range(10_000):
        kept.append(client.revisions.register("model", f"m{n}", model(f"{n}-{'x' * 3000}"))["ref"])


def test_a_full_disk_is_told_to_the_caller_and_what_was_acknowledged_stays(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with ServerProcess(small_disk / "home") as server, twinloop.connect(url=server.url) as client:
        kept: list[str] = []
        ballast.write_bytes(b"x" * 9_000_000)
        with pytest.raises(StorageFull, match="No space is left"):
            fill(client, kept)
        assert kept
        with pytest.raises(StorageFull, match="No space is left"):
            client.blobs.upload(b"y" * 9_000_000)
        assert [client.revisions.get(ref)["ref"] for ref in kept] == kept
        ballast.unlink()
        assert client.revisions.register("model", "after", model("d"))["number"] == 1
        assert "Traceback" not in server.log
    with ServerProcess(small_disk / "home") as server, twinloop.connect(url=server.url) as client:
        assert [client.revisions.get(ref)["ref"] for ref in kept] == kept
        assert client.revisions.get("model/after")["number"] == 1


def test_a_start_on_a_full_disk_says_so_and_exits(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(b"x" * (12 * 2**20 - 8192))
    with pytest.raises(AssertionError, match="No space is left"):
        ServerProcess(small_disk / "home")
