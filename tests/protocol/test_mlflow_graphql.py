"""MLflow's ``/graphql``: the searches of the REST interface, several in one request."""

from __future__ import annotations

import http.client
import json
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pytest

from tests import peer
from tests.serving import ServerProcess

STARTED = 1_795_300_000_001
TYPE = "{ kind name ofType { kind name ofType { kind name } } }"
TYPES = (
    f"{{ __schema {{ types {{ kind name fields {{ name args {{ name type {TYPE} }} type {TYPE} }}"
    f" inputFields {{ name type {TYPE} }} enumValues {{ name }} }} }} }}"
)
EVERYTHING = """
query Everything($run: String, $experiment: String) {
  test(inputString: "x") { output __typename }
  mlflowGetExperiment(input: {experimentId: $experiment}) {
    apiError { code }
    experiment { name artifactLocation lifecycleStage tags { key value } effectiveTraceArchivalRetention }
  }
  mlflowGetRun(input: {runId: $run}) { run {
    info { runId runUuid runName experimentId userId status startTime endTime artifactUri lifecycleStage }
    data { params { key value } tags { key value } }
    inputs { datasetInputs { tags { key value } dataset { name digest sourceType source schema profile } }
      modelInputs { modelId } }
    outputs { modelOutputs { modelId step } }
    experiment { name }
    modelVersions { name version userId currentStage description source runId status statusMessage tags { key } runLink aliases
      modelId modelParams { name } modelMetrics { key } deploymentJobState { jobId currentTaskName } }
  } }
  history: mlflowGetMetricHistoryBulkInterval(input: {runIds: [$run], metricKey: "loss"}) {
    metrics { key value timestamp step runId }
  }
  mlflowListArtifacts(input: {runUuid: $run}) { rootUri files { path isDir fileSize } nextPageToken }
  mlflowSearchModelVersions(input: {filter: "name = 'none'"}) { modelVersions { name } nextPageToken }
  mlflowSearchRuns(input: {experimentIds: [$experiment], maxResults: 3, filter: "params.depth = '3'"}) {
    runs { info { runId } data { metrics { key value timestamp step datasetName modelId runId } } }
  }
}
"""


class Asked(NamedTuple):
    status: int
    json: Any


class Mlflow:
    """Asks one server, by REST for what is to be there and by GraphQL."""

    def __init__(self, url: str, key: str = "") -> None:
        self._place = urlsplit(url).netloc
        self._headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Asked:
        connection = http.client.HTTPConnection(self._place, timeout=60)
        try:
            connection.request(method, path, body, self._headers | headers)
            answer = connection.getresponse()
            return Asked(answer.status, json.loads(answer.read()))
        finally:
            connection.close()

    def rest(self, path: str, **body: Any) -> Any:
        status, found = self.send("POST", f"/api/2.0/mlflow/{path}", json.dumps(body).encode())
        assert status == 200, found
        return found

    def ask(self, query: str, operation: str | None = None, **variables: Any) -> Any:
        body = {"query": query, "operationName": operation, "variables": variables}
        status, found = self.send("POST", "/graphql", json.dumps(body).encode())
        assert status == 200, found
        assert set(found) == {"data", "errors"}
        return found

    def data(self, query: str, **variables: Any) -> Any:
        found = self.ask(query, **variables)
        assert found["errors"] is None
        return found["data"]

    def start(self) -> tuple[str, str]:
        """A new experiment and a run in it."""
        name = f"graphql {secrets.token_hex(6)}"
        experiment = self.rest("experiments/create", name=name, tags=[{"key": "team", "value": "a"}])["experiment_id"]
        made = self.rest("runs/create", experiment_id=experiment, run_name="one", user_id="me", start_time=STARTED)
        return experiment, made["run"]["info"]["run_id"]


@pytest.fixture
def mlflow(server: ServerProcess) -> Mlflow:
    return Mlflow(server.url)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("keys") / "home") as running:
        yield running


def fill(mlflow: Mlflow, name: str = "") -> tuple[str, str]:
    """A run with points, a dataset and a model version."""
    experiment, run = mlflow.start()
    for step in range(5):
        mlflow.rest("runs/log-metric", run_id=run, key="loss", value=step / 2, timestamp=100 + step, step=step)
    mlflow.rest("runs/log-metric", run_id=run, key="broken", value="NaN", timestamp=7, step=1)
    mlflow.rest("runs/log-parameter", run_id=run, key="depth", value="3")
    dataset = {"name": "d", "digest": "1", "source_type": "local", "source": "{}"}
    context = [{"key": "mlflow.data.context", "value": "training"}]
    mlflow.rest("runs/log-inputs", run_id=run, datasets=[{"dataset": dataset, "tags": context}])
    name = name or f"model {secrets.token_hex(6)}"
    mlflow.rest("registered-models/create", name=name)
    mlflow.rest("model-versions/create", name=name, source=f"runs:/{run}/model", run_id=run)
    return experiment, run


