"""Inference requests and responses, without a server."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from twinloop.control.releases.answers import PredictAnswer
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.protocols.open_inference import translate
from twinloop.protocols.open_inference.wire import InferenceRequest, RequestOutput

METADATA = {
    "inputs": [
        {"name": "carrier", "datatype": "BYTES", "shape": [-1]},
        {"name": "distance", "datatype": "FP32", "shape": [-1]},
        {"name": "hour", "datatype": "INT64", "shape": [-1]},
    ],
    "outputs": [
        {"name": "late", "datatype": "FP32", "shape": [-1]},
        {"name": "label", "datatype": "BYTES", "shape": [-1, 1]},
    ],
}


def tensor(name: str, datatype: str, data: list[Any], shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data}


def parsed(*inputs: dict[str, Any], **fields: Any) -> translate.Parsed:
    return translate.parse_body(json.dumps({"inputs": list(inputs), **fields}).encode(), None)


def test_each_input_is_a_column() -> None:
    request = translate.predict_request(
        parsed(tensor("carrier", "BYTES", ["UA", "AA"]), tensor("distance", "FP32", [[1], [2]], [2, 1])), METADATA
    )
    assert request.rows == 2
    assert request.columns == {"carrier": ["UA", "AA"], "distance": [1.0, 2.0]}


def test_one_matrix_is_all_inputs_in_the_order_of_the_metadata() -> None:
    request = translate.predict_request(parsed(tensor("features", "FP32", [1, 2, 3, 4, 5, 6], [2, 3])), METADATA)
    assert request.columns == {"carrier": [1, 4], "distance": [2, 5], "hour": [3, 6]}


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ([], "no inputs"),
        ([tensor("a", "FP32", [1]), tensor("a", "FP32", [1])], "twice"),
        ([tensor("a", "FP32", [1, 2]), tensor("b", "FP32", [1])], "1 rows"),
        ([tensor("a", "FP32", [1, 2], [1, 2])], "single tensor of shape"),
        ([tensor("a", "FP32", [1, 2, 3, 4], [1, 2, 2])], "has the shape"),
        ([tensor("a", "FP32", [1, 2], [3])], "needs 3"),
        ([tensor("a", "FLOAT", [1])], "datatype"),
        ([{"name": "a", "datatype": "FP32", "shape": [1]}], "no data"),
        ([{"name": "a", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}}], "0 bytes are left"),
        ([{**tensor("a", "FP32", [1]), "parameters": {"binary_data_size": 4}}], "both"),
    ],
)
def test_requests_that_are_not_rows_are_refused(inputs: list[Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        translate.predict_request(parsed(*inputs), METADATA)


def binary_body() -> tuple[bytes, int]:
    distance = np.array([1.5, 2.5], np.float32).tobytes()
    carrier = b"\x02\x00\x00\x00UA\x02\x00\x00\x00AA"
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "distance",
                    "datatype": "FP32",
                    "shape": [2],
                    "parameters": {"binary_data_size": len(distance)},
                },
                tensor("hour", "INT64", [5, 6]),
                {
                    "name": "carrier",
                    "datatype": "BYTES",
                    "shape": [2],
                    "parameters": {"binary_data_size": len(carrier)},
                },
            ]
        }
    ).encode()
    return head + distance + carrier, len(head)


def test_raw_tensors_follow_the_json_in_order() -> None:
    body, length = binary_body()
    request = translate.predict_request(translate.parse_body(body, str(length)), METADATA)
    assert request.columns == {"distance": [1.5, 2.5], "hour": [5, 6], "carrier": ["UA", "AA"]}


def test_bytes_that_no_input_claims_are_refused() -> None:
    body, length = binary_body()
    with pytest.raises(InvalidInput, match="3 bytes follow"):
        translate.predict_request(translate.parse_body(body + b"abc", str(length)), METADATA)


@pytest.mark.parametrize("length", ["-1", "x", "99999", "1e3", "", "²"])
def test_a_wrong_json_length_is_refused(length: str) -> None:
    with pytest.raises(InvalidInput, match="Inference-Header-Content-Length"):
        translate.parse_body(b"{}", length)


def answered() -> translate.Answered:
    answer = PredictAnswer({"late": [0.25, None], "label": ["no", "yes"]}, 2)
    return translate.Answered("flight-delay", "3", answer, {"twinloop_release": "flight-delay@3"})


def test_all_outputs_answer_when_none_is_chosen() -> None:
    encoded = translate.inference_response(InferenceRequest([], id="42"), METADATA, answered())
    body = json.loads(encoded.body)
    assert encoded.json_length is None
    assert (body["id"], body["model_name"], body["model_version"]) == ("42", "flight-delay", "3")
    assert body["outputs"] == [
        {"name": "late", "shape": [2], "datatype": "FP32", "data": [0.25, None]},
        {"name": "label", "shape": [2, 1], "datatype": "BYTES", "data": ["no", "yes"]},
    ]


def test_one_output_can_be_json_and_another_raw() -> None:
    request = InferenceRequest([], outputs=[RequestOutput("label"), RequestOutput("late", {"binary_data": True})])
    encoded = translate.inference_response(request, METADATA, answered())
    assert encoded.json_length is not None
    body = json.loads(encoded.body[: encoded.json_length])
    assert [output["name"] for output in body["outputs"]] == ["label", "late"]
    assert body["outputs"][1]["parameters"] == {"binary_data_size": 8}
    late = np.frombuffer(encoded.body[encoded.json_length :], np.float32)
    assert late[0] == 0.25
    assert np.isnan(late[1])


def test_the_request_can_ask_for_raw_outputs_at_large() -> None:
    request = InferenceRequest([], parameters={"binary_data_output": True})
    encoded = translate.inference_response(request, METADATA, answered())
    assert encoded.body.endswith(b"\x02\x00\x00\x00no\x03\x00\x00\x00yes")


def test_a_vector_per_row_is_a_matrix() -> None:
    answer = PredictAnswer({"shares": [[0.1, 0.9], [0.4, 0.6]]}, 2)
    encoded = translate.inference_response(InferenceRequest([]), {}, translate.Answered("m", "1", answer, {}))
    assert json.loads(encoded.body)["outputs"][0]["shape"] == [2, 2]


def test_an_unknown_output_is_refused_before_anything_is_computed() -> None:
    with pytest.raises(InvalidInput, match="It has: late, label"):
        translate.check_outputs(InferenceRequest([], outputs=[RequestOutput("nope")]), METADATA)


def test_only_versions_that_answer_now_can_be_asked_for() -> None:
    translate.check_version("m", "3", ["3", "4"])
    translate.check_version("m", None, ["3"])
    with pytest.raises(NotFound, match="does not answer now"):
        translate.check_version("m", "2", ["3"])


TENSORS = {
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 2, 2]}],
    "outputs": [{"name": "prediction", "datatype": "FP32", "shape": [-1, 1, 2]}],
}


def test_an_input_of_several_dimensions_is_one_column_of_lists_under_any_name() -> None:
    for name in ("image", "input-0"):
        found = translate.predict_request(parsed(tensor(name, "FP32", list(range(8)), [2, 2, 2])), TENSORS)
        assert (found.columns, found.rows) == ({"image": [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]}, 2)
    nested = tensor("image", "FP32", [[[0, 1], [2, 3]]], [1, 2, 2])
    assert translate.predict_request(parsed(nested), TENSORS).columns == {"image": [[[0, 1], [2, 3]]]}


def test_several_tensors_keep_their_names() -> None:
    metadata = {"inputs": [*TENSORS["inputs"], {"name": "n", "datatype": "INT64", "shape": [-1]}]}
    both = (tensor("image", "FP32", [1, 2, 3, 4], [1, 2, 2]), tensor("n", "INT64", [7]))
    assert translate.predict_request(parsed(*both), metadata).columns == {"image": [[[1, 2], [3, 4]]], "n": [7]}


@pytest.mark.parametrize("shape", [[8], [2, 4], [1, 2, 4], [2, 2, 1, 2]])
def test_a_tensor_of_another_shape_is_refused_with_the_one_wanted(shape: list[int]) -> None:
    with pytest.raises(InvalidInput, match=r"Send \[-1, 2, 2\]"):
        translate.predict_request(parsed(tensor("image", "FP32", list(range(8)), shape)), TENSORS)


def test_answers_of_several_dimensions_keep_their_shape() -> None:
    answer = PredictAnswer({"prediction": [[[1.0, 2.0]], [[3.0, 4.0]]]}, 2)
    body = json.loads(
        translate.inference_response(InferenceRequest([]), TENSORS, translate.Answered("m", "1", answer, {})).body
    )
    [output] = body["outputs"]
    assert (output["shape"], output["data"]) == ([2, 1, 2], [1.0, 2.0, 3.0, 4.0])
