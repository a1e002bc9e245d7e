"""NVIDIA's tritonclient against predict endpoints, over the Open Inference Protocol."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import urllib3

from tests.protocol.answering import Scripted, answering
from twinloop.control.releases.answers import PredictAnswer, PredictRequest
from twinloop.core.errors import InvalidInput
from twinloop.protocols.open_inference.routes import routes
from twinloop.version import __version__

triton = pytest.importorskip("tritonclient.http")
errors = pytest.importorskip("tritonclient.utils")

METADATA = {
    "inputs": [
        {"name": "distance", "datatype": "FP32", "shape": [-1]},
        {"name": "hour", "datatype": "INT64", "shape": [-1]},
        {"name": "carrier", "datatype": "BYTES", "shape": [-1]},
    ],
    "outputs": [
        {"name": "late", "datatype": "FP32", "shape": [-1]},
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
    ],
}


def _predict(request: PredictRequest) -> PredictAnswer:
    if "distance" not in request.columns:
        raise InvalidInput("The input distance is missing. Send it.")
    late = [None if value is None else value / 1000 for value in request.columns["distance"]]
    labels = [str(value) for value in request.columns.get("carrier", ["?"] * request.rows)]
    return PredictAnswer({"late": late, "label": labels}, request.rows)


@pytest.fixture(scope="module")
def target() -> Scripted:
    return Scripted("predict", answer=_predict, metadata=METADATA)


@pytest.fixture(scope="module")
def url(target: Scripted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("open-inference")
    targets = {"flight-delay": target, "team/delay": target, "handbook": Scripted("chat")}
    with answering(folder, targets, lambda gateway: routes(gateway, lambda: True)) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    made = triton.InferenceServerClient(url.removeprefix("http://"))
    yield made
    made.close()


def tensor(name: str, values: Any, datatype: str, binary: bool) -> Any:
    array = np.asarray(values)
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def inputs(binary: bool) -> list[Any]:
    return [
        tensor("distance", np.array([500, 1500], np.float32), "FP32", binary),
        tensor("hour", np.array([5, 6], np.int64), "INT64", binary),
        tensor("carrier", np.array(["UA", "Ä✓"], np.object_), "BYTES", binary),
    ]


def infer(url: str, body: Any, model: str = "flight-delay", headers: dict[str, str] | None = None) -> tuple[int, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = urllib3.request("POST", f"{url}/v2/models/{model}/infer", body=raw, headers=headers or {}, retries=False)
    return answer.status, json.loads(answer.data)


def test_the_server_is_live_and_ready_and_says_what_it_is(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata() == {
        "name": "twinloop",
        "version": __version__,
        "extensions": ["binary_tensor_data"],
    }


@pytest.mark.parametrize("model", ["flight-delay", "team/delay"])
def test_a_model_says_its_inputs_and_outputs(client: Any, model: str) -> None:
    assert client.is_model_ready(model)
    assert client.is_model_ready(model, "1")
    assert client.get_model_metadata(model) == {"name": model, "versions": ["1"], "platform": "twinloop", **METADATA}
    assert client.get_model_metadata(model, "1")["versions"] == ["1"]


def test_models_and_versions_that_do_not_answer_are_not_found(client: Any) -> None:
    assert not client.is_model_ready("nope")
    assert not client.is_model_ready("handbook")
    assert not client.is_model_ready("flight-delay", "7")
    with pytest.raises(errors.InferenceServerException, match="no predict endpoint"):
        client.get_model_metadata("nope")
    with pytest.raises(errors.InferenceServerException, match="does not answer now"):
        client.infer("flight-delay", inputs(True), "7")


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_tensors_go_and_come_as_bytes_and_as_json(
    client: Any, target: Scripted, binary_in: bool, binary_out: bool
) -> None:
    wanted = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("late", "label")]
    answer = client.infer("flight-delay", inputs(binary_in), outputs=wanted, request_id="42")
    assert answer.as_numpy("late").tolist() == [0.5, 1.5]
    label = answer.as_numpy("label").tolist()
    assert [value.decode() if isinstance(value, bytes) else value for value in label] == ["UA", "Ä✓"]
    body = answer.get_response()
    assert (body["id"], body["model_name"], body["model_version"]) == ("42", "flight-delay", "1")
    assert body["parameters"]["twinloop_release"] == "flight-delay@1"
    assert target.requests[-1].columns == {"distance": [500.0, 1500.0], "hour": [5, 6], "carrier": ["UA", "Ä✓"]}


def test_only_the_outputs_asked_for_come(client: Any) -> None:
    answer = client.infer("flight-delay", inputs(True), outputs=[triton.InferRequestedOutput("late")])
    assert [output["name"] for output in answer.get_response()["outputs"]] == ["late"]


def test_without_a_choice_all_outputs_come_as_bytes(client: Any) -> None:
    answer = client.infer("flight-delay", inputs(True), "1")
    assert answer.as_numpy("late").dtype == np.float32
    assert [output["name"] for output in answer.get_response()["outputs"]] == ["late", "label"]


def test_missing_values_go_as_nan_and_come_as_nan(client: Any, target: Scripted) -> None:
    column = tensor("distance", np.array([[np.nan], [1000]], np.float32), "FP32", True)
    late = client.infer("flight-delay", [column]).as_numpy("late")
    assert target.requests[-1].columns["distance"] == [None, 1000.0]
    assert np.isnan(late[0])
    assert late[1] == 1.0


def test_one_matrix_is_all_inputs_in_order(client: Any, target: Scripted) -> None:
    client.infer("flight-delay", [tensor("features", np.array([[1, 2, 3], [4, 5, 6]], np.float32), "FP32", True)])
    assert target.requests[-1].columns == {"distance": [1.0, 4.0], "hour": [2.0, 5.0], "carrier": [3.0, 6.0]}


@pytest.mark.parametrize(
    "datatype", ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "FP16", "FP64"]
)
@pytest.mark.parametrize("binary", [True, False])
def test_every_datatype_is_understood(client: Any, target: Scripted, datatype: str, binary: bool) -> None:
    if datatype == "FP16" and not binary:
        pytest.skip("the client refuses FP16 as JSON")
    values = np.array([1, 0], errors.triton_to_np_dtype(datatype))
    distance = tensor("distance", np.array([1, 2], np.float32), "FP32", binary)
    client.infer("flight-delay", [distance, tensor("hour", values, datatype, binary)])
    assert target.requests[-1].columns["hour"] == [1, 0]


def test_the_answer_names_its_release_and_trace(url: str) -> None:
    body = {"inputs": [{"name": "distance", "shape": [1], "datatype": "FP32", "data": [1]}]}
    answer = urllib3.request("POST", f"{url}/v2/models/flight-delay/infer", json=body)
    assert answer.headers["x-twinloop-release"] == "flight-delay@1"
    assert len(answer.headers["x-twinloop-trace"]) == 32
    assert answer.json()["outputs"][0] == {"name": "late", "shape": [1], "datatype": "FP32", "data": [0.001]}


def test_the_target_says_what_does_not_fit(client: Any) -> None:
    with pytest.raises(errors.InferenceServerException, match="distance is missing"):
        client.infer("flight-delay", [tensor("hour", np.array([1], np.int64), "INT64", True)])


GOOD = {"name": "distance", "shape": [2], "datatype": "FP32", "data": [1, 2]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"inputs": NaN}',
        b'{"inputs": [{"name": "distance", "shape": [1], "datatype": "FP32", "data": [NaN]}]}',
        b'{"inputs": [{"name": "\xff", "shape": [1], "datatype": "FP32", "data": [1]}]}',
        {"inputs": []},
        {"inputs": "distance"},
        {"inputs": [{**GOOD, "shape": [3]}]},
        {"inputs": [{**GOOD, "shape": [-2]}]},
        {"inputs": [{**GOOD, "shape": [2**70]}]},
        {"inputs": [{**GOOD, "shape": [1.5]}]},
        {"inputs": [{**GOOD, "shape": []}]},
        {"inputs": [{**GOOD, "datatype": "FP8"}]},
        {"inputs": [{**GOOD, "data": ["a", "b"]}]},
        {"inputs": [{**GOOD, "data": [[1], 2]}]},
        {"inputs": [{**GOOD, "data": [{"a": 1}, 2]}]},
        {"inputs": [GOOD, GOOD]},
        {"inputs": [GOOD, {**GOOD, "name": "hour", "shape": [1], "data": [1]}]},
        {"inputs": [GOOD], "outputs": [{"name": "nope"}]},
        {"inputs": [{**GOOD, "parameters": {"binary_data_size": 8}}]},
    ],
)
def test_bad_requests_are_answered_in_the_protocols_error_form(url: str, body: Any) -> None:
    status, answer = infer(url, body)
    assert status == 400
    assert list(answer) == ["error"]
    assert isinstance(answer["error"], str)
    assert "Traceback" not in answer["error"]


@pytest.mark.parametrize("length", ["-1", "abc", "100000", "1.5"])
def test_a_wrong_binary_header_is_refused(url: str, length: str) -> None:
    status, answer = infer(url, {"inputs": [GOOD]}, headers={"Inference-Header-Content-Length": length})
    assert status == 400
    assert "Inference-Header-Content-Length" in answer["error"]


def test_compressed_bodies_are_refused_clearly(url: str) -> None:
    packed = gzip.compress(json.dumps({"inputs": [GOOD]}).encode())
    status, answer = infer(url, packed, headers={"Content-Encoding": "gzip"})
    assert status == 400
    assert "Send it uncompressed" in answer["error"]


@pytest.mark.parametrize("model", ["nope", "%2e%2e%2fflight-delay", "flight-delay%00", "handbook", "/etc/passwd"])
def test_names_that_are_no_predict_endpoint_are_not_found(url: str, model: str) -> None:
    status, answer = infer(url, {"inputs": [GOOD]}, model=model)
    assert status == 404
    assert list(answer) == ["error"]
