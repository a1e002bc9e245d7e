"""Tensors of the Open Inference Protocol, as JSON and as bytes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.core.errors import InvalidInput, NotOffered
from twinloop.protocols.open_inference import tensors

NUMPY = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}


@pytest.mark.parametrize("datatype", list(NUMPY))
def test_every_numeric_datatype_survives_bytes_both_ways(datatype: str) -> None:
    array = np.array([0, 1, 1], NUMPY[datatype])
    values = tensors.from_bytes("x", datatype, [3], memoryview(array.tobytes()))
    assert values == [0, 1, 1]
    assert tensors.to_bytes("x", datatype, values) == array.tobytes()


@pytest.mark.parametrize("datatype", [name for name in NUMPY if "INT" in name])
def test_integers_are_bounded_by_their_datatype(datatype: str) -> None:
    info = np.iinfo(NUMPY[datatype])
    assert tensors.from_json("x", datatype, [2], [int(info.min), int(info.max)]) == [info.min, info.max]
    for outside in (int(info.min) - 1, int(info.max) + 1):
        with pytest.raises(InvalidInput, match=datatype):
            tensors.from_json("x", datatype, [1], [outside])


@given(st.lists(st.text(), min_size=1))
def test_texts_survive_bytes_both_ways(texts: list[str]) -> None:
    raw = tensors.to_bytes("x", "BYTES", texts)
    assert tensors.from_bytes("x", "BYTES", [len(texts)], memoryview(raw)) == texts


def test_nested_and_flat_data_mean_the_same() -> None:
    assert tensors.from_json("x", "FP32", [2, 2], [[1, 2], [3, 4]]) == tensors.from_json(
        "x", "FP32", [2, 2], [1, 2, 3, 4]
    )


@pytest.mark.parametrize("data", [[[1, 2], [3]], [[1, 2], 3], [[1, 2]], [[[1], [2]], [[3], [4]]], [1, [2, 3, 4]]])
def test_uneven_nesting_is_refused(data: list[Any]) -> None:
    with pytest.raises(InvalidInput, match="nested"):
        tensors.from_json("x", "INT32", [2, 2], data)


@pytest.mark.parametrize("shape", [[], [0], [-1], [2, 0], [2**63, 2**63]])
def test_impossible_shapes_are_refused(shape: list[int]) -> None:
    with pytest.raises(InvalidInput):
        tensors.from_json("x", "INT32", shape, [1, 2])


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("BOOL", 1),
        ("INT32", True),
        ("INT32", 1.0),
        ("INT32", "1"),
        ("FP32", "1"),
        ("FP32", True),
        ("FP16", 1e6),
        ("BYTES", 1),
    ],
)
def test_values_of_another_type_are_refused(datatype: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=f"not a {datatype}"):
        tensors.from_json("x", datatype, [1], [value])


def test_unknown_datatypes_are_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="Use one of: BOOL"):
        tensors.data_type("x", "BF16")


def test_null_and_nan_both_mean_missing() -> None:
    assert tensors.from_json("x", "FP32", [2], [None, 1.5]) == [None, 1.5]
    raw = np.array([math.nan, 1.5], np.float32).tobytes()
    assert tensors.from_bytes("x", "FP32", [2], memoryview(raw)) == [None, 1.5]
    assert tensors.to_json("FP32", [None, math.nan, 2]) == [None, None, 2.0]


def test_infinities_are_refused() -> None:
    with pytest.raises(InvalidInput, match="infinity"):
        tensors.from_bytes("x", "FP64", [1], memoryview(np.array([math.inf]).tobytes()))


@pytest.mark.parametrize(
    ("datatype", "value"), [("FP64", 10**400), ("FP64", -(10**309)), ("FP32", 10**39), ("FP16", 70_000)]
)
def test_numbers_beyond_their_datatype_are_refused(datatype: str, value: int) -> None:
    with pytest.raises(InvalidInput, match=datatype):
        tensors.from_json("x", datatype, [1], [value])


@pytest.mark.parametrize("raw", [b"\x05\x00\x00\x00abc", b"\x01\x00", b"\xff\xff\xff\xffabc"])
def test_bytes_that_end_within_an_element_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInput, match="within an element"):
        tensors.from_bytes("x", "BYTES", [1], memoryview(raw))


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(InvalidInput, match="not UTF-8"):
        tensors.from_bytes("x", "BYTES", [1], memoryview(b"\x02\x00\x00\x00\xff\xfe"))


def test_a_wrong_number_of_bytes_is_refused() -> None:
    with pytest.raises(InvalidInput, match="are 12"):
        tensors.from_bytes("x", "FP32", [3], memoryview(b"\0" * 8))


def test_a_missing_integer_cannot_be_sent_as_bytes() -> None:
    with pytest.raises(NotOffered, match="Ask for it as JSON"):
        tensors.to_bytes("y", "INT64", [1, None])


@pytest.mark.parametrize(
    ("values", "datatype"),
    [
        ([True, None], "BOOL"),
        ([1, 2], "INT64"),
        ([1, None], "FP64"),
        ([1, 0.5], "FP64"),
        (["a"], "BYTES"),
        ([None], "FP64"),
    ],
)
def test_outputs_without_metadata_get_a_datatype_from_their_values(values: list[Any], datatype: str) -> None:
    assert tensors.guess(values) == datatype
