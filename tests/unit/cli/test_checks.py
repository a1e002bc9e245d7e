"""What doctor finds on machines that are well and on machines that are not."""

from __future__ import annotations

import os
import socket
import sqlite3
from pathlib import Path

import pytest

from twinloop.cli import checks
from twinloop.cli.main import main
from twinloop.core.settings import Settings


def test_this_python_and_its_packages_are_found() -> None:
    assert checks.python().state == "ok"
    found = {check.name: check for check in checks.packages()}
    assert found["packages"].state == "ok"
    assert {"packages [ml]", "packages [llm]"} <= set(found)


def test_a_home_that_does_not_exist_yet_will_be_made(tmp_path: Path) -> None:
    first = next(iter(checks.home(tmp_path / "a" / "b")))
    assert first.state == "ok"
    assert "will be made" in first.detail


def test_a_home_that_is_a_file_is_broken(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    assert [check.state for check in checks.home(tmp_path / "home")] == ["broken"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_a_home_without_permissions_is_broken(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert "chmod" in next(iter(checks.home(tmp_path))).mend
    finally:
        tmp_path.chmod(0o700)


def test_an_intact_database_is_ok_and_a_damaged_one_broken(tmp_path: Path) -> None:
    path = tmp_path / "twinloop.db"
    assert checks.database(path).detail == "none yet"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [(os.urandom(500),) for _ in range(200)])
    connection.close()
    assert checks.database(path).state == "ok"
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(16_384))
    found = checks.database(path)
    assert found.state == "broken"
    assert "backup" in found.mend


def test_a_file_that_is_no_database_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "twinloop.db"
    path.write_bytes(b"not a database" * 500)
    assert checks.database(path).state == "broken"


def test_nobody_holds_a_new_home(tmp_path: Path) -> None:
    assert checks.holder(tmp_path).detail == "nobody holds the home"


def test_missing_weights_say_what_they_cost(tmp_path: Path) -> None:
    found = list(checks.weights(tmp_path))
    assert found
    assert all(check.state == "note" and "MiB" in check.mend for check in found)


def test_a_taken_port_is_noted_with_a_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = checks.port(Settings(home=tmp_path, port=port))
    assert found.state == "note"
    assert "--port 0" in found.mend
    assert checks.port(Settings(home=tmp_path, port=0)).state == "ok"


def test_doctor_exits_with_2_when_something_required_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "twinloop.db").write_bytes(b"not a database" * 500)
    assert main(["doctor", "--home", str(tmp_path)]) == 2
    assert "BROKEN  database" in capsys.readouterr().out
