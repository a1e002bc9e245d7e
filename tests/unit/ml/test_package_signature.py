"""What packaged models are given and what they answer, held against their signatures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from twinloop.control.releases.answers import PredictRequest
from twinloop.core.errors import InvalidInput, UpstreamError
from twinloop.ml.deployment.package_inputs import PackageInputs
from twinloop.ml.deployment.package_outputs import PackageOutputs, columns, described
from twinloop.ml.training.examples import read_example
from twinloop.ml.training.fields import Field

FIELDS = (
    Field("x", "float64"),
    Field("n", "int32"),
    Field("b", "bool"),
    Field("s", "string"),
    Field("t", "datetime"),
    Field("raw", "binary"),
    Field("extra", "float32", required=False),
)
ROW = {"x": 1.5, "n": 3, "b": True, "s": "ä", "t": "2013-08-01T12:00:00Z", "raw": "aGk="}


def given(fields: tuple[Field, ...], *rows: dict[str, Any]) -> dict[str, Any]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    request = PredictRequest({name: [row.get(name) for row in rows] for name in names}, len(rows))
    return dict(PackageInputs(fields).arrays(request))


def test_each_type_becomes_its_array_and_optional_inputs_may_be_left_out() -> None:
    found = given(FIELDS, ROW, {**ROW, "x": None, "s": None, "t": None})
    assert [(name, values.dtype.str) for name, values in found.items()] == [
        ("x", "<f8"), ("n", "<i4"), ("b", "|b1"), ("s", "|O"), ("t", "<M8[us]"), ("raw", "|O"),
    ]  # fmt: skip
    assert found["x"][0] == 1.5
    assert np.isnan(found["x"][1])
    assert found["t"].tolist()[1] is None
    assert str(found["t"][0]) == "2013-08-01T12:00:00.000000"
    assert found["raw"].tolist() == [b"hi", b"hi"]
    assert given(FIELDS, {**ROW, "extra": 7})["extra"].tolist() == [7.0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x": "1"}, r"Input 'x', row 1, must be a finite number or null \(float64\) and is str '1'"),
        ({"x": True}, r"Input 'x', row 1, must be a finite number or null \(float64\) and is bool 'True'"),
        ({"x": float("inf")}, "Input 'x', row 1, must be a finite number"),
        ({"x": 10**400}, "Input 'x', row 1, must be a finite number"),
        ({"extra": 1e39}, r"Input 'extra', row 1, must be a finite number or null \(float32\)"),
        ({"x": [1.0]}, "Input 'x', row 1, must be a finite number or null .* is list"),
        (
            {"n": 1.0},
            r"Input 'n', row 1, must be a whole number from -2147483648 to 2147483647 \(int32\) and is float '1.0'",
        ),
        ({"n": 2**31}, "Input 'n', row 1, must be a whole number from"),
        ({"n": None}, r"Input 'n', row 1, must be a whole number .* and is null"),
        ({"n": True}, "Input 'n', row 1, must be a whole number .* is bool"),
        ({"b": 1}, "Input 'b', row 1, must be true or false"),
        ({"b": None}, "Input 'b', row 1, must be true or false .* and is null"),
        ({"s": 5}, "Input 's', row 1, must be text or null"),
        ({"t": "yesterday"}, "Input 't', row 1, must be a time"),
        ({"t": 5}, "Input 't', row 1, must be a time"),
        ({"raw": "not base64!"}, "Input 'raw', row 1, must be bytes as base64"),
        ({"raw": None}, "Input 'raw', row 1, must be bytes as base64 .* is null"),
        ({"colour": "red"}, "There is no input 'colour'. Inputs are: x, n, b, s, t, raw, extra"),
    ],
)
def test_what_does_not_fit_is_named_with_its_row_and_what_was_expected(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        given(
            FIELDS, {**dict.fromkeys(change), **ROW, **({"extra": 0.0} if "extra" in change else {})}, {**ROW, **change}
        )


def test_a_missing_input_and_wrong_counts_are_named() -> None:
    with pytest.raises(InvalidInput, match=r"Input 's' is missing\. The model's signature requires it: send string"):
        given(FIELDS, {name: value for name, value in ROW.items() if name != "s"})
    inputs = PackageInputs((Field("x", "float64"),))
    with pytest.raises(InvalidInput, match="2 values for 1 rows"):
        inputs.arrays(PredictRequest({"x": [1, 2]}, 1))
    for rows in (0, 10_001):
        with pytest.raises(InvalidInput, match="1 to 10000 rows"):
            inputs.arrays(PredictRequest({"x": [1.0] * rows}, rows))


TENSOR = (Field("input", "float32", (2, -1)),)


def test_a_tensor_is_a_list_of_its_shape_in_every_row() -> None:
    found = given(TENSOR, {"input": [[1, 2, 3], [4, 5.5, None]]}, {"input": [[0, 0, 0], [1, 1, 1]]})["input"]
    assert (found.shape, found.dtype.name) == ((2, 2, 3), "float32")
    assert found[0, 1, 1] == 5.5
    assert np.isnan(found[0, 1, 2])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (5, r"row 1, must be a list of shape \[2, -1\] and has int '5'"),
        (None, "row 1, .* has null"),
        ([[1, 2, 3]], "row 1, .* has 1 values where 2 belong"),
        ([[1, 2, 3], [1, 2]], "row 1, .* has 2 values where 3 belong"),
        ([[1, 2], [1, 2]], "row 1, .* has 2 values where 3 belong"),
        ([[1, 2, 3], [1, 2, "x"]], "row 1, must be a finite number .* is str 'x'"),
        ([[1, 2, 3], [1, 2, [3]]], "row 1, must be a finite number .* is list"),
        ([[], []], "row 1, .* has 0 values"),
    ],
)
def test_a_tensor_of_another_shape_is_refused_by_its_row(value: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        given(TENSOR, {"input": [[1, 2, 3], [4, 5, 6]]}, {"input": value})


def arrays(**values: Any) -> dict[str, Any]:
    return {name: np.asarray(value) for name, value in values.items()}


def test_declared_outputs_come_first_under_their_names_and_in_their_types() -> None:
    found = arrays(prediction=np.array([1, 2], np.int32), probabilities=[[0.1, 0.9], [0.8, 0.2]])
    made = PackageOutputs((Field("species", "int64"),)).arrays(found, 2)
    assert list(made) == ["species", "probabilities"]
    assert made["species"].dtype == np.int64
    assert described(made) == [
        {"name": "species", "datatype": "INT64", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, 2]},
    ]
    assert PackageOutputs(None).arrays(found, 2).keys() == found.keys()


def test_a_matrix_is_told_apart_into_the_columns_that_were_declared() -> None:
    made = PackageOutputs((Field("lat", "float64"), Field("lon", "float64"))).arrays(
        arrays(prediction=np.array([[1, 2], [3, 4]], np.float32)), 2
    )
    assert columns(made) == {"lat": [1.0, 3.0], "lon": [2.0, 4.0]}


@pytest.mark.parametrize(
    ("declared", "found", "said"),
    [
        (
            Field("y", "int64"),
            {"prediction": [0.5, 1.0]},
            "declares the outputs y: int64 and the model answers prediction: float64",
        ),
        (Field("y", "float64", (3,)), {"prediction": [[0.5], [1.0]]}, r"y: float64\[3\] .* float64\[1\]"),
        (Field("y", "string"), {"prediction": [1, 2]}, "y: string .* int64"),
        (Field("y", "float64"), {"prediction": ["a", "b"]}, "y: float64"),
        (Field("y", "float64"), {"prediction": [1.0]}, r"shape \[1\] for 2 rows"),
        (Field("p", "float64"), {"p": [1 + 2j, 1j]}, "output 'p' as float64"),
    ],
)
def test_an_answer_that_is_not_as_declared_is_refused(declared: Field, found: dict[str, Any], said: str) -> None:
    with pytest.raises(UpstreamError, match=said):
        PackageOutputs((declared,)).arrays(arrays(**found), 2)


def test_answers_are_json_whatever_they_hold() -> None:
    found = {
        "f": np.array([np.nan, np.inf, 1.0]),
        "m": np.array([[np.nan, 1.0], [2.0, 3.0], [4.0, 5.0]]),
        "t": np.array(["2013-08-01", "NaT", "2013-08-02"], "datetime64[D]"),
        "o": np.array([None, b"hi", float("nan")], dtype=object),
        "s": np.array(["a", "b", "c"]),
    }
    assert columns(found) == {
        "f": [None, None, 1.0],
        "m": [[None, 1.0], [2.0, 3.0], [4.0, 5.0]],
        "t": ["2013-08-01", None, "2013-08-02"],
        "o": [None, "aGk=", None],
        "s": ["a", "b", "c"],
    }


COLUMNS = (Field("a", "float64"), Field("b", "string"))


@pytest.mark.parametrize(
    "content",
    [
        b'{"dataframe_split": {"columns": ["a", "b"], "data": [[1.5, "x"], [NaN, "y"]]}}',
        b'{"columns": ["a", "b"], "data": [[1.5, "x"], [null, "y"]]}',
        b'{"dataframe_records": [{"a": 1.5, "b": "x"}, {"b": "y"}]}',
        b'[{"a": 1.5, "b": "x"}, {"a": null, "b": "y"}]',
        b'{"inputs": {"a": [1.5, null], "b": ["x", "y"]}}',
        b'{"inputs": [[1.5, "x"], [null, "y"]]}',
        b'{"dataframe_split": {"data": [[1.5, "x"], [null, "y"]]}}',
    ],
)
def test_every_form_of_an_example_is_the_same_rows(content: bytes) -> None:
    assert read_example(content, COLUMNS) == PredictRequest({"a": [1.5, None], "b": ["x", "y"]}, 2)


def test_an_example_of_one_tensor_goes_to_the_only_input() -> None:
    for content in (b'{"inputs": [[1, 2], [3, 4]]}', b"[[1, 2], [3, 4]]", b'{"instances": [[1, 2], [3, 4]]}'):
        assert read_example(content, TENSOR) == PredictRequest({"input": [[1, 2], [3, 4]]}, 2)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "not JSON"),
        (b"3", "empty"),
        (b"[]", "empty"),
        (b'{"inputs": [[1]]}', "no value for each"),
        (b'{"a": 3}', "not a table"),
    ],
)
def test_an_example_that_is_no_rows_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        read_example(content, COLUMNS)
