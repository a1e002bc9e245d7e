"""MLflow's messages against captured traffic of its own client and server."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from twinloop.control.tracking.model import DatasetInput, Metric, Run
from twinloop.core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    NotOffered,
    PayloadTooLarge,
    Refused,
    StorageFull,
    TwinloopError,
    Unauthenticated,
    Unavailable,
)
from twinloop.protocols.mlflow import (
    evaluation_datasets_wire,
    issues,
    label_schemas,
    scorers_wire,
    traces_translate,
    translate,
    wire,
)
from twinloop.protocols.mlflow.errors import MLFLOW
from twinloop.protocols.mlflow.request import decode

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


def as_metric(point: Metric) -> Metric:
    """The point itself, whose type on the wire only renames a field."""
    return Metric(*msgspec.structs.astuple(point))


def test_the_captured_batch_is_read() -> None:
    batch = msgspec.convert(captured("log-batch").request, wire.LogBatch)
    assert as_metric(batch.metrics[0]) == Metric(
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
    [item] = translate.dataset_inputs(request.datasets)
    assert (item.name, item.digest, item.tags) == ("dataset", "2bf3ace3", {"mlflow.data.context": "train"})


def batch_of(point: dict[str, Any]) -> wire.LogBatch:
    return decode(
        json.dumps({"run_id": "r", "metrics": [{"key": "m", "value": 1, "timestamp": 1} | point]}).encode(),
        wire.LogBatch,
    )


@pytest.mark.parametrize(
    ("given", "value"), [(1, 1.0), (0.5, 0.5), ("1e3", 1000.0), ("Infinity", math.inf), ("-Infinity", -math.inf)]
)
def test_numbers_come_as_numbers_or_text(given: Any, value: float) -> None:
    batch = batch_of({"value": given, "timestamp": "12", "step": "-3"})
    assert [as_metric(point) for point in batch.metrics] == [Metric("m", value, 12, -3)]
    alone = decode(json.dumps({"key": "m", "value": given, "timestamp": "12"}).encode(), wire.LogMetric)
    assert (alone.value, alone.timestamp, alone.step) == (value, 12, 0)


def test_nan_goes_both_ways() -> None:
    [point] = batch_of({"value": "NaN"}).metrics
    assert math.isnan(point.value)
    assert translate.metric_json(point)["value"] == "NaN"
    assert [json.loads(msgspec.json.encode(shown)) for shown in translate.points_json([point], "r")] == [
        {"key": "m", "value": "NaN", "timestamp": 1, "step": 0, "run_id": "r"}
    ]


@pytest.mark.parametrize("field", [{"value": "much"}, {"timestamp": "soon"}, {"step": "1.5"}, {"step": "9" * 40}])
def test_numbers_that_are_none_are_refused(field: dict[str, Any]) -> None:
    [name] = field
    with pytest.raises(InvalidInput, match=f"for parameter 'metrics' supplied.*metrics.*{name}"):
        batch_of(field)
    with pytest.raises(InvalidInput, match=f"for parameter '{name}' supplied: Hint: Value was of type 'str'"):
        decode(json.dumps({"key": "m", "value": 1, "timestamp": 1} | field).encode(), wire.LogMetric)


@pytest.mark.parametrize("read", [translate.integer, translate.number, traces_translate.integer])
def test_text_that_is_no_number_is_shown_as_it_was_written(read: Callable[[str, str], float]) -> None:
    for given, quoted in (("soon", '"soon"'), ("", '""'), ('"', r'"\""'), ("x" * 50, f'"{"x" * 40}"')):
        with pytest.raises(InvalidInput, match=re.escape(f"Invalid value {quoted} for parameter 'at' supplied: ")):
            read(given, "at")


@pytest.mark.parametrize(
    ("type", "field", "rest"),
    [
        (scorers_wire.Register, "experiment_id", {"name": "s", "serialized_scorer": "{}"}),
        (scorers_wire.Named, "name", {"experiment_id": "0"}),
        (scorers_wire.Versioned, "name", {"experiment_id": "0"}),
        (scorers_wire.Schedule, "name", {"experiment_id": "0", "sample_rate": 1}),
        (evaluation_datasets_wire.Create, "name", {}),
        (evaluation_datasets_wire.Tags, "tags", {}),
        (evaluation_datasets_wire.Upsert, "records", {}),
        (issues.Create, "experiment_id", {"name": "i", "description": "d"}),
        (label_schemas.Create, "experiment_id", {"name": "l", "type": "FEEDBACK"}),
        (label_schemas.Named, "name", {"experiment_id": "0"}),
        (label_schemas.OfId, "schema_id", {}),
    ],
)
def test_text_that_must_be_there_is_missing_when_it_is_empty(type: Any, field: str, rest: dict[str, Any]) -> None:
    for given in ({}, {field: None}, {field: ""}):
        with pytest.raises(InvalidInput, match=f"Missing value for required parameter '{field}'"):
            decode(json.dumps(rest | given).encode(), type)
    decode(json.dumps(rest | {field: "x"}).encode(), type)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{}", "Missing value for required parameter 'name'"),
        (b'{"name": ""}', "Missing value for required parameter 'name'"),
        (b'{"name": null}', "Missing value for required parameter 'name'"),
        (b'{"name": 5}', "Invalid value 5 for parameter 'name' supplied: Hint: Value was of type 'int'"),
        (b'{"name": "x", "tags": "5"}', "Invalid value \"5\" for parameter 'tags' supplied"),
        (b'{"name": "x", "tags": [{"value": "v"}]}', r"Missing value for required parameter 'tags\[0\].key'"),
        (b"[]", "not a JSON object"),
        (b'"x"', "not a JSON object"),
        (b"{", "not valid JSON"),
        (b"\xff", "not valid JSON"),
    ],
)
def test_what_is_wrong_with_a_request_is_said_in_mlflows_words(body: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        decode(body, wire.CreateExperiment)


def test_a_request_that_is_encoded_twice_or_has_unknown_fields_is_read() -> None:
    assert decode(json.dumps(json.dumps({"name": "x"})).encode(), wire.CreateExperiment).name == "x"
    assert decode(b'{"name": "x", "more": [1], "tags": null}', wire.CreateExperiment).tags == []


@pytest.mark.parametrize(
    ("written", "kept"),
    [(None, None), ("", None), ("s3://bucket/a?x=1", "s3://bucket/a?x=1"), ("/tmp/a", "/tmp/a")],
)
def test_an_artifact_location_is_kept(written: str | None, kept: str | None) -> None:
    assert translate.artifact_location(written) == kept


def test_a_relative_artifact_location_lies_below_the_folder_the_server_was_started_in() -> None:
    assert translate.artifact_location("runs_here") == (Path.cwd() / "runs_here").as_posix()


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("s3://b/a#f", "URL can't include fragments or params"),
        ("http://b/a;p", "URL can't include fragments or params"),
        ("runs:/abc", "cannot be a runs:/ URI"),
        ("s3://b/a?x=../..", "Invalid query string"),
        ("s3://b/" + "a" * 2048, "Invalid artifact path length"),
    ],
)
def test_an_artifact_location_that_cannot_be_is_refused(written: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        translate.artifact_location(written)


@pytest.mark.parametrize(
    ("dataset", "tags", "message"),
    [
        (None, [], "must have a dataset"),
        ({"name": ""}, [], "Dataset name cannot be None"),
        ({"source": ""}, [], "Dataset source cannot be None"),
        ({"name": "x" * 501}, [], "'name' exceeds the maximum length of 500"),
        ({"digest": "x" * 37}, [], "'digest' exceeds the maximum length of 36"),
        ({"schema": "x" * 1_048_576}, [], "'schema' exceeds the maximum length of 1048575"),
        ({}, [wire.InputTag("", "v")], "InputTag key cannot be None"),
        ({}, [wire.InputTag("k", None)], "InputTag value cannot be None"),
        ({}, [wire.InputTag("k", "v" * 501)], "'value' exceeds the maximum length of 500"),
    ],
)
def test_a_dataset_input_that_cannot_be_is_refused(dataset: Any, tags: list[wire.InputTag], message: str) -> None:
    whole = {"name": "n", "digest": "d", "source_type": "code", "source": "{}"}
    given = None if dataset is None else wire.Dataset(**{**whole, **dataset})
    with pytest.raises(InvalidInput, match=message):
        translate.dataset_inputs([wire.DatasetInput(given, tags)])


def test_a_dataset_that_is_given_twice_is_kept_once() -> None:
    data = wire.Dataset("n", "d", "code", "{}")
    first, second = (
        wire.DatasetInput(data, [wire.InputTag("a", "1")]),
        wire.DatasetInput(data, [wire.InputTag("a", "2")]),
    )
    assert [item.tags for item in translate.dataset_inputs([first, second])] == [{"a": "1"}]


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
    assert json.loads(bytes(answer.body)).items() >= {"error_code": code, "message": "x"}.items()


@pytest.mark.parametrize(
    ("error", "classified"),
    [
        (NotFound("x"), {"sqlstate": "KAM00", "error_class": "RESOURCE_NOT_FOUND"}),
        (InvalidInput("x"), {"sqlstate": "KAM00", "error_class": "INVALID_PARAMETER_VALUE"}),
        (StorageFull("x"), {"sqlstate": "XXM00", "error_class": "CLIENT_INTERNAL_ERROR"}),
        (Unauthenticated("x"), {}),
    ],
)
def test_errors_are_classified_as_mlflow_classifies_them(error: TwinloopError, classified: dict[str, str]) -> None:
    answer = json.loads(bytes(MLFLOW.error(error).body))
    assert {key: value for key, value in answer.items() if key not in ("error_code", "message")} == classified


def test_every_error_is_classified_as_in_mlflows_own_table() -> None:
    theirs = pytest.importorskip("mlflow.exceptions", reason="MLflow is not installed to compare with")
    if not hasattr(theirs.MlflowException("x"), "sqlstate"):
        pytest.skip("this MLflow does not classify its errors yet")
    for error in (NotFound, InvalidInput, Conflict, Refused, Unauthenticated, Forbidden, NotOffered, Unavailable):
        said = json.loads(bytes(MLFLOW.error(error("x")).body))
        code = theirs.ErrorCode.Value(said["error_code"])
        assert said == json.loads(theirs.MlflowException("x", code).serialize_as_json())
