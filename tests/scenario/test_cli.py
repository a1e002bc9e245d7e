"""What a newcomer types: a project, its revisions, an endpoint released and rolled back, and errors that help."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import twinloop as tl
from tests.serving import ServerProcess


def twinloop(
    *words: str, home: Path | None = None, url: str | None = None, expect: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, without any setting of this machine's."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TWINLOOP_")}
    given = [*words, *(["--home", str(home)] if home else []), *(["--url", url] if url else [])]
    done = subprocess.run(
        [sys.executable, "-m", "twinloop", *given],
        capture_output=True,
        text=True,
        env=environ,
        timeout=120,
        check=False,
    )
    assert done.returncode == expect, (given, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done


def document(*words: str, home: Path | None = None, url: str | None = None) -> Any:
    return json.loads(twinloop(*words, "--json", home=home, url=url).stdout)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    twinloop("init", str(tmp_path / "my project"))
    return tmp_path / "my project"


def test_a_new_project_is_applied_once_and_run(project: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert "+ prompt/my-project/answers" in twinloop("apply", str(project), "--plan", home=home).stdout
    assert document("status", home=home)["counts"]["revisions"] == 0
    assert "1 to create" in twinloop("apply", str(project), home=home).stdout
    assert "nothing to change" in twinloop("apply", str(project), home=home).stdout

    run = ("run", "greet", "--project", str(project), "--param", "name=Ada")
    first = document(*run, home=home)
    assert first["value"] == "Hello Ada, your name has 3 letters."
    assert {step["fate"] for step in first["steps"]} == {"run"}
    assert {step["fate"] for step in document(*run, home=home)["steps"]} == {"cached"}


def test_a_changed_declaration_shows_what_changes(project: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    twinloop("apply", str(project), home=home)
    file = project / "definitions.py"
    file.write_text(file.read_text().replace("one sentence", "two sentences"))
    plan = twinloop("apply", str(project), home=home).stdout
    assert "~ prompt/my-project/answers" in plan
    assert "system:" in plan
    assert document("models", "--kind", "prompt", home=home)["revisions"][0]["ref"] == "prompt/my-project/answers@2"


def test_an_endpoint_is_released_promoted_and_rolled_back(tmp_path: Path) -> None:
    import twinloop as tl

    with ServerProcess(tmp_path / "home") as server:
        with tl.connect(url=server.url) as client:
            refs = [client.models.log("rate", value, label="late")["ref"] for value in (0.25, 0.75)]

        words = ("release", "base", "--type", "predict", "--pin", f"model={refs[0]}", "--reason", "first")
        assert document(*words, url=server.url)["state"] == "live"
        twinloop("release", "base", "--pin", f"model={refs[1]}", "--stage", "canary", "--weight", "0.5", url=server.url)
        promoted = document("promote", "base", url=server.url)
        assert (promoted["live"], promoted["previous"]) == ("base@2", "base@1")

        rows = tmp_path / "rows.json"
        rows.write_text("[{}, {}]")
        answer = document("predict", "base", "--rows", str(rows), url=server.url)
        assert [row["probability"] for row in answer["outputs"]] == [0.75, 0.75]

        # Without --url, the home tells where its server is.
        assert document("rollback", "base", "--reason", "worse", home=tmp_path / "home")["live"] == "base@1"
        listed = twinloop("releases", "base", url=server.url).stdout
        assert "base@1" in listed
        assert "worse" in listed

        why = twinloop("why", answer["trace"], url=server.url).stdout
        assert "answered_by: release/base@2" in why
        assert "model/rate@2" in why
        graph = document("why", answer["trace"], url=server.url)
        assert {"kind", "name", "version", "digest"} <= set(graph["nodes"][0])
        assert document("impact", refs[1], url=server.url)["counts"]["traces"] == 1
        assert "touched:" in twinloop("impact", refs[1], url=server.url).stdout


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made = document("keys", "create", "boss", "--role", "admin", home=home)
    assert made["secret"].startswith("tl-")
    refused = twinloop("status", home=home, expect=2)
    assert "Bearer" in refused.stderr


def test_runs_are_listed_shown_compared_deleted_and_restored(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "home") as server, tl.connect(server.url) as client:
        ids = []
        for depth in (3, 6):
            with client.runs.start("delays", f"depth {depth}", {"team": "ops"}) as run:
                run.log({"auc": depth / 10, "nan": math.nan}, params={"depth": depth, "eta": 0.1})
                ids.append(run.id)
        asked = {"url": server.url}
        assert "delays" in twinloop("runs", "experiments", **asked).stdout
        head, *rows = twinloop("runs", "list", "delays", "--order", "metrics.auc ASC", **asked).stdout.splitlines()
        assert head.split() == ["RUN", "NAME", "STATUS", "STARTED", "auc", "nan"]
        assert [row.split()[0] for row in rows] == ids
        chosen = ("runs", "list", "delays", "--filter", "params.depth = '6'", "--param", "depth")
        assert twinloop(*chosen, **asked).stdout.splitlines()[1].split()[-1] == "6"
        assert [run["id"] for run in document("runs", "list", "delays", "--limit", "1", **asked)["runs"]] == ids[1:]
        shown = twinloop("runs", "show", ids[0], **asked).stdout
        assert "auc  0.3  at step 0" in shown
        assert "team" in shown
        compared = twinloop("runs", "compare", *ids, **asked).stdout
        assert "depth" in compared
        assert "eta" not in compared
        assert "eta" in twinloop("runs", "compare", *ids, "--all", **asked).stdout
        twinloop("runs", "delete", ids[0], **asked)
        assert len(document("runs", "list", "delays", **asked)["runs"]) == 1
        assert [run["id"] for run in document("runs", "list", "delays", "--deleted", **asked)["runs"]] == ids[:1]
        twinloop("runs", "restore", ids[0], **asked)
        assert len(document("runs", "list", "delays", **asked)["runs"]) == 2
        said = twinloop("runs", "list", "delays", "--filter", "metrics.auc LIKE 'x'", expect=2, **asked).stderr
        assert said.startswith("twinloop: ")
        assert "LIKE" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("promote", "nope"), "nope"),
        (("ask", "nope", "why?"), "nope"),
        (("predict", "nope", "a=1"), "nope"),
        (("predict", "nope"), "--rows FILE"),
        (("why", "nope"), "trace id"),
        (("release", "nope"), "not declared"),
        (("release", "nope", "--pin", "model"), "name=value"),
        (("apply", "/nowhere"), "twinloop init"),
        (("run", "greet", "--project", "/nowhere"), "twinloop init"),
        (("status", "--url", "http://127.0.0.1:9"), "twinloop up"),
        (("status", "--url", "nonsense"), "http://127.0.0.1:7700"),
    ],
)
def test_errors_are_one_sentence_that_says_what_to_do(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    done = twinloop(*words, home=tmp_path / "home", expect=2)
    assert done.stdout == ""
    assert done.stderr.startswith("twinloop: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


def test_a_second_server_on_one_home_says_who_holds_it(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "home") as server:
        done = twinloop("up", "--port", "0", home=tmp_path / "home", expect=2)
        assert str(server.process.pid) in done.stderr
        assert server.url in done.stderr


def test_a_bind_beyond_loopback_without_keys_is_refused(tmp_path: Path) -> None:
    done = twinloop("up", "--host", "0.0.0.0", "--port", "0", home=tmp_path / "home", expect=2)
    assert "keys create" in done.stderr


def test_doctor_finds_this_installation_sound(tmp_path: Path) -> None:
    checks = document("doctor", home=tmp_path / "home")["checks"]
    assert {check["state"] for check in checks} <= {"ok", "note"}
