"""scikit-learn models out of skops files, each in a process of its own; and LightGBM's boosters."""

from __future__ import annotations

import io
import json
import os
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.ml.lane import Lane
from tests.unit.ml.packaged import Json, mlmodel, numbers, tensor
from tests.unit.ml.test_package_serving import BINARY, NAMES, THREE, VALUE, X, ask, serve, table
from twinloop.backends.child_models.process import ChildModel, Limits, SkopsEngine
from twinloop.core.errors import InvalidInput, MissingDependency, Refused, TwinloopError, Unavailable, UpstreamError
from twinloop.ml.training.packages import PackageManifest

pytest.importorskip("yaml", reason="PyYAML is not installed: pip install 'twinloop[ml]'")
pytest.importorskip("sklearn")

from sklearn import ensemble, linear_model, neighbors, pipeline, preprocessing, svm
from sklearn.compose import make_column_transformer

slow = pytest.mark.slow


def flavors(predict: str = "predict") -> Json:
    return {
        "python_function": {"loader_module": "mlflow.sklearn", "model_path": "model.skops", "predict_fn": predict},
        "sklearn": {"pickled_model": "model.skops", "serialization_format": "skops", "sklearn_version": "1.9.1"},
    }


def folder(model: Any, predict: str = "predict", **described: Any) -> dict[str, bytes]:
    skops = pytest.importorskip("skops.io", reason="skops is not installed: pip install 'twinloop[sklearn]'")
    return {"MLmodel": mlmodel(flavors(predict), **described), "model.skops": skops.dumps(model)}


MODELS: list[Callable[[], Any]] = [
    lambda: linear_model.LogisticRegression().fit(X, THREE),
    lambda: ensemble.RandomForestClassifier(5).fit(X, np.array(["no", "yes"])[BINARY]),
    lambda: ensemble.HistGradientBoostingRegressor(max_iter=5).fit(X, VALUE),
    lambda: neighbors.KNeighborsClassifier().fit(X, BINARY),
    lambda: svm.LinearSVC().fit(X, BINARY),
    lambda: pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.Ridge()).fit(X, VALUE),
]


@slow
@pytest.mark.parametrize("make", MODELS, ids=lambda make: type(make()).__name__)
async def test_an_estimator_answers_what_its_class_answers(lane: Lane, make: Callable[[], Any]) -> None:
    model = make()
    target = await serve(lane, folder(model, inputs=tensor("float64", -1, 3)))
    answer = await ask(target, {"input": X.tolist()}, len(X))
    assert answer.columns["prediction"] == model.predict(X).tolist()
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(answer.columns["probabilities"], model.predict_proba(X))
        assert target.metadata()["classes"] == model.classes_.tolist()
    else:
        assert set(answer.columns) == {"prediction"}
    await target.aclose()


@slow
async def test_a_pipeline_over_a_table_of_numbers_and_texts(lane: Lane) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": X[:, 0], "c": np.where(BINARY == 1, "x", "z")})
    steps = make_column_transformer((preprocessing.OneHotEncoder(), ["c"]), (preprocessing.StandardScaler(), ["a"]))
    model = pipeline.make_pipeline(steps, linear_model.LogisticRegression()).fit(frame, BINARY)
    columns = {"a": frame["a"].tolist(), "c": frame["c"].tolist()}
    schema = [*numbers("a"), {"type": "string", "name": "c", "required": True}]
    for name, described in (("declared", {"inputs": schema}), ("silent", {})):
        target = await serve(lane, folder(model, **described), name)
        answer = await ask(target, columns, len(X))
        np.testing.assert_allclose(answer.columns["probabilities"], model.predict_proba(frame))
        with pytest.raises(InvalidInput, match="unknown categories"):
            await ask(target, {"a": [1.0], "c": ["new"]}, 1)
        await target.aclose()


@slow
async def test_the_method_that_mlflow_would_call_answers(lane: Lane) -> None:
    model = linear_model.LogisticRegression().fit(X, BINARY)
    target = await serve(lane, folder(model, "predict_proba", inputs=numbers(*NAMES), outputs=tensor("float64", -1, 2)))
    answer = await ask(target, table(), len(X))
    np.testing.assert_allclose(answer.columns["prediction"], model.predict_proba(X))
    assert set(answer.columns) == {"prediction"}
    await target.aclose()
    with pytest.raises(Refused, match="predicts with fit_predict"):
        await serve(lane, folder(model, "fit_predict"), "other")


