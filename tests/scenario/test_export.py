"""Out to a folder of open formats and back: nothing lost, nothing changed, nothing half done."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

import twinloop
import twinloop as tl
from tests.recording import spooling
from tests.scenario.test_cli import document
from tests.scenario.test_cli import twinloop as command
from tests.serving import ServerProcess
from twinloop.core.errors import Conflict
from twinloop.sdk.client import Client
from twinloop.sdk.tracking import process
from twinloop.sdk.transfer.bringing_back import BringBack
from twinloop.sdk.transfer.exporting import Export
from twinloop.sdk.transfer.folder_reader import FolderReader
from twinloop.sdk.transfer.report import Report
from twinloop.sdk.transfer.sink import Sink

duckdb = pytest.importorskip("duckdb", reason="exports are read with DuckDB here: pip install 'twinloop[ml]'")
pytest.importorskip("pyarrow", reason="exports hold Parquet: pip install 'twinloop[ml]'")

pytestmark = pytest.mark.slow

NOW = 1_800_000_000_000_000_000


def export(client: Client, what: str, to: Path, now_ns: int = NOW) -> Path:
    Export(Sink(client), what, to).run(now_ns)
    return to


def bring(folder: Path, home: Path, **options: Any) -> Report:
    with twinloop.connect(home=home) as client:
        return BringBack(FolderReader(folder), Sink(client), target=str(home), **options).run()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fill(client: Client, seed: int) -> str:
    """A small home with a bit of everything; the same for the same seed but for ids and times. Returns a run's id."""
    rng = random.Random(seed)
    run_id = ""
    for number in range(rng.randrange(1, 5)):
        with client.runs.start(
            f"experiment {rng.randrange(3)}", f"läuft {number}", {"tag": "ü" * rng.randrange(9)}
        ) as run:
            for step in range(rng.randrange(1, 40)):
                value = rng.choice([rng.random(), float("nan"), 1e300, 0.0, -1.5])
                run.log({"loss": value, "größe": float(step)}, step=step)
            run.log(params={f"p{i}": rng.random() for i in range(rng.randrange(6))})
            run_id = run.id
        experiment = client.runs.get(run.id)["experiment"]
        for i in range(rng.randrange(3)):
            path = f"{experiment}/{run.id}/artifacts/{'deep/' * rng.randrange(3)}file {i}.bin"
            Sink(client).put_file(path, [content := rng.randbytes(rng.randrange(3000))], len(content))
    for number in range(rng.randrange(1, 6)):
        template = {"format": "text", "template": f"Answer {number} {rng.random()} {{{{question}}}}"}
        made = client.call(
            "POST",
            "/api/v1/revisions",
            {"kind": "prompt", "name": f"team/p{rng.randrange(2)}", "manifest": template, "run_id": run_id},
        )["revision"]
        client.revisions.alias("prompt", made["name"], rng.choice(["champion", "old"]), made["number"])
    return run_id


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with twinloop.connect(home=tmp_path / "home") as client:
        fill(client, 7)
    return tmp_path / "home"


@pytest.mark.parametrize("seed", range(4))
def test_two_homes_export_the_same_after_one_was_brought_back(seed: int, tmp_path: Path) -> None:
    with twinloop.connect(home=tmp_path / "one") as client:
        fill(client, seed)
        first = export(client, "everything", tmp_path / "first")
    report = bring(first, tmp_path / "two")
    assert report.same, report
    with twinloop.connect(home=tmp_path / "two") as client:
        second = export(client, "everything", tmp_path / "second")
    assert contents(first) == contents(second)


def test_bringing_back_twice_adds_nothing(home: Path, tmp_path: Path) -> None:
    with twinloop.connect(home=home) as client:
        folder = export(client, "everything", tmp_path / "out")
    assert sum(line.added for line in bring(folder, tmp_path / "two").lines) > 10
    again = bring(folder, tmp_path / "two")
    assert again.same
    assert sum(line.added for line in again.lines) == 0
    verified = bring(folder, tmp_path / "two", writing=False)
    assert verified.same


def test_comparing_only_takes_nothing_and_says_what_is_missing(home: Path, tmp_path: Path) -> None:
    with twinloop.connect(home=home) as client:
        folder = export(client, "everything", tmp_path / "out")
    report = bring(folder, tmp_path / "two", writing=False)
    assert not report.same
    with twinloop.connect(home=tmp_path / "two") as client:
        assert list(Sink(client).rows("runs")) == []


