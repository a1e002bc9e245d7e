"""``twinloop spool``: what is waiting on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import twinloop as tl
from tests.recording import NOBODY, spooling
from twinloop.cli.main import main
from twinloop.sdk.spooling.journal import frame
from twinloop.sdk.spooling.left import spools
from twinloop.sdk.spooling.spool import Place, Spool, keep_mark
from twinloop.sdk.tracking import process


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with spooling(monkeypatch, tmp_path) as found:
        yield found


def left_behind(root: Path, already: int = 0) -> str:
    """A spool whose program has ended; returns the run."""
    with tl.run("left", capture=False, system_metrics=False) as run:
        run.log(loss=1)
    process.end()
    assert len(list(spools(root))) == already + 1
    return run.id


def test_nothing_waiting_is_said_in_one_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spool"]) == 0
    assert capsys.readouterr().out == f"Nothing is waiting in {root}.\n"


@pytest.mark.parametrize("words", [["spool"], ["spool", "list"]])
def test_what_is_waiting_is_listed(root: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    left_behind(root)
    assert main([*words, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["spools"]
    assert (found["waiting"], found["state"], found["to"]) == (3, "left", NOBODY)
    assert main(words) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["SPOOL", "PROGRAM", "STARTED", "RECORDS", "BYTES", "STATE", "TO"]
    assert found["id"] in row


def test_a_spool_in_use_is_neither_sent_nor_deleted(
    root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = tl.run(capture=False, system_metrics=False)
    (folder,) = spools(root)
    assert main(["spool", "send", "--home", str(tmp_path / "home")]) == 0
    assert "1 are in use; their programs send them." in capsys.readouterr().out
    assert main(["spool", "delete", folder.name]) == 2
    assert "is running. Stop it first." in capsys.readouterr().err
    assert folder.is_dir()
    run.finish()


def test_what_was_left_is_sent_and_gone(root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run_id = left_behind(root)
    home = tmp_path / "home"
    assert main(["spool", "send", "--home", str(home)]) == 0
    assert capsys.readouterr().out == "Sent 1 spools.\n"
    assert list(spools(root)) == []
    with tl.connect(home=home) as client:
        assert client.runs.get(run_id)["status"] == "FINISHED"


def test_a_spool_that_is_refused_is_told_and_those_behind_it_are_sent(
    root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The oldest one lost its beginning, which only a server that is gone had taken."""
    refused = Spool.make(root, Place(url=NOBODY))
    assert refused.folder is not None
    (refused.folder / "journal-00000000000000000011-000001.ndjson").write_bytes(frame(0, b"{}") + frame(11, b"{}"))
    keep_mark(refused.folder, 10)
    refused.close()
    run_id = left_behind(root, already=1)
    home = tmp_path / "home"
    assert main(["spool", "send", "--home", str(home)]) == 2
    out = capsys.readouterr().out
    assert "Sent 1 spools." in out
    assert f"Not sent: The server has 0 records of the spool {refused.about.id}" in out
    assert list(spools(root)) == [refused.folder]
    with tl.connect(home=home) as client:
        assert client.runs.get(run_id)["status"] == "FINISHED"


def test_a_server_that_does_not_answer_is_told_and_everything_stays(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left_behind(root)
    assert main(["spool", "send"]) == 2
    assert "Not sent: No Twinloop answers" in capsys.readouterr().out
    assert len(list(spools(root))) == 1


def test_a_spool_can_be_deleted_and_one_that_is_not_there_cannot(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left_behind(root)
    (folder,) = spools(root)
    assert main(["spool", "delete", "none"]) == 2
    assert "There is no spool none." in capsys.readouterr().err
    assert main(["spool", "delete", folder.name]) == 0
    assert list(spools(root)) == []
