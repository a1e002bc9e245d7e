"""MLflow's messages against captured traffic of its own client and server."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from twinloop.control.tracking.model import DatasetInput, Metric, Run
from twinloop.core.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    NotOffered,
    PayloadTooLarge,
    StorageFull,
    TwinloopError,
    Unauthenticated,
)
from twinloop.protocols.mlflow import translate, wire
from twinloop.protocols.mlflow.errors import MLFLOW

CAPTURED = Path(__file__).parents[4].parent / "shared" / "data" / "conformance" / "mlflow" / "EXAMPLES.md"


class Exchange(NamedTuple):
    request: Any
    response: Any


def captured(title: str) -> Exchange:
    """The exchange under a heading, without the marks that stand for shortened lists."""
    if not CAPTURED.is_file():
        pytest.skip("the captured traffic is not beside this checkout")
    section = CAPTURED.read_text().split(f"## {title}", 1)[1].split("\n## ", 1)[0]
    lines = section.splitlines()
    request = next(line.removeprefix("REQ  ") for line in lines if line.startswith("REQ"))
    response = next(line.removeprefix("RESP ") for line in lines if line.startswith("RESP"))
    return Exchange(_whole(json.loads(request)), _whole(json.loads(response)))


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value if not (isinstance(item, str) and item.startswith("…"))]
    return value


def a_run(**fields: Any) -> Run:
    given: dict[str, Any] = {
        "id": "1" * 32,
        "experiment_id": "2",
        "name": "n",
        "user": "root",
        "status": "FINISHED",
        "started_ms": 1,
        "ended_ms": 2,
        "lifecycle": "active",
        "artifact_uri": "mlflow-artifacts:/2/1/artifacts",
        **fields,
    }
    return Run(**given)


def test_the_captured_batch_is_read() -> None:
    batch = msgspec.convert(captured("log-batch").request, wire.LogBatch)
    point = translate.metric(batch.metrics[0])
    assert point == Metric(
        "training_precision_score",
        1.0,
        1795253449618,
        0,
        model_id="m-2ccb575f19e94044b612521efcfcd121",
        dataset_name="dataset",
        dataset_digest="2bf3ace3",
    )


def test_a_created_run_looks_as_mlflow_shows_it() -> None:
    exchange = captured("create run")
    request = msgspec.convert(exchange.request, wire.CreateRun)
    assert (request.experiment_id, translate.tags(request.tags)["mlflow.user"]) == ("2", "root")
    shown = translate.run_json(a_run(status="RUNNING", ended_ms=None, tags={"a": "b"}))
    assert set(shown["info"]) == set(exchange.response["run"]["info"])
    assert set(shown["data"]) == set(exchange.response["run"]["data"])


def test_a_found_run_looks_as_mlflow_shows_it() -> None:
    exchange = captured("search runs")
    query = translate.runs_query(msgspec.convert(exchange.request, wire.SearchRuns))
    assert (query.filter, query.limit, query.view) == ("metrics.m > 0", 10000, "active")
    theirs = exchange.response["runs"][0]
    given = theirs["inputs"]["dataset_inputs"][0]
    item = DatasetInput(tags={"mlflow.data.context": "train"}, **given["dataset"])
    ours = translate.run_json(
        a_run(metrics=(Metric("m", 1.0, 3, 1),), params={"a": "1"}, tags={"t": "v"}, inputs=(item,))
    )
    for part in ("info", "data", "inputs", "outputs"):
        assert set(ours[part]) == set(theirs[part])
    assert ours["inputs"]["dataset_inputs"][0] == given
    assert set(ours["data"]["metrics"][0]) == set(theirs["data"]["metrics"][0])


def test_dataset_inputs_are_read() -> None:
    request = msgspec.convert(captured("log inputs").request, wire.LogInputs)
    item = translate.dataset_input(request.datasets[0])
    assert (item.name, item.digest, item.tags) == ("dataset", "2bf3ace3", {"mlflow.data.context": "train"})


@pytest.mark.parametrize(
    ("given", "value"), [(1, 1.0), (0.5, 0.5), ("1e3", 1000.0), ("Infinity", math.inf), ("-Infinity", -math.inf)]
)
def test_doubles_come_as_numbers_or_text(given: Any, value: float) -> None:
    point = msgspec.convert({"key": "m", "value": given, "timestamp": "12", "step": "-3"}, wire.MetricPoint)
    assert translate.metric(point) == Metric("m", value, 12, -3)


def test_nan_goes_both_ways() -> None:
    point = msgspec.convert({"key": "m", "value": "NaN", "timestamp": 1}, wire.MetricPoint)
    assert math.isnan(translate.metric(point).value)
    assert translate.metric_json(translate.metric(point))["value"] == "NaN"


@pytest.mark.parametrize("field", [{"value": "much"}, {"timestamp": "soon"}, {"step": "1.5"}, {"step": "9" * 40}])
def test_numbers_that_are_none_are_refused(field: dict[str, Any]) -> None:
    point = msgspec.convert({"key": "m", "value": 1, "timestamp": 1} | field, wire.MetricPoint)
    with pytest.raises(InvalidInput):
        translate.metric(point)


@pytest.mark.parametrize(("name", "count"), [("metrics", 1001), ("params", 101), ("tags", 101)])
def test_batches_over_mlflows_limits_are_refused(name: str, count: int) -> None:
    item: dict[str, Any] = {"value": 1, "timestamp": 1} if name == "metrics" else {"value": "x"}
    batch = msgspec.convert({name: [{"key": f"k{n}", **item} for n in range(count)]}, wire.LogBatch)
    with pytest.raises(InvalidInput, match=f"at most {count - 1} {name}"):
        translate.check_batch(batch)


def test_a_param_may_come_once_in_a_batch() -> None:
    with pytest.raises(InvalidInput, match="Duplicate parameter keys"):
        translate.params([wire.Pair("a", "1"), wire.Pair("a", "1")])


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NotFound("x"), 404, "RESOURCE_DOES_NOT_EXIST"),
        (InvalidInput("x"), 400, "INVALID_PARAMETER_VALUE"),
        (PayloadTooLarge("x"), 413, "INVALID_PARAMETER_VALUE"),
        (Conflict("x"), 400, "RESOURCE_ALREADY_EXISTS"),
        (NotOffered("x"), 404, "ENDPOINT_NOT_FOUND"),
        (Unauthenticated("x"), 401, "UNAUTHENTICATED"),
        (StorageFull("x"), 500, "INTERNAL_ERROR"),
    ],
)
def test_errors_have_the_codes_mlflow_clients_branch_on(error: TwinloopError, status: int, code: str) -> None:
    answer = MLFLOW.error(error)
    assert answer.status_code == status
    assert json.loads(bytes(answer.body)) == {"error_code": code, "message": "x"}