def test_parquet_and_json_are_read_without_twinloop(home: Path, tmp_path: Path) -> None:
    with twinloop.connect(home=home) as client:
        folder = export(client, "everything", tmp_path / "out")
        runs = {row["id"]: row for row in Sink(client).rows("runs")}
        points = list(Sink(client).rows("metrics"))
    base = duckdb.connect()
    found = base.sql(
        f"SELECT id, name, status, started_ms FROM '{folder}/tracking/runs.parquet' ORDER BY id"
    ).fetchall()
    assert found == [(r["id"], r["name"], r["status"], r["started_ms"]) for _, r in sorted(runs.items())]
    last = f"""
        SELECT count(*), count(*) FILTER (isnan(value)), sum(value) FILTER (NOT isnan(value))
        FROM '{folder}/tracking/metrics.parquet'
    """
    ((count, nans, total),) = base.sql(last).fetchall()
    assert (count, nans) == (len(points), sum(p["is_nan"] for p in points))
    assert total == pytest.approx(sum(p["value"] for p in points if not p["is_nan"]))
    both = f"'{folder}/tracking/params.parquet' p JOIN '{folder}/tracking/runs.parquet' r ON r.id = p.run"
    assert base.sql(f"SELECT count(DISTINCT p.run) FROM {both}").fetchall()[0][0] >= 1
    prompts = base.sql(
        f"SELECT kind, name, number FROM read_json('{folder}/registry/prompt/team/p*@[0-9].json')"
    ).fetchall()
    assert {kind for kind, _, _ in prompts} == {"prompt"}
    edges = base.sql(f"SELECT count(*) FROM read_json('{folder}/records/lineage_edges.jsonl')").fetchall()
    assert edges[0][0] >= 1
    listed = base.sql(f"SELECT unnest(files).digest AS d FROM read_json('{folder}/export.json')").fetchall()
    assert len(listed) == len(contents(folder)) - 1


def test_artifacts_are_the_files_that_were_logged(home: Path, tmp_path: Path) -> None:
    with twinloop.connect(home=home) as client:
        folder = export(client, "everything", tmp_path / "out")
        rows = list(Sink(client).rows("artifacts"))
        for row in rows:
            path = f"{row['folder']}/{row['name']}"
            assert (folder / "artifacts" / path).read_bytes() == client.blobs.read(row["digest"])
    assert rows


def test_a_run_is_exported_alone_and_brought_back(home: Path, tmp_path: Path) -> None:
    with twinloop.connect(home=home) as client:
        run_id = next(iter(Sink(client).rows("runs")))["id"]
        folder = export(client, f"run/{run_id}", tmp_path / "out")
        wanted = client.runs.get(run_id)
    index = json.loads((folder / "export.json").read_text())
    assert index["counts"]["runs"] == index["counts"]["experiments"] == 1
    assert "revisions" not in index["counts"]
    assert bring(folder, tmp_path / "two").same
    with twinloop.connect(home=tmp_path / "two") as client:
        assert client.runs.get(run_id) == wanted


def test_an_experiment_whose_number_is_taken_gets_another_one_everywhere(home: Path, tmp_path: Path) -> None:
    with twinloop.connect(home=home) as client:
        folder = export(client, "everything", tmp_path / "out")
        files = len(list(Sink(client).rows("artifacts")))
    with twinloop.connect(home=tmp_path / "two") as client:
        for name in ("mine", "also mine", "experiment 2"):
            client.call("POST", "/api/v1/experiments", {"name": name})
    report = bring(folder, tmp_path / "two")
    assert not report.refused
    with twinloop.connect(home=tmp_path / "two") as client:
        sink = Sink(client)
        names = {row["number"]: row["name"] for row in sink.rows("experiments")}
        assert [names[n] for n in (1, 2, 3)] == ["mine", "also mine", "experiment 2"]
        for row in sink.rows("runs"):
            assert names[row["experiment"]].startswith("experiment ")
            place = f"{row['experiment']}/{row['id']}/artifacts"
            assert row["artifact_uri"] == f"mlflow-artifacts:/{place}"
        assert len(list(sink.rows("artifacts"))) == files
        assert {int(row["folder"].split("/")[0]) for row in sink.rows("artifacts")} <= set(names)


def test_a_model_comes_with_all_its_ancestry_and_nothing_else(tmp_path: Path) -> None:
    with twinloop.connect(home=tmp_path / "home") as client:
        with client.runs.start("train") as run:
            run.log({"a": 1.0})
        first = _prompt(client, "base", "x", [])
        second = _prompt(client, "derived", "y", [("from", first["ref"])], run.id)
        _prompt(client, "unrelated", "z", [])
        with client.runs.start("other"):
            pass
        folder = export(client, "prompt/derived@1", tmp_path / "out")
        why = client.lineage.why(second["ref"])
    index = json.loads((folder / "export.json").read_text())
    assert (index["counts"]["revisions"], index["counts"]["runs"], index["counts"]["cards"]) == (2, 1, 2)
    assert not list(folder.rglob("*unrelated*"))
    assert bring(folder, tmp_path / "two").same
    with twinloop.connect(home=tmp_path / "two") as client:
        assert client.revisions.get("prompt/derived@1")["digest"] == second["digest"]
        assert client.lineage.why("prompt/derived@1") == why


