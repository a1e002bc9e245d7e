"""The home folder: held by one, and honest about what is wrong with it."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import twinloop
from tests.serving import ServerProcess


def up(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "twinloop", "up", "--port", "0", *arguments], capture_output=True, text=True, timeout=60
    )


def test_a_second_server_on_the_home_says_who_holds_it_and_exits_2(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "home") as first:
        second = up("--home", str(tmp_path / "home"))
        assert second.returncode == 2
        assert f"process {first.process.pid}" in second.stderr
        assert first.url in second.stderr
        assert "Traceback" not in second.stderr


def test_an_address_others_can_reach_needs_a_key(tmp_path: Path) -> None:
    refused = up("--home", str(tmp_path / "home"), "--host", "0.0.0.0")
    assert refused.returncode == 2
    assert "keys create" in refused.stderr


def test_with_a_key_the_address_may_be_reached_and_every_path_needs_it(tmp_path: Path) -> None:
    with twinloop.connect(home=tmp_path / "home") as client:
        secret = client.call("POST", "/api/v1/keys", {"name": "ops", "role": "admin"})["secret"]
    with ServerProcess(tmp_path / "home", "--host", "0.0.0.0", ready=False) as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        with twinloop.connect(url=url) as nobody, pytest.raises(twinloop.TwinloopError, match="no key"):
            nobody.status()
        with twinloop.connect(url=url, key=secret) as somebody:
            assert somebody.status()["principal"] == "ops"


def test_answers_carry_the_headers_that_browsers_heed(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "home") as server, urllib.request.urlopen(f"{server.url}/healthz") as answer:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "one") as first:
        port = first.url.rpartition(":")[2]
        refused = up("--home", str(tmp_path / "two"), "--port", port)
        assert refused.returncode == 2
        assert "--port" in refused.stderr


def test_a_home_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("x")
    refused = up("--home", str(tmp_path / "home"))
    assert refused.returncode == 2
    assert "cannot be read and written" in refused.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_home_without_permission_is_said(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    refused = up("--home", str(home))
    assert refused.returncode == 2
    assert "permissions" in refused.stderr


def test_a_corrupt_database_is_said_and_left_as_it_is(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "twinloop.db").write_bytes(b"garbage" * 1000)
    refused = up("--home", str(home))
    assert refused.returncode == 2
    assert "damaged" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (home / "twinloop.db").read_bytes() == b"garbage" * 1000


def test_a_setting_that_is_wrong_is_said_at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINLOOP_PROT", "7700")
    refused = up("--home", str(tmp_path / "home"))
    assert refused.returncode == 2
    assert "TWINLOOP_PROT" in refused.stderr


def test_asked_to_end_the_server_closes_everything_and_exits_0(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "home")
    assert server.stop() == 0
    assert (tmp_path / "home" / "lock").read_bytes() == b""
    assert not (tmp_path / "home" / "twinloop.db-wal").exists()
