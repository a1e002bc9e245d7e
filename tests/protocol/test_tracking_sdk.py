"""Runs through ``tl.run`` against a real server: everything that was logged is there, and what was refused is told."""

from __future__ import annotations

import logging
import platform
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import twinloop as tl
from tests.recording import spooling
from tests.serving import ServerProcess
from twinloop.core.errors import NotFound
from twinloop.sdk.spooling import draining
from twinloop.sdk.spooling.left import spools
from twinloop.sdk.spooling.spool import Place, Spool
from twinloop.sdk.tracking import process

QUIET: dict[str, Any] = {"capture": False, "system_metrics": False}


@pytest.fixture
def root(server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with spooling(monkeypatch, tmp_path, server.url, exit_wait_s=20.0) as found:
        yield found


@pytest.fixture
def client(server: ServerProcess) -> Iterator[tl.Client]:
    with tl.connect(server.url) as connected:
        yield connected


def files_of(client: tl.Client, run_id: str) -> dict[str, bytes]:
    """A run's artifacts by their path, through the tree of the server."""
    folder = f"{client.runs.get(run_id)['experiment']}/{run_id}/artifacts"
    listed = client.call("GET", "/api/v1/artifact-list", query={"folder": folder, "deep": "true"})["artifacts"]
    return {
        item["path"].removeprefix(f"{folder}/"): b"".join(client.stream("GET", f"/api/v1/artifacts/{item['path']}"))
        for item in listed
    }


def test_what_is_logged_arrives_while_the_program_goes_on(root: Path, client: tl.Client) -> None:
    with tl.run("churn", experiment="sdk runs", params={"depth": 6}, **QUIET) as run:
        for step in range(5):
            run.log(loss=1.0 / (step + 1), step=step)
        deadline = time.monotonic() + 10
        while True:
            try:
                found = client.runs.get(run.id)
                break
            except NotFound:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert found["status"] == "RUNNING"
    assert run.flush(timeout_s=20)
    found = client.runs.get(run.id)
    assert (found["name"], found["status"], found["params"]) == ("churn", "FINISHED", {"depth": "6"})
    assert [point["step"] for point in client.runs.history(run.id, "loss")] == [0, 1, 2, 3, 4]
    assert run.rejected == []


def test_nothing_is_left_on_the_disk_when_all_has_arrived(root: Path) -> None:
    with tl.run(**QUIET) as run:
        run.log(loss=1)
        run.artifact(b"x", "x")
    assert list(spools(root))
    process.end()
    assert list(spools(root)) == []


def test_children_are_found_by_their_parent(root: Path, client: tl.Client) -> None:
    with tl.run("outer", experiment="sdk nested", **QUIET) as outer, tl.run("inner", **QUIET) as inner:
        tl.log(x=1)
    assert outer.flush(20)
    found = client.runs.search("sdk nested", f"tags.mlflow.parentRunId = '{outer.id}'")
    assert [run["id"] for run in found] == [inner.id]


def test_a_run_is_resumed_by_its_id(root: Path, client: tl.Client) -> None:
    with tl.run("first", experiment="sdk resumed", **QUIET) as run:
        run.log(loss=1.0, step=0)
    assert run.flush(20)
    assert client.runs.get(run.id)["status"] == "FINISHED"
    again = tl.run(id=run.id, **QUIET)
    again.log(loss=0.5, step=1)
    assert again.flush(20)
    found = client.runs.get(run.id)
    assert (found["name"], found["status"], found["ended_at"]) == ("first", "RUNNING", None)
    again.finish("FAILED")
    assert again.flush(20)
    assert client.runs.get(run.id)["status"] == "FAILED"
    assert [point["step"] for point in client.runs.history(run.id, "loss")] == [0, 1]


def test_what_only_the_server_can_know_to_be_wrong_is_told_and_holds_up_nothing(
    root: Path, client: tl.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with tl.run(params={"depth": 6}, **QUIET) as run:
        pass
    assert run.flush(20)
    with caplog.at_level(logging.WARNING), tl.run(id=run.id, **QUIET) as again:
        again.params(depth=7, eta=1)
        again.use("dataset/nobody-has-it@1")
        again.log(loss=1)
    assert again.flush(20)
    first, second = again.rejected
    assert "Changing param values is not allowed" in first.message
    assert "no revision dataset/nobody-has-it@1" in second.message
    assert first.run == again.id
    assert sum("was not taken" in record.getMessage() for record in caplog.records) == 2
    found = client.runs.get(run.id)
    assert found["params"] == {"depth": "6", "eta": "1"}
    assert found["metrics"]["loss"]["value"] == 1.0


def test_artifacts_arrive_with_their_last_content(root: Path, client: tl.Client, tmp_path: Path) -> None:
    checkpoint = tmp_path / "model.bin"
    with tl.run(experiment="sdk files", **QUIET) as run:
        for content in (b"first" * 1000, b"second" * 1000):
            checkpoint.write_bytes(content)
            run.artifact(checkpoint)
        run.artifact(b"<p>", "reports/a b.html")
    assert run.flush(30)
    assert files_of(client, run.id) == {"model.bin": b"second" * 1000, "reports/a b.html": b"<p>"}


def test_what_a_run_read_and_made_is_in_the_lineage_without_a_call(root: Path, client: tl.Client) -> None:
    pytest.importorskip("pyarrow")
    rows = client.data.snapshot("sdk/rows", [{"a": 1}, {"a": 2}])
    with tl.run("lineage", **QUIET) as run:
        client.data.arrow(rows["ref"])
        model = client.models.log("sdk/model", 0.5, label="y", inputs=())
        run.use([{"b": 1}], name="more rows", role="validation")
    assert run.flush(20)
    assert run.rejected == []
    graph = client.lineage.why(model["digest"])
    edges = {(edge["child"], edge["parent"], edge["role"]) for edge in graph["edges"]}
    assert (model["digest"], f"run:{run.id}", "produced_by") in edges
    assert (f"run:{run.id}", rows["digest"], "input") in edges


def test_code_and_environment_are_kept_with_the_run(root: Path, client: tl.Client) -> None:
    with tl.run("captured", experiment="sdk captured") as run:
        pass
    process.end()
    found = client.runs.get(run.id)
    assert found["tags"]["environment.python"]
    assert b"msgspec==" in files_of(client, run.id)["environment/packages.txt"]


def test_runs_of_a_program_that_was_killed_are_ended_by_whoever_sends_the_rest(
    root: Path, client: tl.Client, server: ServerProcess
) -> None:
    dead = Orphan(root, server.url)
    dead.log(loss=1.0)
    dead.abandon()
    with tl.run("the next program", **QUIET) as run:
        pass
    assert run.flush(20)
    found = client.runs.get(dead.id)
    assert (found["status"], found["metrics"]["loss"]["value"]) == ("KILLED", 1.0)
    assert [folder for folder in spools(root) if folder == dead.folder] == []


class Orphan:
    """A spool that a program left behind: it was written, and the program is gone."""

    def __init__(self, root: Path, url: str) -> None:
        from twinloop.control.tracking.replay.operations import Start, encode
        from twinloop.core.ids import new_id
        from twinloop.sdk.spooling.spool import Spool

        self.id = new_id()
        self.spool = Spool.make(root, Place(url=url))
        assert self.spool.folder is not None
        self.folder = self.spool.folder
        self.spool.journal.append(encode(Start(self.id, 1, experiment="sdk orphans")))

    def log(self, **values: float) -> None:
        from twinloop.control.tracking.replay.operations import Log, encode

        self.spool.journal.append(encode(Log(self.id, 2, [(key, value, 0) for key, value in values.items()])))

    def abandon(self) -> None:
        self.spool.close()


def test_a_spool_of_another_program_that_lives_is_left_alone(
    root: Path, server: ServerProcess, client: tl.Client
) -> None:
    other, elsewhere = Orphan(root, server.url), Orphan(root, server.url)
    about = elsewhere.folder / "about.json"
    about.write_bytes(about.read_bytes().replace(platform.node().encode(), b"another-machine"))
    elsewhere.abandon()
    draining.sweep(root, Place(url=server.url), client)
    assert elsewhere.folder.is_dir(), "whether a program on another machine lives cannot be told here"
    assert other.folder.is_dir()
    assert draining.drain(other.folder, client) is None
    other.abandon()
    assert draining.drain(other.folder, client) == []
    assert not other.folder.exists()


def refuse_slowly(self: Spool, why: str, refuse: Callable[[Spool, str], None] = Spool.refuse) -> None:
    """The sender is slow after its mark, so that what the program logs meanwhile would be lost if it still came here."""
    refuse(self, why)
    time.sleep(1)


def test_a_spool_whose_server_was_replaced_is_kept_and_a_new_one_goes_on(
    root: Path, client: tl.Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The server has fewer records than it acknowledged, and the program no longer has them either."""
    from sqlalchemy import create_engine, text  # the test turns the clock of the server back, as a backup would

    with ServerProcess(tmp_path / "replaced") as own, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TWINLOOP_URL", own.url)
        patch.setattr("twinloop.sdk.spooling.journal.SEGMENT_BYTES", 200)
        patch.setattr(Spool, "refuse", refuse_slowly)
        with tl.run("kept", **QUIET) as run, caplog.at_level(logging.WARNING):
            for step in range(20):
                run.log(loss=1.0, step=step)
                assert run.flush(20)
            engine = create_engine(f"sqlite:///{tmp_path / 'replaced' / 'twinloop.db'}")
            with engine.begin() as connection:
                connection.execute(text("UPDATE replays SET last_sequence = 0"))
                for table in ("runs", "run_tags", "latest_metrics", "metrics"):
                    connection.execute(text(f"DELETE FROM {table}"))
            engine.dispose()
            (first,) = spools(root)
            run.log(after=1.0)
            deadline = time.monotonic() + 20
            while not (first / "refused").exists():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            run.log(later=1.0)
            assert run.flush(20)
        with tl.connect(own.url) as other:
            found = other.runs.get(run.id)
            assert found["name"] == "kept"
            assert "later" in found["metrics"]
        assert "restored or replaced" in (first / "refused").read_text()
        assert any("restored or replaced" in record.getMessage() for record in caplog.records)
        process.end()


def test_many_threads_and_runs_at_once_arrive_whole(root: Path, client: tl.Client) -> None:
    ids: list[str] = []

    def train(number: int) -> None:
        with tl.run(f"worker {number}", experiment="sdk threads", **QUIET) as run:
            ids.append(run.id)
            for step in range(200):
                tl.log(loss=float(number), step=step)

    threads = [threading.Thread(target=train, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    process.end()
    for run_id in ids:
        assert len(client.runs.history(run_id, "loss")) == 200
        assert client.runs.get(run_id)["status"] == "FINISHED"


def test_a_key_that_is_revoked_stops_no_run_and_another_one_takes_it_on(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ServerProcess(tmp_path / "with keys") as own:
        with tl.connect(own.url) as anybody:
            keys = [anybody.call("POST", "/api/v1/keys", {"name": "a", "role": "admin"})]
        with tl.connect(own.url, key=keys[0]["secret"]) as admin:
            keys.append(admin.call("POST", "/api/v1/keys", {"name": "b", "role": "admin"}))
        monkeypatch.setenv("TWINLOOP_URL", own.url)
        monkeypatch.setenv("TWINLOOP_KEY", keys[0]["secret"])
        with tl.connect(own.url, key=keys[1]["secret"]) as admin, tl.run("long", **QUIET) as run:
            run.log(loss=1.0, step=0)
            assert run.flush(20)
            admin.call("DELETE", f"/api/v1/keys/{keys[0]['id']}")
            run.log(loss=0.5, step=1)
            assert not run.flush(1.5)
            monkeypatch.setenv("TWINLOOP_KEY", keys[1]["secret"])
            run.log(loss=0.25, step=2)
            assert run.flush(30)
            assert [point["value"] for point in admin.runs.history(run.id, "loss")] == [1.0, 0.5, 0.25]
        assert run.rejected == []
        process.end()
