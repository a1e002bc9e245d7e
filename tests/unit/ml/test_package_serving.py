"""Packaged models answer what the classes that were logged answer, and are tried before they may."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xgboost

from tests.unit.ml.lane import ME, Lane
from tests.unit.ml.packaged import Json, mlmodel, numbers, register, tensor, xgboost_flavors
from tests.unit.ml.test_deployment import recorder
from twinloop.control.registry.model import Revision
from twinloop.control.releases.answers import PredictAnswer, PredictRequest, SearchRequest
from twinloop.core.errors import InvalidInput, Refused
from twinloop.ml.deployment.package_target import PackageTarget

pytest.importorskip("yaml", reason="PyYAML is not installed: pip install 'twinloop[ml]'")

NAMES = ("a", "b", "c")
_random = np.random.default_rng(3)
X = _random.normal(size=(120, 3))
BINARY = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(int)
THREE = np.digitize(X[:, 0], [-0.5, 0.5])
VALUE = X @ np.array([1.0, -2.0, 0.5])


def raw(model: Any) -> bytes:
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    return bytes(booster.save_raw("ubj"))


def folder(model: Any, kind: str | None = None, **described: Any) -> dict[str, bytes]:
    name = kind or f"xgboost.sklearn.{type(model).__name__}"
    return {"MLmodel": mlmodel(xgboost_flavors(name), **described), "model.ubj": raw(model)}


async def serve(lane: Lane, files: dict[str, bytes], name: str = "iris") -> PackageTarget:
    made = await register(lane, files, name)
    lane.endpoint.check({"model": made})
    target = await lane.endpoint.activate("default", {"model": made}, [])
    assert isinstance(target, PackageTarget)
    return target


async def ask(target: PackageTarget, columns: Json, rows: int) -> PredictAnswer:
    with recorder().start("predict") as span:
        return await target.answer(PredictRequest(columns, rows), span)


def table(matrix: Any = X) -> Json:
    return {name: matrix[:, place].tolist() for place, name in enumerate(NAMES)}


CLASSIFIERS: list[tuple[str, Callable[[], Any]]] = [
    ("two classes", lambda: xgboost.XGBClassifier(n_estimators=4).fit(X, BINARY)),
    ("three classes", lambda: xgboost.XGBClassifier(n_estimators=4).fit(X, THREE)),
    ("a softmax", lambda: xgboost.XGBClassifier(n_estimators=4, objective="multi:softmax").fit(X, THREE)),
    ("several labels", lambda: xgboost.XGBClassifier(n_estimators=4).fit(X, np.stack([BINARY, 1 - BINARY], axis=1))),
    ("a linear model", lambda: xgboost.XGBClassifier(n_estimators=4, booster="gblinear").fit(X, BINARY)),
    ("a forest", lambda: xgboost.XGBRFClassifier(n_estimators=4).fit(X, BINARY)),
    (
        "one that stopped early",
        lambda: xgboost.XGBClassifier(n_estimators=60, early_stopping_rounds=2, learning_rate=1.0).fit(
            X[:60], BINARY[:60], eval_set=[(X[60:], BINARY[60:])], verbose=False
        ),
    ),
]


@pytest.mark.parametrize("make", [make for _, make in CLASSIFIERS], ids=[name for name, _ in CLASSIFIERS])
async def test_a_classifier_answers_what_its_class_answers(lane: Lane, make: Callable[[], Any]) -> None:
    pytest.importorskip("sklearn")
    model = make()
    target = await serve(lane, folder(model, inputs=numbers(*NAMES)))
    answer = await ask(target, table(), len(X))
    assert answer.columns["prediction"] == model.predict(X).tolist()
    np.testing.assert_allclose(answer.columns["probabilities"], model.predict_proba(X), rtol=1e-6)
    assert target.metadata()["classes"] == model.classes_.tolist()
    await target.aclose()


@pytest.mark.parametrize("objective", ["binary:logistic", "multi:softprob", "reg:squarederror"])
async def test_a_booster_answers_what_it_predicts(lane: Lane, objective: str) -> None:
    params = {"objective": objective} | ({"num_class": 3} if objective.startswith("multi") else {})
    labels = THREE if objective.startswith("multi") else BINARY
    model = xgboost.train(params, xgboost.DMatrix(X, labels), 4)
    target = await serve(lane, folder(model, "xgboost.core.Booster", inputs=tensor("float64", -1, 3)))
    answer = await ask(target, {"input": X.tolist()}, len(X))
    np.testing.assert_array_equal(np.array(answer.columns["prediction"], np.float32), model.predict(xgboost.DMatrix(X)))
    assert set(answer.columns) == {"prediction"}
    assert target.metadata()["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 3]}]
    await target.aclose()


async def test_a_regressor_without_a_signature_is_served_by_what_it_says_itself(lane: Lane) -> None:
    pytest.importorskip("sklearn")
    model = xgboost.XGBRegressor(n_estimators=4).fit(X, VALUE)
    target = await serve(lane, folder(model))
    answer = await ask(target, {"input": X.tolist()}, len(X))
    np.testing.assert_array_equal(np.array(answer.columns["prediction"], np.float32), model.predict(X))
    assert target.metadata()["outputs"] == [{"name": "prediction", "datatype": "FP32", "shape": [-1]}]
    named = xgboost.train({}, xgboost.DMatrix(X, VALUE, feature_names=["c", "a", "b"]), 2)
    target = await serve(lane, folder(named, "xgboost.core.Booster"), "named")
    assert [listed["name"] for listed in target.metadata()["inputs"]] == ["c", "a", "b"]


async def test_named_columns_are_brought_into_the_order_the_model_was_trained_with(lane: Lane) -> None:
    model = xgboost.train({}, xgboost.DMatrix(X, VALUE, feature_names=list(NAMES)), 3)
    target = await serve(lane, folder(model, "xgboost.core.Booster", inputs=numbers("c", "a", "b")))
    answer = await ask(target, table(), len(X))
    found = model.predict(xgboost.DMatrix(X, feature_names=list(NAMES)))
    np.testing.assert_array_equal(np.array(answer.columns["prediction"], np.float32), found)


async def test_an_optional_input_that_is_left_out_is_missing(lane: Lane) -> None:
    model = xgboost.train({}, xgboost.DMatrix(X, VALUE), 3)
    inputs = [*numbers("a", "b"), {"type": "double", "name": "c", "required": False}]
    target = await serve(lane, folder(model, "xgboost.core.Booster", inputs=inputs))
    assert [listed["name"] for listed in target.metadata()["optional_inputs"]] == ["c"]
    short = {name: values for name, values in table().items() if name != "c"}
    left_out, null = await ask(target, short, len(X)), await ask(target, {**short, "c": [None] * len(X)}, len(X))
    assert left_out == null != await ask(target, table(), len(X))


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ({"inputs": numbers("a", "b")}, "has 2 inputs and the model takes 3"),
        ({"inputs": tensor("float64", -1, 4)}, "rows of 4 numbers and the model takes 3"),
        ({"inputs": [*numbers("a", "b"), {"type": "string", "name": "c"}]}, "takes numbers only"),
        ({"inputs": [*tensor("float64", -1, 2, name="a"), *numbers("b", "c")]}, "several tensors"),
        ({"inputs": [{"type": "array", "name": "a"}]}, "'a' as array, which is not served"),
        ({"inputs": numbers(*NAMES), "outputs": [{"type": "map", "name": "y"}]}, "'y' as map, which is not served"),
        ({"inputs": numbers(*NAMES), "params": [{"name": "k", "type": "long", "default": 1}]}, "parameters .*k"),
        ({"inputs": numbers(*NAMES), "outputs": tensor("float32", -1, 5)}, "does not answer as its signature declares"),
    ],
)
async def test_a_signature_that_is_not_the_models_is_refused_before_anything_is_switched(
    lane: Lane, described: Json, said: str
) -> None:
    model = xgboost.train({}, xgboost.DMatrix(X, VALUE), 2)
    with pytest.raises((InvalidInput, Refused), match=said):
        await serve(lane, folder(model, "xgboost.core.Booster", **described))


def exampled(example: Any, **described: Any) -> dict[str, bytes]:
    model = xgboost.train({}, xgboost.DMatrix(X, VALUE), 2)
    files = folder(model, "xgboost.core.Booster", example=True, **described)
    return {**files, "serving_input_example.json": json.dumps(example).encode()}


GOOD = {"dataframe_split": {"columns": list(NAMES), "data": X[:3].tolist()}}


async def test_an_example_that_fits_is_answered_at_release(lane: Lane) -> None:
    target = await serve(lane, exampled(GOOD, inputs=numbers(*NAMES), outputs=tensor("float32", -1)))
    assert target.metadata()["outputs"] == [{"name": "prediction", "datatype": "FP32", "shape": [-1]}]


@pytest.mark.parametrize(
    ("example", "outputs", "said"),
    [
        (
            {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}},
            None,
            "refuses its own input example: Input 'c'",
        ),
        ({"dataframe_split": {"columns": list(NAMES), "data": [[1, 2, "x"]]}}, None, "Input 'c', row 0"),
        ({"dataframe_split": {"columns": [*NAMES, "d"], "data": [[1, 2, 3, 4]]}}, None, "no input 'd'"),
        ("nonsense", None, "refuses its own input example"),
        (GOOD, tensor("int64", -1), "does not answer its own input example as declared: .*int64"),
        (GOOD, numbers("u", "v"), "declares the outputs u: float64, v: float64"),
    ],
)
async def test_an_example_that_does_not_fit_refuses_the_release_with_the_reason(
    lane: Lane, example: Any, outputs: list[Json] | None, said: str
) -> None:
    with pytest.raises(Refused, match=said):
        await serve(lane, exampled(example, inputs=numbers(*NAMES), outputs=outputs))


async def test_an_example_that_is_too_large_or_gone_refuses_the_release(lane: Lane) -> None:
    files = exampled(GOOD, inputs=numbers(*NAMES))
    with pytest.raises(Refused, match="over 4194304 bytes"):
        await serve(lane, {**files, "serving_input_example.json": b" " * (4 * 2**20 + 1)}, "large")
    made = await register(lane, files, "gone")
    (await lane.blobs.local_path(made.manifest["example"]["digest"])).unlink()
    with pytest.raises(Refused, match="is gone from the store"):
        await lane.endpoint.activate("default", {"model": made}, [])


async def test_categories_of_xgboosts_own_and_classes_of_somebodys_own_are_refused(lane: Lane) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": pandas.Categorical(["x", "y"] * 10), "b": np.arange(20.0)})
    matrix = xgboost.DMatrix(frame, np.arange(20.0), enable_categorical=True)
    with pytest.raises(Refused, match="categories of its own"):
        await serve(lane, folder(xgboost.train({}, matrix, 2), "xgboost.core.Booster"))
    plain = xgboost.train({}, xgboost.DMatrix(X, VALUE), 2)
    with pytest.raises(Refused, match="a Special of its author's own"):
        await serve(lane, folder(plain, "theirs.Special"), "special")


async def test_a_damaged_file_is_refused(lane: Lane) -> None:
    files = folder(xgboost.train({}, xgboost.DMatrix(X, VALUE), 2), "xgboost.core.Booster")
    with pytest.raises(InvalidInput, match="not a whole XGBoost model"):
        await serve(lane, {**files, "model.ubj": files["model.ubj"][:200]})


async def test_requests_at_once_each_get_their_own_answer_and_a_bad_one_spoils_nobodys(lane: Lane) -> None:
    model = xgboost.train({}, xgboost.DMatrix(X, VALUE), 4)
    target = await serve(lane, folder(model, "xgboost.core.Booster", inputs=numbers(*NAMES)))
    expected = model.predict(xgboost.DMatrix(X))
    bad = {name: ["x"] for name in NAMES}
    asked = [ask(target, table(X[n : n + 1]), 1) if n % 5 else ask(target, bad, 1) for n in range(100)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    for n, answer in enumerate(found):
        if n % 5:
            assert isinstance(answer, PredictAnswer)
            assert np.float32(answer.columns["prediction"][0]) == expected[n]
        else:
            assert isinstance(answer, InvalidInput)
    await target.aclose()


async def test_one_row_is_told_whole_in_its_trace_and_a_large_tensor_is_not(lane: Lane) -> None:
    model = xgboost.train({}, xgboost.DMatrix(X, VALUE), 2)
    target = await serve(lane, folder(model, "xgboost.core.Booster", inputs=numbers(*NAMES)))
    record = recorder()
    with record.start("predict") as span:
        answer = await target.answer(PredictRequest({"a": [1.0], "b": [2.0], "c": [None]}, 1), span)
        assert span.attributes["twinloop.inputs"] == {"a": 1.0, "b": 2.0, "c": None}
        with pytest.raises(InvalidInput, match="predicts"):
            await target.answer(SearchRequest("x"), span)
    assert record.summary == {"rows": 1, "prediction": answer.columns["prediction"][0]}
    wide = _random.normal(size=(20, 150))
    model = xgboost.train({}, xgboost.DMatrix(wide, wide[:, 0]), 2)
    target = await serve(lane, folder(model, "xgboost.core.Booster", inputs=tensor("float64", -1, 150)), "wide")
    record = recorder()
    with record.start("predict") as span:
        await target.answer(PredictRequest({"input": wide[:1].tolist()}, 1), span)
        assert "twinloop.inputs" not in span.attributes


async def released(lane: Lane, model: Any, name: str = "iris") -> Revision:
    return await register(lane, folder(model, inputs=numbers(*NAMES)), name)


async def test_a_packaged_model_is_applied_to_a_dataset_and_measured_like_any_other(lane: Lane) -> None:
    pytest.importorskip("sklearn")
    from twinloop.ml.prediction.model import BatchRequest, EvaluationRequest

    model = xgboost.XGBClassifier(n_estimators=4).fit(X, BINARY)
    made = await released(lane, model)
    data = await lane.snapshot("rows", {**table(), "late": BINARY.astype(bool).tolist(), "n": list(range(len(X)))})
    done = await lane.predictions.batch(ME, BatchRequest(made.ref, data.ref, "answers", prefix="p_"))
    found = await lane.rows(done.revision.ref)
    assert [row["n"] for row in found] == list(range(len(X)))
    assert [row["p_prediction"] for row in found] == model.predict(X).tolist()
    chances = [row["p_probability_1"] for row in found]
    np.testing.assert_allclose(chances, model.predict_proba(X)[:, 1], rtol=1e-6)
    evidence = await lane.predictions.evaluate(ME, EvaluationRequest(made.ref, data.ref, "late"))
    assert evidence.subject == made.digest
    assert {estimate.metric: estimate.value for estimate in evidence.estimates}["auc"] > 0.9
    three = await released(lane, xgboost.XGBClassifier(n_estimators=2).fit(X, THREE), "three")
    with pytest.raises(InvalidInput, match="one of two classes"):
        await lane.predictions.evaluate(ME, EvaluationRequest(three.ref, data.ref, "late"))
    booster = xgboost.train({}, xgboost.DMatrix(X, VALUE), 2)
    whole = await register(lane, folder(booster, "xgboost.core.Booster", inputs=tensor("float64", -1, 3)), "whole")
    with pytest.raises(InvalidInput, match="one value in a cell"):
        await lane.predictions.batch(ME, BatchRequest(whole.ref, data.ref, "other"))
