"""Runs logged into a home that this program opens itself, or that nobody serves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import twinloop as tl
from tests.recording import NOBODY, spooling
from twinloop.core.errors import Unavailable
from twinloop.sdk.spooling.left import spools
from twinloop.sdk.tracking import process

QUIET: dict[str, Any] = {"capture": False, "system_metrics": False}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TWINLOOP_HOME", str(tmp_path / "home"))
    with spooling(monkeypatch, tmp_path, url="", exit_wait_s=30.0) as found:
        yield found


def test_a_program_that_has_its_home_open_sees_its_run_in_it(root: Path) -> None:
    with tl.connect() as client, tl.run("here", **QUIET) as run:
        run.log(loss=0.5)
        assert run.flush(timeout_s=20)
        found = client.runs.get(run.id)
        assert (found["status"], found["metrics"]["loss"]["value"]) == ("RUNNING", 0.5)
    process.end()
    assert list(spools(root)) == []
    with tl.connect() as client:
        assert client.runs.get(run.id)["status"] == "FINISHED"


def test_a_run_goes_on_when_its_program_closes_the_home(root: Path) -> None:
    with tl.run("there", **QUIET) as run:
        with tl.connect():
            run.log(loss=0.5, step=0)
            assert run.flush(timeout_s=20)
        run.log(loss=0.25, step=1)
        assert run.flush(timeout_s=30)
    with tl.connect() as client:
        assert run.flush(timeout_s=30)
        assert [point["value"] for point in client.runs.history(run.id, "loss")] == [0.5, 0.25]
        assert client.runs.get(run.id)["status"] == "FINISHED"


def test_connecting_right_after_a_run_finds_no_home_that_is_held(root: Path) -> None:
    """A process that takes the run into the home holds it for a moment."""
    for number in range(3):
        with tl.run(f"run {number}", **QUIET) as run:
            run.log(loss=1)
        with tl.connect() as client:
            assert run.flush(timeout_s=30)
            assert client.runs.get(run.id)["status"] == "FINISHED"


@pytest.mark.parametrize("opened", [False, True])
def test_a_model_that_is_logged_on_a_run_comes_out_of_it(root: Path, opened: bool) -> None:
    """Also when the home has to be opened for it."""
    with contextlib.ExitStack() as stack:
        if opened:
            stack.enter_context(tl.connect())
        with tl.run("train", **QUIET) as run:
            pass
        made = run.log_model("delay", 0.5, label="late", params={"depth": 6})
    assert (made["ref"], made["manifest"]["params"]["depth"]) == ("model/delay@1", 6)
    with tl.connect() as client:
        assert run.flush(timeout_s=30)
        edges = client.lineage.why("model/delay@1")["edges"]
    assert [(edge["parent"], edge["role"]) for edge in edges] == [(f"run:{run.id}", "produced_by")]


def test_a_model_cannot_be_registered_while_the_server_is_away_and_the_error_says_what_to_do(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWINLOOP_URL", NOBODY)
    monkeypatch.setenv("TWINLOOP_EXIT_WAIT_S", "0")
    with tl.run("train", **QUIET) as run:
        with pytest.raises(Unavailable, match=r"No model was registered.*run\.artifact\(path\).*run_id="):
            run.log_model("delay", 0.5, label="late")
        run.log(loss=1)