def test_a_run_is_read_with_its_experiment_and_its_model_versions(mlflow: Mlflow) -> None:
    name = f"model {secrets.token_hex(6)}"
    experiment, run = fill(mlflow, name)
    found = mlflow.data(
        "query ($run: String) { mlflowGetRun(input: {runId: $run}) { apiError { code } run { info { status startTime endTime }"
        " data { metrics { key value step } } experiment { experimentId } modelVersions { name version status } } } }",
        run=run,
    )["mlflowGetRun"]
    assert found == {
        "apiError": None,
        "run": {
            "info": {"status": "RUNNING", "startTime": str(STARTED), "endTime": "0"},
            "data": {
                "metrics": [
                    {"key": "broken", "value": None, "step": "1"},
                    {"key": "loss", "value": 2.0, "step": "4"},
                ]
            },
            "experiment": {"experimentId": experiment},
            "modelVersions": [{"name": name, "version": "1", "status": "READY"}],
        },
    }


def test_runs_and_datasets_are_searched_as_mutations_too(mlflow: Mlflow) -> None:
    experiment, run = fill(mlflow)
    found = mlflow.data(
        "mutation ($of: [String]) { mlflowSearchRuns(input: {experimentIds: $of, runViewType: ALL, orderBy: []})"
        " { runs { info { runId } } nextPageToken }"
        " mlflowSearchDatasets(input: {experimentIds: $of}) { datasetSummaries { name digest context experimentId } } }",
        of=[experiment],
    )
    assert found == {
        "mlflowSearchRuns": {"runs": [{"info": {"runId": run}}], "nextPageToken": ""},
        "mlflowSearchDatasets": {
            "datasetSummaries": [{"name": "d", "digest": "1", "context": "training", "experimentId": experiment}]
        },
    }


def test_a_folder_of_a_run_is_listed_with_sizes_as_text(mlflow: Mlflow) -> None:
    experiment, run = mlflow.start()
    place = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts"
    for path in ("a.txt", "folder/b.txt"):
        assert mlflow.send("PUT", f"{place}/{path}", b"hello").status == 200
    query = "query ($run: String) { mlflowListArtifacts(input: {runId: $run}) { files { path isDir fileSize } } }"
    assert mlflow.data(query, run=run)["mlflowListArtifacts"]["files"] == [
        {"path": "a.txt", "isDir": False, "fileSize": "5"},
        {"path": "folder", "isDir": True, "fileSize": "0"},
    ]


def test_a_part_that_is_not_found_leaves_the_others_answered(mlflow: Mlflow) -> None:
    found = mlflow.ask(
        '{ mlflowGetRun(input: {runId: "nothing"}) { run { info { runId } } } test(inputString: "x") { output } }'
    )
    assert found["data"] == {"mlflowGetRun": None, "test": {"output": "x"}}
    assert len(found["errors"]) == 1
    assert found["errors"][0].startswith("Run with id=nothing not found")


def test_the_operation_that_is_named_is_executed(mlflow: Mlflow) -> None:
    two = (
        'query A { test(inputString: "a") { output } } '
        'mutation B @component(name: "x") { testMutation(inputString: "b") { output } }'
    )
    assert mlflow.ask(two, "B") == {"data": {"testMutation": {"output": "b"}}, "errors": None}
    assert mlflow.ask(two)["data"] is None
    assert "Unknown operation" in mlflow.ask(two, "C")["errors"][0]


