"""``twinloop import mlflow``: a real MLflow's history, copied, looks the same to MLflow's own client."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import twinloop
from tests import peer
from tests.protocol.mlflow_history import fill
from tests.scenario.test_cli import document
from tests.scenario.test_cli import twinloop as command
from tests.serving import ServerProcess
from twinloop.sdk.transfer.sink import Sink

pytestmark = [pytest.mark.skipif(not peer.HERE, reason=peer.WHY_NOT), pytest.mark.slow]

DUMP = Path(__file__).parent / "import_sources" / "dump_history.py"


class History(NamedTuple):
    server: peer.MlflowServer
    told: dict[str, Any]

    @property
    def file(self) -> str:
        return f"sqlite:///{self.server.database}"

    def ways(self) -> dict[str, list[str]]:
        return {"rest": [self.server.url], "sqlite": [self.file, "--artifacts", str(self.server.artifacts)]}


class Copy(NamedTuple):
    """An MLflow database of a test's own, beside its artifacts; no server runs on it."""

    database: Path
    artifacts: Path

    @property
    def words(self) -> tuple[str, ...]:
        return "import", "mlflow", f"sqlite:///{self.database}", "--artifacts", str(self.artifacts)

    def run(self, statement: str, *values: Any) -> None:
        connection = sqlite3.connect(self.database)
        connection.execute(statement, values)
        connection.commit()
        connection.close()


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    folder = tmp_path_factory.mktemp("mlflow")
    with peer.MlflowServer(folder / "server") as server:
        yield History(server, fill(server.url, folder / "client"))


@pytest.fixture
def copy(history: History, tmp_path: Path) -> Copy:
    shutil.copy(history.server.database, tmp_path / "mlflow.db")
    return Copy(tmp_path / "mlflow.db", history.server.artifacts)


