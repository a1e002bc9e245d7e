"""Unmodified MLflow scripts against Twinloop, pointed at it by MLFLOW_TRACKING_URI alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving import ServerProcess

POINT = {"run_id": "x", "key": "m", "value": 1, "timestamp": 1}

TRAIN = """
import math
import mlflow

mlflow.log_metric("quick", 1.0)
mlflow.end_run()
mlflow.set_experiment("späte Flüge")
with mlflow.start_run(run_name="parent", tags={"team": "it's"}) as parent:
    mlflow.log_param("depth", 3)
    mlflow.log_params({"rate": 0.1, "kind": "gbdt"})
    for step in range(20):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_metrics({"auc": 0.75, "nan": math.nan, "inf": math.inf})
    mlflow.set_tag("stage", "dev")
    with mlflow.start_run(nested=True, run_name="child"):
        mlflow.log_metric("auc", 0.5)
try:
    with mlflow.start_run(run_name="broken"):
        raise ValueError("boom")
except ValueError:
    print(parent.info.run_id)
"""

SEARCH = """
import mlflow

found = mlflow.search_runs(
    experiment_names=["späte Flüge"],
    filter_string="metrics.loss < 0.06 AND params.depth = '3' AND tags.team = \\"it's\\" AND attributes.status = 'FINISHED'",
    order_by=["metrics.loss ASC"],
)
assert list(found["tags.mlflow.runName"]) == ["parent"], found
assert found["metrics.auc"][0] == 0.75
assert found["metrics.nan"].isna().all()
assert found["metrics.inf"][0] > 1e308
assert found["params.rate"][0] == "0.1"
everything = mlflow.search_runs(experiment_names=["späte Flüge"], order_by=["metrics.auc DESC"])
assert list(everything["tags.mlflow.runName"]) == ["parent", "child", "broken"], everything
assert list(everything["status"]) == ["FINISHED", "FINISHED", "FAILED"]
assert everything["tags.mlflow.parentRunId"][1] == everything["run_id"][0]
"""

CLIENT = """
import json
import mlflow
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

client = mlflow.MlflowClient()

def refused(code, verb, *arguments, **named):
    try:
        verb(*arguments, **named)
    except MlflowException as error:
        assert error.error_code == code, error
    else:
        raise AssertionError(verb)

experiment = client.create_experiment("by client", tags={"a": "b"})
refused("RESOURCE_ALREADY_EXISTS", client.create_experiment, "by client")
assert client.get_experiment_by_name("nobody's") is None
assert client.get_experiment(experiment).tags == {"a": "b"}
client.set_experiment_tag(experiment, "c", "d")
client.rename_experiment(experiment, "renamed")
assert [e.name for e in client.search_experiments(filter_string="name = 'renamed' AND tags.c = 'd'")] == ["renamed"]

run = client.create_run(experiment, run_name="first")
id = run.info.run_id
points = [Metric("m", float(n), 1_700_000_000_000 + n, n) for n in range(1000)]
client.log_batch(id, metrics=points, params=[], tags=[RunTag("t", "1")])
client.log_batch(id, params=[Param(f"p{n}", str(n)) for n in range(100)])
history = client.get_metric_history(id, "m")
assert [point.step for point in history] == list(range(1000))
refused("INVALID_PARAMETER_VALUE", client.log_param, id, "p1", "other")
client.log_param(id, "p1", "1")
client.delete_tag(id, "t")
refused("RESOURCE_DOES_NOT_EXIST", client.delete_tag, id, "t")
client.update_run(id, name="second")
client.set_terminated(id, "FAILED")
run = client.get_run(id)
assert (run.info.run_name, run.info.status, run.data.tags["mlflow.runName"]) == ("second", "FAILED", "second")
assert run.data.metrics == {"m": 999.0} and len(run.data.params) == 100

others = [client.create_run(experiment).info.run_id for _ in range(25)]
found, token = [], None
while True:
    page = client.search_runs([experiment], max_results=7, page_token=token)
    found += [item.info.run_id for item in page]
    token = page.token
    if not token:
        break