def forged(**node: Any) -> bytes:
    """A skops file made by hand."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("schema.json", json.dumps({"protocol": 2, "_skops_version": "0.16.0", **node}))
    return content.getvalue()


@slow
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            forged(__class__="system", __module__="posix", __loader__="FunctionNode", content="x", __id__=1),
            r"posix\.system",
        ),
        (
            forged(__class__="partial", __module__="functools", __loader__="ObjectNode", content=None, __id__=1),
            r"functools\.partial",
        ),
        (forged(), "not a whole skops model"),
        (b"PK\x03\x04 nothing", "not a whole skops model"),
        (b"", "not a whole skops model"),
    ],
)
async def test_a_forged_file_is_refused_and_nothing_of_it_runs(lane: Lane, content: bytes, said: str) -> None:
    pytest.importorskip("skops.io", reason="skops is not installed: pip install 'twinloop[sklearn]'")
    with pytest.raises((Refused, InvalidInput), match=said):
        await serve(lane, {"MLmodel": mlmodel(flavors()), "model.skops": content})


async def test_types_that_its_author_calls_trusted_are_not(lane: Lane) -> None:
    described = flavors()
    described["sklearn"]["skops_trusted_types"] = ["posix.system"]
    content = forged(__class__="system", __module__="posix", __loader__="FunctionNode", content="x", __id__=1)
    pytest.importorskip("skops.io", reason="skops is not installed: pip install 'twinloop[sklearn]'")
    with pytest.raises(Refused, match=r"posix\.system"):
        await serve(lane, {"MLmodel": mlmodel(described), "model.skops": content})


def loaded(tmp_path: Path, model: Any, limits: Limits | None = None) -> ChildModel:
    skops = pytest.importorskip("skops.io", reason="skops is not installed: pip install 'twinloop[sklearn]'")
    (tmp_path / "model.skops").write_bytes(skops.dumps(model))
    package = PackageManifest("mlflow", "skops", True, "x")
    return SkopsEngine(limits).load_package(package, {"model.skops": tmp_path / "model.skops"})


@slow
def test_a_process_that_dies_fails_one_request_and_is_started_again(tmp_path: Path) -> None:
    child = loaded(tmp_path, linear_model.Ridge().fit(X, VALUE))
    first = child.predict({"input": X})["prediction"]
    assert child.pid is not None
    os.kill(child.pid, signal.SIGSTOP)
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(UpstreamError, match="ended before it answered"):
        child.predict({"input": X})
    np.testing.assert_array_equal(child.predict({"input": X})["prediction"], first)
    child.close()
    assert child.pid is None


@slow
def test_a_process_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    child = loaded(tmp_path, linear_model.Ridge().fit(X, VALUE), Limits(answer_s=2.0))
    assert child.pid is not None
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(Unavailable, match=r"over 2 seconds"):
        child.predict({"input": X})
    assert child.predict({"input": X})["prediction"].shape == (120,)
    child.close()


@slow
def test_a_process_that_runs_out_of_memory_fails_the_release_and_not_the_server(tmp_path: Path) -> None:
    with pytest.raises(TwinloopError):
        loaded(tmp_path, linear_model.Ridge().fit(X, VALUE), Limits(memory_bytes=300 * 2**20))


def test_without_skops_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocker = tmp_path / "blocked" / "skops"
    blocker.mkdir(parents=True)
    (blocker / "__init__.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", str(blocker.parent))
    (tmp_path / "model.skops").write_bytes(b"")
    with pytest.raises(MissingDependency, match=r"pip install 'twinloop\[sklearn\]'"):
        SkopsEngine().load_package(PackageManifest("mlflow", "skops", True, "x"), {"m": tmp_path / "model.skops"})


LIGHTGBM = {"python_function": {"loader_module": "mlflow.lightgbm"}, "lightgbm": {"data": "model.lgb"}}


@pytest.mark.parametrize("objective", ["binary", "multiclass", "regression"])
async def test_a_lightgbm_booster_answers_what_it_predicts(lane: Lane, objective: str) -> None:
    lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is not installed: pip install 'twinloop[lightgbm]'")
    params = {"objective": objective, "verbose": -1, "num_threads": 1} | (
        {"num_class": 3} if objective == "multiclass" else {}
    )
    labels = {"binary": BINARY, "multiclass": THREE, "regression": VALUE}[objective]
    model = lightgbm.train(params, lightgbm.Dataset(X, labels), 5)
    files = {"MLmodel": mlmodel(LIGHTGBM, inputs=numbers(*NAMES)), "model.lgb": model.model_to_string().encode()}
    target = await serve(lane, files)
    answer = await ask(target, table(), len(X))
    np.testing.assert_array_equal(answer.columns["prediction"], model.predict(X))
    with pytest.raises(InvalidInput, match="not a whole LightGBM model"):
        await serve(lane, {**files, "model.lgb": b"tree\nversion=v4\n"}, "broken")


@slow
async def test_lightgbms_classifier_out_of_a_skops_file(lane: Lane) -> None:
    lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is not installed: pip install 'twinloop[lightgbm]'")
    skops = pytest.importorskip("skops.io", reason="skops is not installed: pip install 'twinloop[sklearn]'")
    model = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1).fit(X, THREE)
    described = {
        "python_function": {"loader_module": "mlflow.lightgbm"},
        "lightgbm": {
            "data": "model.skops",
            "model_class": "lightgbm.sklearn.LGBMClassifier",
            "serialization_format": "skops",
        },
    }
    target = await serve(lane, {"MLmodel": mlmodel(described), "model.skops": skops.dumps(model)})
    answer = await ask(target, {"input": X.tolist()} if not hasattr(model, "feature_names_in_") else table(), len(X))
    assert answer.columns["prediction"] == model.predict(X).tolist()
    await target.aclose()