def dump(url: str, folder: Path) -> Any:
    """All that MLflow's own client is told."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [str(peer.PYTHON), str(DUMP), url],
        env=peer.environment(),
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def lines(report: Any) -> dict[str, Any]:
    return {line["entity"]: line for line in report["lines"]}


@pytest.mark.parametrize("way", ["rest", "sqlite"])
def test_mlflows_client_is_told_the_same_of_both(way: str, history: History, tmp_path: Path) -> None:
    report = document("import", "mlflow", *history.ways()[way], home=tmp_path / "home")
    assert report["same"], report
    assert report["refused"] == []
    with ServerProcess(tmp_path / "home") as ours:
        mine, theirs = dump(ours.url, tmp_path / "a"), dump(history.server.url, tmp_path / "b")
    assert [e["id"] for e in mine["experiments"]] == [e["id"] for e in theirs["experiments"]]
    for one, other in zip(mine["experiments"], theirs["experiments"], strict=True):
        for part in other:
            assert one[part] == other[part], (other["about"], part)
    assert mine["models"] == theirs["models"]


def test_the_report_counts_and_compares_every_entity(copy: Copy, history: History, tmp_path: Path) -> None:
    report = document(*copy.words, home=tmp_path / "home")
    found = lines(report)
    counts = {entity: line["there"]["count"] for entity, line in found.items()}
    expected = {
        "experiments": 4, "runs": 17, "dataset inputs": 2, "models read and made": 1, "logged models": 1,
        "files": 9, "registered models": 4, "versions": 5, "aliases": 3, "traces": 3, "spans": 6, "assessments": 2,
    }  # fmt: skip
    assert counts | expected == counts
    assert all(line["there"] == line["here"] and line["differing"] == 0 for line in found.values())
    text = command(*copy.words, home=tmp_path / "home").stdout
    assert "digest there" in text
    assert text.count(" same") == len(found)


def test_what_is_imported_says_so_and_has_its_lineage(copy: Copy, history: History, tmp_path: Path) -> None:
    document(*copy.words, home=tmp_path / "home")
    with twinloop.connect(home=tmp_path / "home") as client:
        sink = Sink(client)
        events = [event for event in sink.rows("registry_events") if event["title"] == "iris"]
        assert {event["detail"]["imported_from"] for event in events} == {f"sqlite:///{copy.database}"}
        registered = {event["number"]: event["at_ns"] for event in events if event["action"] == "revision.registered"}
        numbers = {row["number"]: row["created_ns"] for row in sink.rows("revisions", [("model", "iris")])}
        assert registered == numbers
        assert {"card.created", "revision.staged", "alias.set"} <= {event["action"] for event in events}
        why = client.lineage.why("model/iris@champion")
        kinds = {node["kind"] for node in why["nodes"]}
        assert {"model", "run", "logged_model", "dataset"} <= kinds
        run = next(node for node in why["nodes"] if node["kind"] == "run")
        assert run["detail"]["imported_from"] == f"sqlite:///{copy.database}"
        assert client.revisions.get("model/iris@3")["manifest"]["unsafe"]
        wanted = {"name": "iris", "source": f"models:/{history.told['model']}", "model_id": history.told["model"]}
        body = json.dumps(wanted).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        made = client.call("POST", "/api/2.0/mlflow/model-versions/create", content=body, headers=headers)
        assert made["model_version"]["version"] == "5"  # 4 was given, and deleted


def test_a_second_import_copies_only_what_is_new(copy: Copy, tmp_path: Path) -> None:
    first = document(*copy.words, home=tmp_path / "home")
    assert lines(first)["runs"]["added"] == 17
    again = document(*copy.words, home=tmp_path / "home")
    assert again["same"]
    assert {line["entity"]: line["added"] for line in again["lines"] if line["added"]} == {}
    under_way, new = _running(copy), uuid.uuid4().hex
    copy.run("UPDATE runs SET status = 'FAILED', end_time = 1900000000000 WHERE run_uuid = ?", under_way)
    copy.run("INSERT INTO params VALUES ('late', 'x', ?)", under_way)
    copy.run("INSERT INTO metrics VALUES ('late', 1.0, 5, ?, 0, 0)", under_way)
    copy.run("INSERT INTO latest_metrics VALUES ('late', 1.0, 5, 0, 0, ?)", under_way)
    copy.run(
        "INSERT INTO runs SELECT ?, 'new', source_type, source_name, entry_point_name, user_id, 'FINISHED', start_time, 1, "
        "source_version, 'active', artifact_uri, experiment_id, NULL FROM runs WHERE run_uuid = ?",
        new,
        under_way,
    )
    copy.run("INSERT INTO registered_model_aliases VALUES ('new', 1, 'iris', 'default')")
    third = document(*copy.words, home=tmp_path / "home")
    assert third["same"], third
    added = {line["entity"]: line["added"] for line in third["lines"] if line["added"]}
    assert added == {"runs": 1, "params": 1, "points of metrics": 1, "tags": 1, "aliases": 1}
    with twinloop.connect(home=tmp_path / "home") as client:
        assert client.runs.get(under_way)["status"] == "FAILED"
        assert client.runs.get(under_way)["metrics"]["late"]["value"] == 1.0


def _running(copy: Copy) -> str:
    connection = sqlite3.connect(copy.database)
    query = "SELECT run_uuid FROM runs WHERE status = 'RUNNING' AND name LIKE 'sweep%' ORDER BY name LIMIT 1"
    found: str = connection.execute(query).fetchone()[0]
    connection.close()
    return found


def test_what_was_changed_here_stays_and_is_told(copy: Copy, history: History, tmp_path: Path) -> None:
    document(*copy.words, home=tmp_path / "home")
    with twinloop.connect(home=tmp_path / "home") as client:
        body = {"metrics": [], "params": {}, "tags": {"stage": "ours", "extra": "mine"}}
        client.call("POST", f"/api/v1/runs/{history.told['rich']}/log", body)
        gone = {"name": "iris", "alias": "first"}
        client.call("DELETE", "/api/2.0/mlflow/registered-models/alias", query=gone)
    again = command(*copy.words, "--json", home=tmp_path / "home", expect=1)
    found = lines(json.loads(again.stdout))
    assert found["tags"]["differing"] == 1
    assert history.told["rich"] in found["tags"]["examples"][0]
    rechecked = command(*copy.words, "--recheck", "--json", home=tmp_path / "home", expect=1)
    assert lines(json.loads(rechecked.stdout))["tags"]["differing"] == 1
    with twinloop.connect(home=tmp_path / "home") as client:
        assert client.runs.get(history.told["rich"])["tags"]["stage"] == "ours"


def test_verify_compares_and_writes_nothing(copy: Copy, tmp_path: Path) -> None:
    before = command(*copy.words, "--verify", "--json", home=tmp_path / "home", expect=1)
    assert lines(json.loads(before.stdout))["runs"]["here"]["count"] == 0
    with twinloop.connect(home=tmp_path / "home") as client:
        assert list(Sink(client).rows("runs")) == []
        assert [row["name"] for row in Sink(client).rows("experiments")] == ["Default"]
    document(*copy.words, home=tmp_path / "home")
    assert document(*copy.words, "--verify", home=tmp_path / "home")["same"]
    copy.run("UPDATE params SET value = 'other' WHERE key = 'depth'")
    after = command(*copy.words, "--verify", home=tmp_path / "home", expect=1)
    assert "params that differ" in after.stdout


def test_an_experiment_that_is_here_already_is_merged(copy: Copy, tmp_path: Path) -> None:
    with twinloop.connect(home=tmp_path / "home") as client:
        client.call("POST", "/api/v1/experiments", {"name": "first of mine"})
        client.call("POST", "/api/v1/experiments", {"name": "flights", "tags": {"team": "mine"}})
        with client.runs.start("flights", "native"):
            pass
    done = command(*copy.words, "--json", home=tmp_path / "home", expect=1)
    report = json.loads(done.stdout)
    assert lines(report)["runs"]["differing"] == 0
    assert lines(report)["experiment tags"]["differing"] == 1  # team is another one here, and stays
    with twinloop.connect(home=tmp_path / "home") as client:
        sink = Sink(client)
        numbers = {row["name"]: row["number"] for row in sink.rows("experiments")}
        assert (numbers["first of mine"], numbers["flights"]) == (1, 2)
        tags = {row["key"]: row["value"] for row in sink.rows("experiment_tags", [(2,)])}
        assert tags == {"team": "mine", "mlflow.note.content": "delays"}
        mine = [row for row in sink.rows("runs") if row["experiment"] == 2]
        assert {"native", "rich"} <= {row["name"] for row in mine}
        rich = next(row for row in mine if row["name"] == "rich")
        assert rich["artifact_uri"] == f"mlflow-artifacts:/2/{rich['id']}/artifacts"
        assert "notes.txt" in sink.files(f"2/{rich['id']}/artifacts")
        sources = {row["number"]: row["source"] for row in sink.rows("revisions", [("model", "iris")])}
        assert {number for number, source in sources.items() if source} == {1, 3}
        assert all(source.startswith("models:/m-") for source in sources.values() if source)


def test_files_whose_place_is_not_known_are_named_and_the_rest_comes(copy: Copy, tmp_path: Path) -> None:
    done = command("import", "mlflow", f"sqlite:///{copy.database}", "--json", home=tmp_path / "home", expect=1)
    report = json.loads(done.stdout)
    assert lines(report)["runs"]["differing"] == 0
    assert "files" not in lines(report)
    assert any("--artifacts" in why for what, _, why in report["refused"] if what == "files of run")
    without = document(*copy.words[:3], "--no-artifacts", home=tmp_path / "home")
    assert without["same"]


def test_a_developer_cannot_import(copy: Copy, tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "home") as server:
        with twinloop.connect(url=server.url) as client:
            admin = client.call("POST", "/api/v1/keys", {"name": "root", "role": "admin"})["secret"]
        with twinloop.connect(url=server.url, key=admin) as client:
            developer = client.call("POST", "/api/v1/keys", {"name": "dev", "role": "developer"})["secret"]
        for secret, status in ((developer, 2), (admin, 0)):
            done = subprocess.run(
                [sys.executable, "-m", "twinloop", *copy.words, "--url", server.url, "--home", str(tmp_path / "mine")],
                env={**peer.environment(), "TWINLOOP_KEY": secret},
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert done.returncode == status, done.stderr
        assert (tmp_path / "mine" / "imports").is_dir()


def grow(copy: Copy, runs: int) -> None:
    """Many more runs, straight into the tables that MLflow made."""
    connection = sqlite3.connect(copy.database)
    start = 1_700_000_000_000
    for number in range(runs):
        id = f"{number:032x}"
        connection.execute(
            "INSERT INTO runs VALUES (?, ?, 'UNKNOWN', '', '', 'u', 'FINISHED', ?, ?, '', 'active', ?, 1, NULL)",
            (id, f"grown-{number}", start + number, start + number + 9, f"mlflow-artifacts:/1/{id}/artifacts"),
        )
        pairs = [(f"p{key}", str(number), id) for key in range(4)]
        connection.executemany("INSERT INTO params VALUES (?, ?, ?)", pairs)
        connection.executemany("INSERT INTO tags VALUES (?, ?, ?)", pairs)
        points = [("m", number / 3, start + step, id, step, 0) for step in range(10)]
        connection.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", points)
        connection.execute("INSERT INTO latest_metrics VALUES ('m', 1.0, ?, 9, 0, ?)", (start + 9, id))
    connection.commit()
    connection.close()


def test_an_import_that_is_killed_at_any_moment_goes_on_and_nothing_is_there_twice(copy: Copy, tmp_path: Path) -> None:
    grow(copy, 4_000)
    rng = random.Random(5)
    came_how_far = []
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-m", "twinloop", *copy.words, "--home", str(tmp_path / "home")],
            env=peer.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(rng.uniform(1.5, 9))
        process.kill()
        process.wait()
        with twinloop.connect(home=tmp_path / "home") as client:
            came_how_far.append(len(list(Sink(client).rows("runs"))))
    assert came_how_far == sorted(came_how_far)
    report = document(*copy.words, home=tmp_path / "home")
    assert report["same"], report
    assert lines(report)["runs"]["here"]["count"] == 4_017
    assert lines(report)["points of metrics"]["here"]["count"] == lines(report)["points of metrics"]["there"]["count"]
    assert document(*copy.words, "--verify", home=tmp_path / "home")["same"]


def test_an_import_goes_on_after_its_server_was_killed(copy: Copy, tmp_path: Path) -> None:
    grow(copy, 3_000)
    server = ServerProcess(tmp_path / "home")
    words = [sys.executable, "-m", "twinloop", *copy.words, "--home", str(tmp_path / "mine"), "--url"]
    process = subprocess.Popen(
        [*words, server.url], env=peer.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with twinloop.connect(url=server.url) as client:
        deadline = time.monotonic() + 60
        while not any(Sink(client).rows("runs")) and time.monotonic() < deadline:
            time.sleep(0.05)
    server.kill()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2, said
    assert "Traceback" not in said
    with ServerProcess(tmp_path / "home") as again:
        done = subprocess.run(
            [*words, again.url, "--json"], env=peer.environment(), capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stderr
        assert lines(json.loads(done.stdout))["runs"]["here"]["count"] == 3_017


def test_an_old_mlflow_without_newer_tables_is_read(copy: Copy, tmp_path: Path) -> None:
    for table in (
        "logged_models", "logged_model_params", "logged_model_tags", "logged_model_metrics", "trace_info", "spans",
        "assessments", "trace_tags", "trace_request_metadata", "registered_model_aliases", "inputs", "entity_associations",
    ):  # fmt: skip
        copy.run(f"DROP TABLE {table}")
    report = document(*copy.words, home=tmp_path / "home")
    assert report["same"]
    assert lines(report)["runs"]["here"]["count"] == 17
    assert "traces" not in lines(report)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("sqlite:///nothing.db", "There is no file"),
        ("sqlite://mlflow.db", "is not the URI of a file"),
        ("mlflow.db", "http://host:5000"),
        ("http://127.0.0.1:9", "No MLflow server answers"),
        ("postgresql://host/db", "http://host:5000"),
    ],
)
def test_a_source_that_is_none_is_told_so(uri: str, said: str, tmp_path: Path) -> None:
    assert said in command("import", "mlflow", uri, home=tmp_path / "home", expect=2).stderr


def test_another_sqlite_file_is_no_mlflow(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE x (a)")
    connection.close()
    words = ("import", "mlflow", f"sqlite:///{tmp_path}/other.db")
    assert "has no table experiments" in command(*words, home=tmp_path / "home", expect=2).stderr
    (tmp_path / "text.db").write_text("not a database at all, but long enough to look at" * 30)
    words = ("import", "mlflow", f"sqlite:///{tmp_path}/text.db")
    assert "Is it MLflow's database?" in command(*words, home=tmp_path / "home", expect=2).stderr
