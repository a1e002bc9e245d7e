"""Packaged ONNX graphs: one matrix, a tensor for each column, tensors of any rank, and data kept outside the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.unit.ml.lane import Lane
from tests.unit.ml.packaged import Json, mlmodel, numbers, tensor
from tests.unit.ml.test_package_serving import ask, serve
from twinloop.core.errors import InvalidInput

pytest.importorskip("yaml", reason="PyYAML is not installed: pip install 'twinloop[ml]'")
onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FLAVORS = {"python_function": {"loader_module": "mlflow.onnx"}, "onnx": {"data": "model.onnx"}}
WEIGHTS = np.arange(6, dtype=np.float32).reshape(2, 3)


def graph(nodes: list[Any], inputs: list[Any], outputs: list[Any], held: dict[str, Any] | None = None) -> Any:
    held_ = [numpy_helper.from_array(value, name) for name, value in (held or {}).items()]
    made = helper.make_graph(nodes, "g", inputs, outputs, held_)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8)


def info(name: str, type: int, *shape: int | str | None) -> Any:
    return helper.make_tensor_value_info(name, type, list(shape))


def product(rows: int | str | None = None) -> Any:
    return graph(
        [helper.make_node("MatMul", ["x", "w"], ["z"])],
        [info("x", TensorProto.FLOAT, rows, 2)],
        [info("z", TensorProto.FLOAT, rows, 3)],
        {"w": WEIGHTS},
    )


def folder(model: Any, **described: Any) -> dict[str, bytes]:
    return {"MLmodel": mlmodel(FLAVORS, **described), "model.onnx": model.SerializeToString()}


@pytest.mark.parametrize(
    ("described", "columns"),
    [
        ({}, {"x": [[1, 2], [3, 4], [5, 6]]}),
        ({"inputs": tensor("float64", -1, 2)}, {"input": [[1, 2], [3, 4], [5, 6]]}),
        ({"inputs": tensor("float32", -1, -1, name="x")}, {"x": [[1, 2], [3, 4], [5, 6]]}),
        ({"inputs": numbers("a", "b")}, {"a": [1, 3, 5], "b": [2, 4, 6]}),
    ],
)
@pytest.mark.parametrize("rows", [None, "n", 1, 2])
async def test_one_matrix_however_its_rows_are_asked_for(
    lane: Lane, described: Json, columns: Json, rows: int | str | None
) -> None:
    target = await serve(lane, folder(product(rows), **described))
    answer = await ask(target, columns, 3)
    np.testing.assert_allclose(answer.columns["z"], np.array([[1, 2], [3, 4], [5, 6]]) @ WEIGHTS)
    assert target.metadata()["outputs"] == [{"name": "z", "datatype": "FP32", "shape": [-1, 3]}]
    await target.aclose()


async def test_tensors_that_lie_outside_the_graph_are_read_from_the_package_only(lane: Lane, tmp_path: Any) -> None:
    onnx.save_model(product(), str(tmp_path / "model.onnx"), save_as_external_data=True, size_threshold=0)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file() and path.name[0] != "t"}
    assert len(files) == 2
    target = await serve(lane, {**files, "MLmodel": mlmodel(FLAVORS), "requirements.txt": b"onnx\n"})
    answer = await ask(target, {"x": [[1, 1]]}, 1)
    np.testing.assert_allclose(answer.columns["z"], np.array([[1, 1]]) @ WEIGHTS)
    with pytest.raises(InvalidInput, match="not a whole ONNX model"):
        await serve(lane, {"model.onnx": files["model.onnx"], "MLmodel": mlmodel(FLAVORS)}, "without")


async def test_a_tensor_for_each_column_of_a_table(lane: Lane) -> None:
    model = graph(
        [helper.make_node("Mul", ["a", "b"], ["ab"]), helper.make_node("Identity", ["s"], ["said"])],
        [
            info("a", TensorProto.FLOAT, None, 1),
            info("b", TensorProto.FLOAT, None, 1),
            info("s", TensorProto.STRING, None, 1),
        ],
        [info("ab", TensorProto.FLOAT, None, 1), info("said", TensorProto.STRING, None, 1)],
    )
    columns = {"a": [1.5, 2.0], "b": [2.0, 3.0], "s": ["x", "ä"]}
    schema = [*numbers("a", "b"), {"type": "string", "name": "s", "required": True}]
    outputs = [*numbers("ab"), {"type": "string", "name": "said"}]
    for name, described in (("plain", {}), ("declared", {"inputs": schema, "outputs": outputs})):
        target = await serve(lane, folder(model, **described), name)
        answer = await ask(target, columns, 2)
        flat = {key: np.ravel(values).tolist() for key, values in answer.columns.items()}
        assert flat == {"ab": [3.0, 6.0], "said": ["x", "ä"]}
        if described:
            assert answer.columns == flat


async def test_a_classifier_whose_probabilities_are_maps(lane: Lane) -> None:
    classifier = helper.make_node(
        "LinearClassifier",
        ["x"],
        ["label", "chances"],
        domain="ai.onnx.ml",
        classlabels_ints=[7, 9],
        coefficients=[1.0, 0.0, 0.0, 1.0],
        intercepts=[0.0, 0.0],
        post_transform="SOFTMAX",
    )
    zipmap = helper.make_node("ZipMap", ["chances"], ["probabilities"], domain="ai.onnx.ml", classlabels_int64s=[7, 9])
    maps = helper.make_value_info(
        "probabilities",
        helper.make_sequence_type_proto(
            helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
        ),
    )
    model = graph(
        [classifier, zipmap], [info("x", TensorProto.FLOAT, None, 2)], [info("label", TensorProto.INT64, None), maps]
    )
    target = await serve(lane, folder(model, inputs=numbers("a", "b"), outputs=tensor("int64", -1)))
    answer = await ask(target, {"a": [3.0, 0.0], "b": [0.0, 3.0]}, 2)
    assert answer.columns["prediction"] == [7, 9]
    np.testing.assert_allclose(answer.columns["probabilities"], [[0.952574, 0.047426], [0.047426, 0.952574]], atol=1e-5)


async def test_a_tensor_of_several_dimensions_and_another_of_whole_numbers(lane: Lane) -> None:
    model = graph(
        [helper.make_node("ReduceSum", ["image"], ["sum"], keepdims=0), helper.make_node("Neg", ["n"], ["minus"])],
        [info("image", TensorProto.FLOAT, None, 2, 2), info("n", TensorProto.INT64, None)],
        [info("minus", TensorProto.INT64, None)],
    )
    target = await serve(lane, folder(model))
    answer = await ask(target, {"image": [[[1, 2], [3, 4]]], "n": [5]}, 1)
    assert answer.columns == {"minus": [-5]}
    with pytest.raises(InvalidInput, match=r"'image', row 0, must be a list of shape \[2, 2\]"):
        await ask(target, {"image": [[1, 2, 3, 4]], "n": [5]}, 1)


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ({"inputs": numbers("a", "b", "c")}, "has 3 inputs and the model takes 2"),
        ({"inputs": tensor("float32", -1, 3)}, r"float32\[3\] and the graph takes float32\[2\]"),
        ({"inputs": tensor("str", -1, 2)}, r"string\[2\] and the graph takes"),
        ({"inputs": [{"type": "string", "name": "a"}, {"type": "double", "name": "b"}]}, "takes numbers only"),
    ],
)
async def test_a_signature_the_graph_does_not_have_is_refused(lane: Lane, described: Json, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        await serve(lane, folder(product(), **described))


async def test_floating_numbers_are_not_cut_to_whole_ones(lane: Lane) -> None:
    model = graph(
        [helper.make_node("Neg", ["n"], ["minus"])],
        [info("n", TensorProto.INT64, None, 2)],
        [info("minus", TensorProto.INT64, None, 2)],
    )
    with pytest.raises(InvalidInput, match="float64"):
        await serve(lane, folder(model, inputs=tensor("float64", -1, 2)))