def test_a_query_may_stand_in_the_address(mlflow: Mlflow) -> None:
    asked = mlflow.send("GET", "/graphql?query=" + quote('{test(inputString: "ü") {output}}'))
    assert asked == (200, {"data": {"test": {"output": "ü"}}, "errors": None})


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("{ test", "Syntax Error"),
        ("{ nothing }", "Cannot query field"),
        ("subscription { test { output } }", "subscription"),
        ("{ test(inputString: 3) { output } }", "String cannot represent"),
        ('{ mlflowSearchModelVersions(input: {maxResults: "x"}) { nextPageToken } }', "LongString cannot represent"),
        ("{ mlflowGetExperiment { experiment { name } } }", "Missing value for required parameter 'experiment_id'"),
        ("{" + " ".join(f"a{i}: __typename" for i in range(11)) + "}", "at most 10 root fields, got 11"),
        ("{ test { " + " ".join(f"a{i}: output" for i in range(11)) + " } }", "at most 10 aliases, got 11"),
        (
            "{ test { ...A ...B } } fragment A on Test { "
            + " ".join(f"a{i}: output" for i in range(6))
            + " } fragment B on Test { "
            + " ".join(f"b{i}: output" for i in range(6))
            + " }",
            "at most 10 aliases, got 12",
        ),
        ("{ a " * 11 + "}" * 11, "exceeds maximum depth of 10"),
        ("{ test { ...A } } fragment A on Test { output { ...A } }", "exceeds maximum depth of 10"),
        ("{ test { " + "output " * 1000 + "} }", "exceeds maximum total selections of 1000"),
        ("{ __typename } fragment A on Test { " + "output " * 1001 + "}", "exceeds maximum total selections of 1000"),
        ("{ test(inputString: " + "[" * 5000 + "]" * 5000 + ") { output } }", "Syntax Error"),
        ("#" * 200_000, "more than 100000"),
    ],
)
def test_a_bad_query_is_told_what_is_wrong_with_it(mlflow: Mlflow, query: str, says: str) -> None:
    found = mlflow.ask(query)
    assert not any((found["data"] or {}).values())
    assert says in found["errors"][0]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"{}", b'{"query": 3}', b'{"query": "{a}", "variables": 3}']
)
def test_a_body_that_holds_no_query_is_refused_as_by_rest(mlflow: Mlflow, body: bytes) -> None:
    status, found = mlflow.send("POST", "/graphql", body)
    assert (status, found["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_a_form_of_another_site_cannot_ask(mlflow: Mlflow) -> None:
    asked = mlflow.send("POST", "/graphql", b'{"query": "{ __typename }"}', **{"content-type": "text/plain"})
    assert asked.status == 400
    assert "Content-Type" in asked.json["message"]


def test_a_server_with_keys_asks_for_one(locked: ServerProcess) -> None:
    body = json.dumps({"name": "boss", "role": "admin"}).encode()
    secret = Mlflow(locked.url).send("POST", "/api/v1/keys", body).json["secret"]
    query = b'{"query": "{ mlflowGetExperiment(input: {experimentId: \\"0\\"}) { experiment { name } } }"}'
    assert Mlflow(locked.url).send("POST", "/graphql", query).status == 401
    asked = Mlflow(locked.url, secret).send("POST", "/graphql", query)
    assert asked.json == {"data": {"mlflowGetExperiment": {"experiment": {"name": "Default"}}}, "errors": None}


def test_a_query_that_takes_long_holds_up_nobody(mlflow: Mlflow) -> None:
    dear = "{ __typename } fragment F on MlflowRunExtension {" + "experiment { tags { key } } " * 330 + "}"
    mlflow.data("{ __typename }")
    waited = []
    with ThreadPoolExecutor(3) as others:
        asked = [others.submit(mlflow.ask, dear) for _ in range(3)]
        while not all(one.done() for one in asked):
            begun = time.perf_counter()
            mlflow.rest("experiments/search", max_results=1)
            waited.append(time.perf_counter() - begun)
        assert all(one.result()["data"] is None for one in asked)
    assert max(waited) < 0.7, waited  # each of them takes about a second of one core


@pytest.mark.slow
@pytest.mark.skipif(not peer.HERE, reason=peer.WHY_NOT)
def test_types_and_answers_are_those_of_the_real_mlflow(mlflow: Mlflow, tmp_path: Path) -> None:
    with peer.MlflowServer(tmp_path) as real:
        (types, answers), expected = compared(mlflow), compared(Mlflow(real.url))
    assert types == expected[0]
    assert answers == expected[1]


def compared(mlflow: Mlflow) -> tuple[Any, Any]:
    """The types of a server and what it answers about a run, without what differs between any two servers."""
    name = "comparison of answers"
    experiment, run = fill(mlflow, name)
    ids = {"run": run, "experiment": experiment}
    answers = mlflow.data(EVERYTHING, **ids)
    title = answers["mlflowGetExperiment"]["experiment"]["name"]
    for found in answers["mlflowSearchRuns"]["runs"]:
        found["data"]["metrics"].sort(key=lambda metric: metric["key"])
    text = json.dumps(answers, sort_keys=True).replace(run, "RUN").replace(title, "TITLE")
    text = text.replace(f"artifacts:/{experiment}", "artifacts:/E").replace(f'Id": "{experiment}"', 'Id": "E"')
    types = {}
    for type in mlflow.data(TYPES)["__schema"]["types"]:
        if not type["name"].startswith("__"):
            types[type["name"]] = {
                "kind": type["kind"],
                "fields": {each["name"]: each["type"] for each in type["fields"] or []},
                "takes": {each["name"]: each["args"] for each in type["fields"] or []},
                "input": {each["name"]: each["type"] for each in type["inputFields"] or []},
                "values": sorted(each["name"] for each in type["enumValues"] or []),
            }
    return types, json.loads(text)
