from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ml.packaged import mlmodel, numbers, tensor, xgboost_flavors
from twinloop.core.errors import InvalidInput
from twinloop.ml.training.mlmodel import LIMIT, read_mlmodel

pytest.importorskip("yaml", reason="PyYAML is not installed: pip install 'twinloop[ml]'")

AS_THE_CLIENT_WRITES = b"""\
artifact_path: mlflow-artifacts:/1/models/m-1/artifacts
flavors:
  python_function:
    data: model.ubj
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.xgboost
    python_version: 3.11.7
  xgboost:
    code: null
    data: model.ubj
    model_class: xgboost.sklearn.XGBClassifier
    model_format: ubj
    xgb_version: 3.2.0
is_signature_from_type_hint: false
mlflow_version: 3.17.2
model_size_bytes: 15759
saved_input_example_info:
  artifact_path: input_example.json
  pandas_orient: split
  serving_input_path: serving_input_example.json
  type: dataframe
signature:
  inputs: '[{"type": "double", "name": "petal length", "required": true}, {"type":
    "long", "name": "n", "required": false}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'
  params: '[{"name": "k", "default": NaN, "shape": null, "type": "double"}]'
utc_time_created: '2026-11-21 15:39:16.553642'
"""


def test_what_the_client_writes_is_read() -> None:
    found = read_mlmodel(AS_THE_CLIENT_WRITES)
    assert found.loader == "mlflow.xgboost"
    assert found.python_version == "3.11.7"
    assert found.inputs is not None
    assert found.outputs is not None
    assert [(field.name, str(field), field.required) for field in found.inputs] == [
        ("petal length", "float64", True),
        ("n", "int64", False),
    ]
    assert [(field.name, field.type, field.shape) for field in found.outputs] == [("prediction", "int64", ())]
    assert [(param.name, param.default) for param in found.params] == [("k", None)]
    assert found.example is not None
    assert (found.example.path, found.example.form) == ("serving_input_example.json", "serving")


@pytest.mark.parametrize(
    ("inputs", "fields"),
    [
        (tensor("float32", -1, 3), [("input", "float32", (3,))]),
        (tensor("float32", -1, 2, -1, name="image"), [("image", "float32", (2, -1))]),
        (tensor("<U10", -1), [("input", "string", ())]),
        (tensor("datetime64[ns]", -1), [("input", "datetime", ())]),
        ([{"type": "double"}, {"type": "string"}], [("0", "float64", ()), ("1", "string", ())]),
        (numbers("a", type="integer") + numbers("b", type="float"), [("a", "int32", ()), ("b", "float32", ())]),
        ([{"type": "array", "name": "tags", "items": {"type": "string"}}], [("tags", "array", ())]),
    ],
)
def test_columns_and_tensors_with_and_without_names(
    inputs: list[dict[str, object]], fields: list[tuple[str, str, tuple[int, ...]]]
) -> None:
    found = read_mlmodel(mlmodel(xgboost_flavors(), inputs)).inputs
    assert found is not None
    assert [(field.name, field.type, field.shape) for field in found] == fields


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "not YAML"),
        (b"a: [1, 2", "not YAML"),
        (b"when: 2020-99-99", "not YAML"),
        (b"!!python/object/apply:os.system [echo]", "not YAML"),
        (b"just text", "no flavors"),
        (b"flavors: [xgboost]", "no flavors"),
        (b"a: &a [x]\nflavors: {x: {y: *a}}", "aliases"),
        (b"[" * 100_000, "deeper"),
        (b"- 1\n" * 300_000, "larger"),
        (b" " * (LIMIT + 1), "bytes"),
        (b"flavors: {x: {}}\nsignature: {inputs: '[1'}", "not JSON"),
        (b"flavors: {x: {}}\nsignature: {inputs: '{}'}", "not a list"),
        (b"flavors: {x: {}}\nsignature: {inputs: '[3]'}", "Entry 0"),
        (b'flavors: {x: {}}\nsignature: {inputs: \'[{"type": "tensor"}]\'}', "no tensor-spec"),
        (mlmodel({"x": {}}, tensor("f", *([1] * 20))), "8 dimensions"),
        (mlmodel({"x": {}}, numbers("a", "a")), "twice"),
    ],
)
def test_what_is_no_mlmodel_file_is_refused_with_a_reason(content: bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        read_mlmodel(content)


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    with pytest.raises(InvalidInput, match="aliases"):
        read_mlmodel("\n".join(lines).encode())


@given(st.binary(max_size=300) | st.text("{}[]:-&*!'\"\n ax1", max_size=300).map(str.encode))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        read_mlmodel(b"flavors: {}\n" + content)
