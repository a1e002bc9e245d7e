"""GraphQL over the handlers of the REST interface: who asks, how often, and how much at most."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request

from twinloop.control.security.model import Principal, Role
from twinloop.core.errors import NotFound
from twinloop.protocols.http import Call, reply
from twinloop.protocols.mlflow import graphql_limits
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.graphql import endpoints
from twinloop.protocols.mlflow.graphql_answering import answer

Json = dict[str, Any]
RUNS = '{ mlflowSearchRuns(input: {experimentIds: ["1"]}) { runs { info { runId } experiment { name } modelVersions { name } } }}'
ANNA = Principal(name="anna", tenant="blue", role=Role.viewer)


def runs(count: int) -> list[Json]:
    return [{"info": {"run_id": f"r{number}", "experiment_id": "1"}} for number in range(count)]


class Rest:
    """Stands for the REST interface; ``asked`` are the bodies by endpoint."""

    def __init__(self, count: int) -> None:
        self.asked: list[tuple[str, Json]] = []
        self._answers: dict[str, Json] = {
            "runs/search": {"runs": runs(count)},
            "experiments/get": {"experiment": {"name": "e"}},
            "model-versions/search": {},
        }

    def __call__(self, endpoint: str, body: bytes, wait_s: float) -> Json:
        self.asked.append((endpoint, json.loads(body)))
        return self._answers[endpoint]

    def count(self, endpoint: str) -> int:
        return sum(name == endpoint for name, _ in self.asked)


def ask(handler: Callable[[Call], Any], query: str, **more: Any) -> Json:
    """Ask a server that has one endpoint of REST, as Anna."""
    posted = json.dumps({"query": query, **more}).encode()

    async def receive() -> Json:
        return {"type": "http.request", "body": posted}

    async def answered() -> Json:
        offered = endpoints([Endpoint("POST", "/api/2.0/mlflow/experiments/search-datasets", handler)])
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(posted)).encode())]
        scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "headers": headers}
        call = Call(Request(scope, receive), ANNA, 10_000)
        found: Json = json.loads((await offered[1].handler(call)).body)
        return found

    return asyncio.run(answered())


SEARCH = 'mutation { mlflowSearchDatasets(input: {experimentIds: ["1"]}) { datasetSummaries { name context } } }'


def test_a_handler_sees_the_caller_and_the_input_in_snake_case() -> None:
    seen = []

    async def handler(call: Call) -> Json:
        seen.append((call.who, json.loads(await call.body())))
        return {"dataset_summaries": [{"name": "d"}]}

    found = ask(handler, SEARCH)
    assert seen == [(ANNA, {"experiment_ids": ["1"]})]
    assert found["data"]["mlflowSearchDatasets"] == {"datasetSummaries": [{"name": "d", "context": ""}]}


def test_an_answer_that_was_encoded_already_is_read() -> None:
    async def handler(call: Call) -> Any:
        return reply({"dataset_summaries": [{"name": "d", "context": "c"}]})

    assert ask(handler, SEARCH)["data"]["mlflowSearchDatasets"]["datasetSummaries"] == [{"name": "d", "context": "c"}]


def test_errors_say_what_rest_says_and_nothing_of_what_nobody_foresaw(caplog: pytest.LogCaptureFixture) -> None:
    async def missing(call: Call) -> Json:
        raise NotFound("There is none.")

    async def broken(call: Call) -> Json:
        raise ZeroDivisionError("a secret")

    assert ask(missing, SEARCH) == {"data": {"mlflowSearchDatasets": None}, "errors": ["There is none."]}
    assert ask(broken, SEARCH)["errors"] == ["Something went wrong inside Twinloop; its log says what."]
    assert "a secret" in caplog.text


def test_the_experiment_of_many_runs_is_asked_for_once() -> None:
    rest = Rest(30)
    found = answer(rest, RUNS, None, None)
    assert found["errors"] is None
    assert len(found["data"]["mlflowSearchRuns"]["runs"]) == 30
    assert (rest.count("experiments/get"), rest.count("model-versions/search")) == (1, 30)


@pytest.mark.parametrize(
    ("limit", "most", "says"),
    [
        ("_LOOKUPS", 10, "more than 10 searches"),
        ("_FIELDS", 50, "more than 50 fields"),
        ("_SECONDS", 0.0, "longer than"),
    ],
)
def test_a_query_that_asks_for_too_much_is_answered_with_one_error(
    monkeypatch: pytest.MonkeyPatch, limit: str, most: float, says: str
) -> None:
    monkeypatch.setattr(graphql_limits, limit, most)
    found = answer(Rest(30), RUNS, None, None)
    assert found["data"] is None
    assert len(found["errors"]) == 1
    assert says in found["errors"][0]


def test_a_search_that_does_not_end_in_time_ends_the_query() -> None:
    def late(endpoint: str, body: bytes, wait_s: float) -> Json:
        assert 0 < wait_s <= 30
        raise TimeoutError

    found = answer(late, RUNS, None, None)
    assert found["data"] is None
    assert "longer than 30 seconds" in found["errors"][0]


@pytest.mark.parametrize("given", [7, "7", str(2**63 - 1)])
def test_a_long_is_taken_as_a_number_and_as_text(given: int | str) -> None:
    def versions(endpoint: str, body: bytes, wait_s: float) -> Json:
        assert json.loads(body) == {"max_results": int(given)}
        return {"model_versions": [{"name": "m", "creation_timestamp": 2**63 - 1}]}

    query = "query ($n: LongString) { mlflowSearchModelVersions(input: {maxResults: $n}) { modelVersions { creationTimestamp } }}"
    found = answer(versions, query, {"n": given}, None)
    literal = answer(versions, query.replace("($n: LongString)", "").replace("$n", json.dumps(given)), None, None)
    assert found == literal
    assert found["data"]["mlflowSearchModelVersions"]["modelVersions"] == [{"creationTimestamp": str(2**63 - 1)}]
