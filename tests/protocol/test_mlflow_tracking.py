"""MLflow's interface on runs and logged models, asked as programs without its client ask it, and seen natively."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

import twinloop
from tests.serving import ServerProcess
from twinloop.core.errors import NotFound, TwinloopError
from twinloop.sdk.client import Client

API = "/api/2.0/mlflow"
AJAX = "/ajax-api/2.0/mlflow"


@pytest.fixture
def client(server: ServerProcess) -> Client:
    return twinloop.connect(server.url)


def experiment(client: Client, name: str) -> str:
    made: str = client.call("POST", f"{API}/experiments/create", {"name": name})["experiment_id"]
    return made


def run_in(client: Client, experiment_id: str, **more: Any) -> str:
    made: str = client.call("POST", f"{API}/runs/create", {"experiment_id": experiment_id, **more})["run"]["info"][
        "run_id"
    ]
    return made


def test_numbers_may_come_as_text_and_nan_goes_both_ways(client: Client) -> None:
    run = run_in(client, experiment(client, "as text"), start_time="5")
    for point in ({"value": "NaN", "timestamp": "7", "step": "2"}, {"value": 1, "timestamp": 6}):
        client.call("POST", f"{API}/runs/log-metric", {"run_uuid": run, "key": "m", **point})
    shown = client.call("GET", f"{API}/runs/get", query={"run_uuid": run})["run"]
    assert shown["info"]["start_time"] == 5
    assert shown["data"]["metrics"] == [{"key": "m", "value": "NaN", "timestamp": 7, "step": 2}]
    assert client.runs.get(run)["metrics"]["m"]["value"] is None


def test_a_run_that_goes_on_has_not_ended(client: Client) -> None:
    run = run_in(client, experiment(client, "resumed"))
    for status, ended in (("FINISHED", 9), ("RUNNING", None), ("FAILED", 12)):
        change = {"run_id": run, "status": status, **({} if ended is None else {"end_time": ended})}
        info = client.call("POST", f"{API}/runs/update", change)["run_info"]
        assert (info["status"], info.get("end_time")) == (status, ended)
    resumed = client.call("PATCH", f"/api/v1/runs/{run}", {"status": "RUNNING"})
    assert (resumed["status"], resumed["ended_at"]) == ("RUNNING", None)


def refusal(server: ServerProcess, path: str, body: dict[str, Any]) -> str:
    """The words that a refused request is answered with."""
    request = urllib.request.Request(f"{server.url}{API}{path}", json.dumps(body).encode())
    request.add_header("content-type", "application/json")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    words: str = json.loads(refused.value.read())["message"]
    return words


def test_a_refused_batch_says_which_of_its_items_was_wrong(client: Client, server: ServerProcess) -> None:
    run = run_in(client, experiment(client, "batch places"))
    pair, point = {"key": "ok", "value": "1"}, {"key": "ok", "value": 1, "timestamp": 1}
    for part, items, place in (
        ("metrics", [point, {**point, "key": "a?"}], "metrics[1].name"),
        ("metrics", [point, point, {**point, "timestamp": -1}], "metrics[2].timestamp"),
        ("params", [pair, {"key": "../up", "value": "1"}], "params[1].key"),
        ("tags", [{"key": "a//b", "value": "1"}, pair], "tags[0].key"),
    ):
        batch = {"run_id": run, "metrics": [point], part: items}
        assert f"for parameter '{place}' supplied" in refusal(server, "/runs/log-batch", batch)
    assert "metrics" not in client.call("GET", f"{API}/runs/get", query={"run_id": run})["run"]["data"]
    for name, single in (("name", {**point, "key": "a?"}), ("timestamp", {**point, "timestamp": -1})):
        said = refusal(server, "/runs/log-metric", {"run_id": run, **single})
        assert f"for parameter '{name}' supplied" in said


def test_what_a_run_read_and_made_is_shown_natively_and_in_the_lineage(client: Client) -> None:
    name = "read and made"
    within = experiment(client, name)
    parent = client.call("POST", "/api/v1/runs", {"experiment": name, "name": "parent"})["id"]
    run = client.call("POST", "/api/v1/runs", {"experiment": name, "parent": parent})["id"]
    model = client.call("POST", f"{API}/logged-models", {"experiment_id": within, "name": "m"})["model"]["info"]
    dataset = {"name": "flights", "digest": "d1", "source_type": "http", "source": "{}"}
    read = {"dataset": dataset, "tags": [{"key": "mlflow.data.context", "value": "train"}]}
    client.call("POST", f"{API}/runs/log-inputs", {"run_id": run, "datasets": [read]})
    client.call(
        "POST", f"{API}/runs/outputs", {"run_id": run, "models": [{"model_id": model["model_id"], "step": "3"}]}
    )
    shown = client.runs.get(run)
    assert shown["parent"] == parent
    assert shown["datasets"] == [{**dataset, "context": "train"}]
    assert (shown["models_read"], shown["models_made"]) == ([], [{"model": model["model_id"], "step": 3}])
    why = client.call("GET", "/api/v1/why", query={"node": f"logged_model:{model['model_id']}"})
    assert {(node["kind"], node["name"]) for node in why["nodes"]} == {
        ("logged_model", "m"),
        ("run", shown["name"]),
        ("run", "parent"),
        ("dataset", "flights"),
    }
    listed = client.call("POST", f"{AJAX}/experiments/search-datasets", {"experiment_ids": [within]})
    assert listed == {
        "dataset_summaries": [{"experiment_id": within, "name": "flights", "digest": "d1", "context": "train"}]
    }


def test_a_run_cannot_be_started_below_one_that_is_not_there(client: Client) -> None:
    with pytest.raises(NotFound):
        client.call("POST", "/api/v1/runs", {"parent": "0" * 32})


def test_a_logged_model_is_finalized_by_name_or_number_of_its_status(client: Client) -> None:
    within = experiment(client, "statuses")
    path = f"{API}/logged-models"
    id = client.call("POST", path, {"experiment_id": within, "params": [{"key": "a", "value": "1"}]})["model"]["info"][
        "model_id"
    ]
    for given, shown in ((2, "LOGGED_MODEL_READY"), ("LOGGED_MODEL_UPLOAD_FAILED", "LOGGED_MODEL_UPLOAD_FAILED")):
        done = client.call("PATCH", f"{path}/{id}", {"model_id": id, "status": given})["model"]
        assert done["info"]["status"] == shown
        assert done["data"]["params"] == [{"key": "a", "value": "1"}]
    client.call("DELETE", f"{path}/{id}")
    with pytest.raises(TwinloopError) as error:
        client.call("GET", f"{path}/{id}")
    assert error.value.code == "RESOURCE_DOES_NOT_EXIST"
    assert client.call("GET", f"{path}/{id}", query={"allow_deleted": "true"})["model"]["info"]["model_id"] == id


def test_long_histories_come_in_pages_that_fit_together(client: Client) -> None:
    run = run_in(client, experiment(client, "long"))
    points = [{"key": "m", "value": n, "timestamp": n, "step": n} for n in range(5000)]
    for begin in range(0, 5000, 1000):
        client.call("POST", f"{API}/runs/log-batch", {"run_id": run, "metrics": points[begin : begin + 1000]})
    query: dict[str, Any] = {"run_id": run, "metric_key": "m", "max_results": 2400}
    found, sizes = [], []
    while True:
        page = client.call("GET", f"{API}/metrics/get-history", query=query)
        found += [point["step"] for point in page["metrics"]]
        sizes.append(len(page["metrics"]))
        if "next_page_token" not in page:
            break
        query["page_token"] = page["next_page_token"]
    assert (found, sizes) == (list(range(5000)), [2400, 2400, 200])
    assert client.call("GET", f"{API}/metrics/get-history", query={"run_id": run, "metric_key": "none"}) == {}


PROMPT = {
    "run_name": "tried",
    "prompt_template": "Say {{word}}.",
    "prompt_parameters": [{"key": "word", "value": "ahoi"}],
    "model_route": "chat",
    "model_parameters": [{"key": "temperature", "value": 0.1}],
    "model_input": "Say ahoi.",
    "model_output": "Ahoi!",
    "model_output_parameters": [{"key": "latency", "value": "100"}],
    "mlflow_version": "3.17.0",
    "user_id": "ann",
    "start_time": 456,
}


def test_a_prompt_that_was_tried_on_mlflows_page_is_kept_as_a_run_with_its_table(client: Client) -> None:
    within = experiment(client, "prompts")
    made = client.call("POST", f"{AJAX}/runs/create-promptlab-run", {"experiment_id": within, **PROMPT})["run"]
    assert (made["info"]["run_name"], made["info"]["status"], made["info"]["user_id"]) == ("tried", "FINISHED", "ann")
    params = {pair["key"]: pair["value"] for pair in made["data"]["params"]}
    assert params == {"temperature": "0.1", "model_route": "chat", "prompt_template": "Say {{word}}."}
    tags = {pair["key"]: pair["value"] for pair in made["data"]["tags"]}
    assert tags["mlflow.runSourceType"] == "PROMPT_ENGINEERING"
    query = {"run_id": made["info"]["run_id"], "path": "eval_results_table.json"}
    table = client.call("GET", "/get-artifact", query=query)
    assert table == {
        "columns": ["word", "prompt", "output", "latency"],
        "data": [["ahoi", "Say ahoi.", "Ahoi!", "100"]],
    }


@pytest.mark.parametrize(
    "name", ["prompt_template", "prompt_parameters", "model_route", "model_input", "mlflow_version"]
)
def test_a_prompt_without_what_it_needs_is_refused(client: Client, name: str) -> None:
    given = {key: value for key, value in PROMPT.items() if key != name}
    with pytest.raises(TwinloopError, match=f"CreatePromptlabRun request must specify {name}."):
        client.call("POST", f"{AJAX}/runs/create-promptlab-run", {"experiment_id": "0", **given})


def test_a_model_among_a_runs_files_is_listed_in_a_tag(client: Client) -> None:
    run = run_in(client, experiment(client, "old models"))
    about = '{"artifact_path": "model", "flavors": {}, "utc_time_created": "now", "run_id": "' + run + '"}'
    for _ in range(2):
        client.call("POST", f"{API}/runs/log-model", {"run_id": run, "model_json": about})
    assert client.runs.get(run)["tags"]["mlflow.log-model.history"].count('"artifact_path"') == 2
    for wrong in ("{", "{}"):
        with pytest.raises(TwinloopError, match=r"Malformed model info|missing mandatory fields"):
            client.call("POST", f"{API}/runs/log-model", {"run_id": run, "model_json": wrong})


ARCHIVING = ("mlflow.trace.archivalRetention", '{"type": "duration", "value": %s}')
ARCHIVE_NOW = ("mlflow.trace.archiveNow", '{"older_than": %s}')


@pytest.mark.parametrize(("key", "form"), [ARCHIVING, ARCHIVE_NOW])
def test_how_long_traces_stay_unarchived_is_said_in_minutes_hours_or_days(client: Client, key: str, form: str) -> None:
    kept = experiment(client, key)
    for good in ('"12h"', '" 30d "'):
        tag = {"key": key, "value": form % good}
        client.call("POST", f"{API}/experiments/set-experiment-tag", {"experiment_id": kept, **tag})
        client.call("POST", f"{API}/experiments/create", {"name": f"{key} {good}", "tags": [tag]})
    for wrong, words in (
        (form % '"0d"', "must be in the form"),
        (form % '"1w"', "must be in the form"),
        (form % "30", "must be in the form"),
        (form % f'"{"1" * 32}d"', "at most 32 characters"),
        ("30d", "encoded as a JSON object"),
        ('["30d"]', "encoded as a JSON object"),
    ):
        tag = {"key": key, "value": wrong}
        with pytest.raises(TwinloopError, match=words):
            client.call("POST", f"{API}/experiments/set-experiment-tag", {"experiment_id": kept, **tag})
        with pytest.raises(TwinloopError, match=words):
            client.call("POST", f"{API}/experiments/create", {"name": "refused", "tags": [tag]})
    found = client.call("GET", f"{API}/experiments/get", query={"experiment_id": kept})["experiment"]
    assert found["tags"] == [{"key": key, "value": form % '" 30d "'}]


def test_archiving_everything_at_once_needs_no_duration_and_a_retention_does(client: Client) -> None:
    kept = {"experiment_id": experiment(client, "archived at once")}
    client.call("POST", f"{API}/experiments/set-experiment-tag", {**kept, "key": ARCHIVE_NOW[0], "value": "{}"})
    for wrong, words in (("{}", "must use type 'duration'"), ('{"type": "duration"}', "must be in the form")):
        with pytest.raises(TwinloopError, match=words):
            client.call("POST", f"{API}/experiments/set-experiment-tag", {**kept, "key": ARCHIVING[0], "value": wrong})