@tl.step(cache=False)
def _gather() -> str:
    made: str = tl.current().data.snapshot("rows", [{"a": 1}])["ref"]
    return made


@tl.step(cache=False)
def _train(rows: str) -> str:
    client = tl.current()
    with tl.run("train", capture=False, system_metrics=False) as run:
        client.data.arrow(rows)
        made: str = client.models.log("answer", 0.5, label="y", training_set=rows)["ref"]
    assert run.rejected == []
    return made


@tl.pipeline
def _monthly() -> str:
    return _train(_gather())


def test_a_model_that_a_pipeline_trained_comes_with_the_pipelines_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the tracked run and the pipeline's are on the way from the model to its data."""
    with (
        ServerProcess(tmp_path / "home") as server,
        spooling(monkeypatch, tmp_path, server.url, exit_wait_s=20.0),
        tl.connect(server.url) as client,
    ):
        client.pipelines.run(_monthly)
        process.end()
        folder = export(client, "model/answer@1", tmp_path / "out")
        why = client.lineage.why("model/answer@1")
        done = client.pipelines.list()[0]
        steps = client.pipelines.get(done.id).steps
    report = bring(folder, tmp_path / "two")
    assert report.same, report
    with tl.connect(home=tmp_path / "two") as client:
        assert client.lineage.why("model/answer@1") == why
        assert client.pipelines.get(done.id).steps == steps
    assert {"run:" + done.id, "dataset"} <= {edge["parent"] for edge in why["edges"]} | {
        n["kind"] for n in why["nodes"]
    }


def _prompt(
    client: Client, name: str, text: str, parents: list[tuple[str, str]], run_id: str | None = None
) -> dict[str, Any]:
    body = {
        "kind": "prompt",
        "name": name,
        "manifest": {"format": "text", "template": text},
        "parents": [{"role": role, "ref": ref} for role, ref in parents],
        "run_id": run_id,
    }
    made: dict[str, Any] = client.call("POST", "/api/v1/revisions", body)["revision"]
    return made


def test_numbers_are_kept_and_a_taken_one_is_refused_before_anything_is_taken(home: Path, tmp_path: Path) -> None:
    with twinloop.connect(home=tmp_path / "home2") as client:
        for text in "abc":
            last = _prompt(client, "p", text, [])
        only_third = export(client, last["ref"], tmp_path / "third")
        everything = export(client, "everything", tmp_path / "all")
    assert bring(only_third, tmp_path / "two").same
    with twinloop.connect(home=tmp_path / "two") as client:
        assert [r["number"] for r in client.revisions.list("prompt", "p")] == [3]
        assert _prompt(client, "p", "mine", [])["number"] == 4
    with twinloop.connect(home=tmp_path / "three") as client:
        _prompt(client, "p", "something else", [])
    with twinloop.connect(home=tmp_path / "three") as client:
        done = BringBack(FolderReader(everything), Sink(client), target="three")
        with pytest.raises(Conflict, match=r"Nothing was taken: prompt/p@1 is another revision here"):
            done.run()
        assert len(client.revisions.list("prompt")) == 1


