"""A source with wrong or hostile content: each bad thing is refused and named, and the rest comes in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import twinloop
from tests.protocol.hostile_mlflow import HostileMlflow
from twinloop.core.errors import InvalidInput, Unauthenticated
from twinloop.sdk.transfer.checkpoint import Checkpoint
from twinloop.sdk.transfer.errors import SourceUnreadable
from twinloop.sdk.transfer.mlflow_import import MlflowImport
from twinloop.sdk.transfer.mlflow_server import Credentials, MlflowServer
from twinloop.sdk.transfer.report import Report
from twinloop.sdk.transfer.rest_source import RestSource
from twinloop.sdk.transfer.sink import Sink

API = "/api/2.0/mlflow"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"
GOOD, BAD, ODD = "a" * 32, "../../../etc/passwd", "b" * 32


def experiment(id: str, name: str, **more: Any) -> dict[str, Any]:
    made = {
        "experiment_id": id,
        "name": name,
        "lifecycle_stage": "active",
        "artifact_location": f"mlflow-artifacts:/{id}",
    }
    return {**made, "creation_time": 1, "last_update_time": 1, **more}


def run(id: str, **more: Any) -> dict[str, Any]:
    info = {
        "run_id": id, "run_uuid": id, "experiment_id": "1", "run_name": "n", "user_id": "u", "status": "FINISHED",
        "start_time": 1, "end_time": 2, "artifact_uri": f"mlflow-artifacts:/1/{id}/artifacts", "lifecycle_stage": "active",
    }  # fmt: skip
    data = {"params": [{"key": "lr", "value": "1"}], "metrics": [{"key": "m", "value": 1.0, "timestamp": 1, "step": 0}]}
    return {"info": {**info, **more.pop("info", {})}, "data": {**data, **more.pop("data", {})}, **more}


def honest(runs: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    def of_one(query: dict[str, str], body: Any) -> dict[str, Any]:
        return {"runs": runs if body["experiment_ids"] == ["1"] else []}

    points = [{"key": "m", "value": 1.0, "timestamp": 1, "step": 0}]
    return {
        f"{API}/experiments/search": {"experiments": [experiment("0", "Default"), experiment("1", "flights")]},
        f"{API}/runs/search": of_one,
        f"{API}/metrics/get-history": {"metrics": points},
        f"{API}/registered-models/search": {},
        f"{API}/logged-models/search": {},
        "/api/3.0/mlflow/traces/search": {},
        PROXY: {"files": []},
        **more,
    }


def bring_in(answers: dict[str, Any], home: Path) -> tuple[Report, list[dict[str, Any]]]:
    """Import once; returns the report and the runs that are there now."""
    with HostileMlflow(answers) as server, twinloop.connect(home=home) as client:
        source = RestSource(MlflowServer(server.url))
        report = MlflowImport(source, Sink(client), Checkpoint(None, "a", "b"), target="here").run()
        source.close()
        runs = [client.runs.get(row["id"]) for row in Sink(client).rows("runs")]
    return report, runs


def test_an_honest_source_is_the_same_on_both_sides(tmp_path: Path) -> None:
    report, runs = bring_in(honest([run(GOOD)]), tmp_path / "home")
    assert report.same
    assert [r["id"] for r in runs] == [GOOD]
    assert runs[0]["metrics"]["m"]["value"] == 1.0


def test_bad_names_and_values_are_refused_and_the_rest_comes_in(tmp_path: Path) -> None:
    odd = run(
        ODD,
        data={
            "params": [
                {"key": "../../up", "value": "x"}, {"key": "fine", "value": "y"}, {"key": "nul", "value": "a\0b"},
                {"key": "long" * 100, "value": "x"}, {"key": "half", "value": "\ud800"},
            ],
            "tags": [{"key": "mlflow.runName", "value": "odd"}, {"key": "x" * 300, "value": ""}],
        },
    )  # fmt: skip
    wrong_status = run("c" * 32, info={"status": "EXPLODED"})
    absurd_time = run("d" * 32, info={"start_time": 2**80})
    not_a_run = {"info": "nothing", "data": []}
    report, runs = bring_in(honest([run(BAD), odd, wrong_status, absurd_time, not_a_run, run(GOOD)]), tmp_path / "home")
    assert sorted(r["id"] for r in runs) == [GOOD, ODD]
    assert next(r for r in runs if r["id"] == ODD)["params"] == {"fine": "y"}
    refused = {(what, id) for what, id, _ in report.refused}
    assert {("runs", BAD), ("runs", "c" * 32), ("runs", "d" * 32), ("runs", "nothing")} <= refused
    assert {("params", f"{ODD}/../../up"), ("params", f"{ODD}/nul"), ("params", f"{ODD}/half")} <= refused
    assert not report.same
    assert all(why for _, _, why in report.refused)


@pytest.mark.parametrize("path", ["../../../other", "/etc/passwd", "..%2f..%2fx", "a\\..\\b", "..", "C:"])
def test_a_path_that_leads_out_is_refused_before_it_is_asked_for(path: str, tmp_path: Path) -> None:
    def listing(query: dict[str, str], body: Any) -> Any:
        here = query["path"] == f"1/{GOOD}/artifacts"
        good = {"path": "good.txt", "is_dir": False, "file_size": 2}
        return {"files": [{"path": path, "is_dir": False, "file_size": 1}, good] if here else []}

    answers = honest([run(GOOD)], **{PROXY: listing, f"{PROXY}/1/{GOOD}/artifacts/good.txt": b"ok"})
    with HostileMlflow(answers) as server, twinloop.connect(home=tmp_path / "home") as client:
        source = RestSource(MlflowServer(server.url))
        report = MlflowImport(source, Sink(client), Checkpoint(None, "a", "b"), target="here").run()
        assert list(Sink(client).files("1")) == [f"{GOOD}/artifacts/good.txt"]
        assert not any("passwd" in asked or "other" in asked for asked, _ in server.asked)
    assert [id for what, id, _ in report.refused if what == "files of run"] == [f"{GOOD}/{path}"]


def test_a_file_that_is_not_as_large_as_listed_leaves_nothing(tmp_path: Path) -> None:
    listed = {"huge": 2**62, "more": 3, "fewer": 30, "minus": -4}

    def listing(query: dict[str, str], body: Any) -> Any:
        here = query["path"] == f"1/{GOOD}/artifacts"
        return {"files": [{"path": n, "is_dir": False, "file_size": s} for n, s in listed.items()] if here else []}

    files = {f"{PROXY}/1/{GOOD}/artifacts/{name}": b"0123456789" for name in listed}
    answers = honest([run(GOOD)], **{PROXY: listing}, **files)
    with HostileMlflow(answers) as server, twinloop.connect(home=tmp_path / "home") as client:
        source = RestSource(MlflowServer(server.url))
        report = MlflowImport(source, Sink(client), Checkpoint(None, "a", "b"), target="here").run()
        assert Sink(client).files("1") == {}
    assert len(report.refused) == 4


def test_a_folder_that_holds_itself_ends(tmp_path: Path) -> None:
    answers = honest([run(GOOD)], **{PROXY: {"files": [{"path": "again", "is_dir": True}]}})
    report, runs = bring_in(answers, tmp_path / "home")
    assert len(runs) == 1
    assert "deep" in report.refused[0][2]


def test_a_list_that_never_ends_is_given_up(tmp_path: Path) -> None:
    def forever(query: dict[str, str], body: Any) -> Any:
        return {"experiments": [], "next_page_token": "again"}

    with pytest.raises(SourceUnreadable, match="again and again"):
        bring_in(honest([], **{f"{API}/experiments/search": forever}), tmp_path / "home")


@pytest.mark.parametrize("said", [b"<html>login</html>", b"[1, 2]", b"\xff\xfe", b'{"experiments": 3}', b""])
def test_a_server_that_is_no_mlflow_is_told_so(said: bytes, tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="MLflow"):
        bring_in({f"{API}/experiments/search": said}, tmp_path / "home")


def test_an_answer_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinloop.sdk.transfer.mlflow_server.ANSWER_LIMIT", 100_000)
    with pytest.raises(SourceUnreadable, match="more than 100000 bytes"):
        bring_in({f"{API}/experiments/search": b'{"experiments": []}' + b" " * 200_000}, tmp_path / "home")


def test_a_model_that_is_not_what_it_says_is_refused(tmp_path: Path) -> None:
    prompt = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    models = [
        {"name": "fine", "creation_timestamp": 1, "last_updated_timestamp": 1},
        {"name": "x" * 2000, "creation_timestamp": 1},
        {"name": "line\nbreak", "creation_timestamp": 1},
        {"name": "talk", "creation_timestamp": 1, "tags": prompt, "aliases": [{"alias": "a", "version": "77"}]},
    ]
    chat = [
        *prompt,
        {"key": "_mlflow_prompt_type", "value": "chat"},
        {"key": "mlflow.prompt.text", "value": "{not json"},
    ]

    def versions(query: dict[str, str], body: Any) -> Any:
        name = query["filter"].split("'")[1]
        found = [{"name": name, "version": "1", "source": "s", "creation_timestamp": 1, "run_id": ""}]
        if name == "talk":
            found = [
                {"name": name, "version": "-3", "source": "s"},
                {**found[0], "tags": chat, "source": "dummy-source"},
            ]
        return {"model_versions": found}

    def listing(query: dict[str, str], body: Any) -> Any:
        return {"registered_models": models}

    answers = honest([], **{f"{API}/registered-models/search": listing, f"{API}/model-versions/search": versions})
    with HostileMlflow(answers) as server, twinloop.connect(home=tmp_path / "home") as client:
        source = RestSource(MlflowServer(server.url))
        report = MlflowImport(source, Sink(client), Checkpoint(None, "a", "b"), target="here").run()
        assert [row["title"] for row in Sink(client).rows("cards")] == ["fine", "talk"]
        assert [(row["name"], row["number"]) for row in Sink(client).rows("revisions")] == [("fine", 1)]
    assert {what for what, _, _ in report.refused} == {"cards", "revisions"}
    assert any(id == "prompt/talk/1" for _, id, _ in report.refused)
    assert any(id == "prompt/talk/-3" for _, id, _ in report.refused)


def test_credentials_are_sent_and_never_told(tmp_path: Path) -> None:
    with HostileMlflow({f"{API}/experiments/search": 401}) as server:
        for given, wanted in (
            (Credentials(token="t0ken"), "Bearer t0ken"),
            (Credentials(username="ada", password="s3cret"), "Basic YWRhOnMzY3JldA=="),
        ):
            source = RestSource(MlflowServer(server.url, given))
            with pytest.raises(Unauthenticated) as error:
                list(source.experiments())
            assert server.asked[-1][1]["authorization"] == wanted
            assert "s3cret" not in str(error.value)
            assert "t0ken" not in str(error.value) + repr(given)
        inside = MlflowServer(server.url.replace("http://", "http://ada:s3cret@"))
        assert inside.url == server.url
        with pytest.raises(Unauthenticated):
            list(RestSource(inside).experiments())
        assert server.asked[-1][1]["authorization"] == "Basic YWRhOnMzY3JldA=="


def test_what_is_no_url_is_refused_without_its_password() -> None:
    with pytest.raises(InvalidInput) as error:
        MlflowServer("ftp://ada:s3cret@host")
    assert "s3cret" not in str(error.value)