assert sorted(found) == sorted([id, *others])
client.delete_run(id)
refused("INVALID_PARAMETER_VALUE", client.set_tag, id, "a", "b")
assert [r.info.run_id for r in client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)] == [id]
client.restore_run(id)
client.delete_experiment(experiment)
refused("INVALID_PARAMETER_VALUE", client.create_run, experiment)
client.restore_experiment(experiment)
client.create_run(experiment)
refused("RESOURCE_DOES_NOT_EXIST", client.get_run, "0" * 32)
refused("INVALID_PARAMETER_VALUE", client.search_runs, [experiment], "metrics.m >")
"""


def script(url: str, text: str, **env: str) -> str:
    """Run a script that knows nothing of Twinloop; returns what it printed."""
    quiet = {
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "DO_NOT_TRACK": "true",
    }
    environ = {**os.environ, "MLFLOW_TRACKING_URI": url, **quiet, **env}
    done = subprocess.run([sys.executable, "-c", text], env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def get(url: str, key: str = "") -> Any:
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"} if key else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_a_training_script_is_tracked_and_found_again(server: ServerProcess) -> None:
    run_id = script(server.url, TRAIN).split()[-1]
    script(server.url, SEARCH)
    run = get(f"{server.url}/api/v1/runs/{run_id}")
    assert run["status"] == "FINISHED"
    assert run["params"] == {"depth": "3", "rate": "0.1", "kind": "gbdt"}
    assert run["metrics"]["loss"]["step"] == 19
    points = get(f"{server.url}/api/v1/runs/{run_id}/metrics/loss")["points"]
    assert [point["step"] for point in points] == list(range(20))
    why = get(f"{server.url}/api/v1/why?node=run:{run_id}")
    assert [node["kind"] for node in why["nodes"]] == ["run"]


@pytest.mark.slow
def test_the_mlflow_client_works_verb_by_verb(server: ServerProcess) -> None:
    script(server.url, CLIENT)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A server with keys in force, and the key of a developer."""
    with ServerProcess(tmp_path / "home") as running:
        admin = _make_key(running.url, "boss", "admin")
        yield running.url, _make_key(running.url, "dev", "developer", admin)


def _make_key(url: str, name: str, role: str, key: str = "") -> str:
    body = json.dumps({"name": name, "role": role}).encode()
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
    with urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/keys", body, headers), timeout=10) as answer:
        secret: str = json.load(answer)["secret"]
    return secret


@pytest.mark.slow
def test_a_key_is_the_tracking_token(locked: tuple[str, str]) -> None:
    url, key = locked
    text = "import mlflow\nwith mlflow.start_run() as run: mlflow.log_metric('m', 1)\nprint(run.info.run_id)"
    run_id = script(url, text, MLFLOW_TRACKING_TOKEN=key).split()[-1]
    assert get(f"{url}/api/v1/runs/{run_id}", key)["metrics"]["m"]["value"] == 1
    refused = "import mlflow\ntry: mlflow.start_run()\nexcept mlflow.MlflowException as error: print(error.error_code)"
    assert "UNAUTHENTICATED" in script(url, refused)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/api/3.0/mlflow/workspaces", {"name": "x"}, 404, "ENDPOINT_NOT_FOUND"),
        ("GET", "/api/2.0/mlflow/no-such-thing/get", None, 404, "ENDPOINT_NOT_FOUND"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/a/artifacts/../../x", {}, 400, "INVALID_PARAMETER_VALUE"),
        ("PATCH", "/ajax-api/2.0/mlflow/logged-models/m-1", {}, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "/api/2.0/mlflow/logged-models/m-1", None, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", "/api/2.0/mlflow/experiments/get-by-name?experiment_name=none", None, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", "/api/2.0/mlflow/experiments/get?experiment_id=x", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "/api/2.0/mlflow/runs/get", None, 400, "INVALID_PARAMETER_VALUE"),
        ("POST", "/api/2.0/mlflow/runs/search", {"filter": "'"}, 400, "INVALID_PARAMETER_VALUE"),
        ("POST", "/api/2.0/mlflow/runs/search", {"max_results": 10**9}, 400, "INVALID_PARAMETER_VALUE"),
        ("POST", "/api/2.0/mlflow/runs/search", {"page_token": "%%"}, 400, "INVALID_PARAMETER_VALUE"),
        ("POST", "/ajax-api/2.0/mlflow/experiments/create", {"name": ""}, 400, "INVALID_PARAMETER_VALUE"),
        ("POST", "/api/2.0/mlflow/experiments/delete", {"experiment_id": "99999"}, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("POST", "/api/2.0/mlflow/runs/set-tag", {"run_id": "x", "key": "a"}, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("POST", "/api/2.0/mlflow/runs/log-metric", {**POINT, "key": "../a"}, 400, "INVALID_PARAMETER_VALUE"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_has_mlflows_error_form(
    server: ServerProcess, method: str, path: str, body: Any, status: int, code: str
) -> None:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, {"content-type": "application/json"}, method=method)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    with caught.value as answer:
        found = json.load(answer)
    assert (answer.code, found["error_code"]) == (status, code)
    assert found["message"]


def test_the_server_says_which_mlflow_it_speaks(server: ServerProcess) -> None:
    for path, expected in (("/version", b"3."), ("/health", b"OK")):
        with urllib.request.urlopen(server.url + path, timeout=10) as answer:
            assert answer.read().startswith(expected)
    assert get(f"{server.url}/api/3.0/mlflow/server-info")["store_type"] == "SqlStore"