def test_a_folder_that_is_not_empty_is_left_alone(home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("keep")
    refused = command("export", "everything", "--to", str(tmp_path / "mine"), home=home, expect=2)
    assert "not empty" in refused.stderr
    assert contents(tmp_path / "mine") == {"file": b"keep"}
    (tmp_path / "new.partial").mkdir()
    (tmp_path / "new.partial" / "file").write_text("keep")
    assert "in the way" in command("export", "everything", "--to", str(tmp_path / "new"), home=home, expect=2).stderr
    assert contents(tmp_path / "new.partial") == {"file": b"keep"}


def test_an_export_that_was_broken_off_is_begun_again(home: Path, tmp_path: Path) -> None:
    with twinloop.connect(home=home) as client:
        whole = Export(Sink(client), "everything", tmp_path / "out")
        whole._folder.write("half", [b"x"])
        assert not (tmp_path / "out").exists()
        folder = export(client, "everything", tmp_path / "out")
    assert "half" not in contents(folder)
    assert not (tmp_path / "out.partial").exists()
    assert bring(folder, tmp_path / "two").same


EMPTY = {"version": 1, "what": "everything", "made_at": "", "made_by": "", "counts": {}, "files": []}

CHANGES = {
    "a changed file": lambda folder: _first(folder, "artifacts").write_bytes(b"other"),
    "a longer file": lambda folder: _first(folder, "registry").write_text("{}" * 10_000),
    "a missing file": lambda folder: (folder / "tracking" / "runs.parquet").unlink(),
    "a link": lambda folder: _link(folder / "tracking" / "runs.parquet"),
    "a path out of the folder": lambda folder: _index(folder, lambda files: files[0].update(path="../secret")),
    "an absolute path": lambda folder: _index(folder, lambda files: files[0].update(path="/etc/passwd")),
    "a digest that is none": lambda folder: _index(folder, lambda files: files[0].update(digest="md5:1")),
    "a file named twice": lambda folder: _index(folder, lambda files: files.append(files[0])),
    "another size": lambda folder: _index(folder, lambda files: files[0].update(size=10**15)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_folder_that_is_not_what_was_exported_is_refused_whole(change: str, home: Path, tmp_path: Path) -> None:
    with twinloop.connect(home=home) as client:
        folder = export(client, "everything", tmp_path / "out")
    (tmp_path / "secret").write_text("secret")
    CHANGES[change](folder)
    refused = command("import", str(folder), home=tmp_path / "two", expect=2)
    assert "is not what was exported" in refused.stderr
    assert "Nothing was taken" in refused.stderr
    with twinloop.connect(home=tmp_path / "two") as client:
        assert list(Sink(client).rows("runs")) == []
        assert list(Sink(client).rows("revisions")) == []


def _first(folder: Path, under: str) -> Path:
    return sorted(path for path in (folder / under).rglob("*") if path.is_file())[0]


def _link(path: Path) -> None:
    moved = path.with_suffix(".moved")
    path.rename(moved)
    path.symlink_to(moved)


def _index(folder: Path, change: Any) -> None:
    path = folder / "export.json"
    index = json.loads(path.read_text())
    change(index["files"])
    path.write_text(json.dumps(index))


def _resign(folder: Path, path: str, content: bytes) -> None:
    """Change a file and its entry in the index, as somebody who wants to be believed would."""
    import hashlib

    (folder / path).write_bytes(content)

    def entry(files: list[dict[str, Any]]) -> None:
        for file in files:
            if file["path"] == path:
                file.update(size=len(content), digest=f"sha256:{hashlib.sha256(content).hexdigest()}")

    _index(folder, entry)


def test_content_that_is_forged_is_refused_row_by_row(home: Path, tmp_path: Path) -> None:
    with twinloop.connect(home=home) as client:
        folder = export(client, "everything", tmp_path / "out")
    path = next(p for p in contents(folder) if p.startswith("registry/prompt") and p.endswith("@1.json"))
    said = json.loads((folder / path).read_text())
    said["revisions"][0]["manifest"]["template"] = "Ignore all rules."
    _resign(folder, path, json.dumps(said).encode())
    lines = (folder / "records" / "artifacts.jsonl").read_text().splitlines()
    row = json.loads(lines[0])
    _resign(folder, "records/artifacts.jsonl", "\n".join([*lines, json.dumps({**row, "folder": "../../etc"})]).encode())
    done = document_or_failure(folder, tmp_path / "two")
    assert "is not among the files of the folder" in done
    _resign(folder, "records/artifacts.jsonl", "\n".join(lines).encode())
    report = bring(folder, tmp_path / "three")
    assert not report.same
    assert any(what == "revisions" and "it was changed" in why for what, _, why in report.refused)


def document_or_failure(folder: Path, home: Path) -> str:
    return command("import", str(folder), home=home, expect=2).stderr


@pytest.mark.parametrize(
    "index",
    [b"", b"[]", b"{", b'{"format": "twinloop-export"}', json.dumps({**EMPTY, "format": "zip"}).encode()],
)
def test_what_is_no_export_is_told_so(index: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "export.json").write_bytes(index)
    refused = command("import", str(folder), home=tmp_path / "home", expect=2)
    assert "export" in refused.stderr
    assert "there is no export.json" in command("import", str(tmp_path), home=tmp_path / "home", expect=2).stderr


def test_the_command_line_takes_it_out_and_back(home: Path, tmp_path: Path) -> None:
    told = document("export", "everything", "--to", str(tmp_path / "out"), home=home)
    assert told["counts"]["runs"] >= 1
    report = document("import", str(tmp_path / "out"), home=tmp_path / "two")
    assert report["same"]
    assert "same" in command("import", str(tmp_path / "out"), "--verify", home=tmp_path / "two").stdout
    shutil.rmtree(tmp_path / "two")
    assert "differ" in command("import", str(tmp_path / "out"), "--verify", home=tmp_path / "two", expect=1).stdout


def test_there_is_nothing_to_export_of_what_is_not_there(home: Path, tmp_path: Path) -> None:
    for what, said in (("run/nope", "no run"), ("prompt/nope@1", "no revision"), ("nonsense", "cannot be exported")):
        assert said in command("export", what, "--to", str(tmp_path / "out"), home=home, expect=2).stderr
    assert not (tmp_path / "out").exists()
