"""Which of a packaged model's flavors can be loaded as data, and what to do when none can."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from twinloop.ml.training.mlmodel import MlModel

NOTHING = "mlflow"
"""The format of a package that is kept and not loaded."""

_DESCRIPTIONS = frozenset(
    {
        "MLmodel",
        "conda.yaml",
        "python_env.yaml",
        "requirements.txt",
        "constraints.txt",
        "input_example.json",
        "serving_input_example.json",
    }
)
_PREDICT = ("predict", "predict_proba", "predict_log_proba", "decision_function")
_HINTS = {
    "sklearn": "mlflow.sklearn.log_model(model, serialization_format='skops')",
    "xgboost": "mlflow.xgboost.log_model(model, model_format='ubj')",
    "lightgbm": "mlflow.lightgbm.log_model(model.booster_)",
}
_EXPORT = "export it to ONNX and use mlflow.onnx.log_model"


class Choice(NamedTuple):
    """How a package is loaded: ``files`` are the paths the engine reads, its main file first."""

    format: str
    flavor: str
    files: tuple[str, ...]
    options: dict[str, Any]


class NoChoice(NamedTuple):
    """Why a package is not loaded, and what to do; whole sentences."""

    reason: str


def choose(model: MlModel, files: Collection[str], unsafe: Mapping[str, str]) -> Choice | NoChoice:
    """The first loadable flavor in the order XGBoost, ONNX, LightGBM, scikit-learn.

    Args:
        files: every path of the folder.
        unsafe: paths whose content looks like a program, with what it looks like.
    """
    reasons: list[str] = []
    for flavor, reader in _READERS.items():
        options = model.flavors.get(flavor)
        if options is None:
            continue
        found = reader(model, options, [path for path in files if path not in unsafe])
        if model.loader not in (None, f"mlflow.{flavor}"):
            found = f"it predicts through Python code of its own ({str(model.loader)[:80]})"
        if isinstance(found, Choice):
            missing = [path for path in found.files if path not in files]
            flagged = [f"{path} is a {unsafe[path]}" for path in found.files if path in unsafe]
            if not missing and not flagged:
                return found
            found = flagged[0] if flagged else f"its file {missing[0]} is missing"
        reasons.append(f"{found}. Log it in a form that is data: {_HINTS.get(flavor, _EXPORT)}.")
    if reasons:
        return NoChoice("It cannot be loaded as data: " + " ".join(reasons))
    known = ", ".join(name for name in model.flavors if name != "python_function")
    if not known:
        return NoChoice(
            "The model is a Python function, which runs its author's code when it is loaded. Log the model inside it with "
            f"its own flavor ({', '.join(_HINTS)} or onnx) in a form that is data, such as {_HINTS['sklearn']}."
        )
    return NoChoice(
        f"No engine here loads the flavor {known[:200]} as data. To serve it, {_EXPORT}. It is kept, and MLflow loads it."
    )


def _xgboost(model: MlModel, options: Mapping[str, Any], files: Collection[str]) -> Choice | str:
    path, form = str(options.get("data")), options.get("model_format")
    if form not in ("ubj", "json") or not path.endswith(f".{form}"):
        return f"its XGBoost file {path[:80]} is in the format {str(form)[:20]}"
    return Choice(f"xgboost-{form}", "xgboost", (path,), _kept(options, "model_class", "xgb_version"))


def _onnx(model: MlModel, options: Mapping[str, Any], files: Collection[str]) -> Choice | str:
    path = str(options.get("data"))
    folder = path.rpartition("/")[0]
    beside = [
        other
        for other in sorted(files)
        if other != path and other.rpartition("/")[0] == folder and other not in _DESCRIPTIONS
    ]
    return Choice("onnx", "onnx", (path, *beside), _kept(options, "onnx_version"))


def _lightgbm(model: MlModel, options: Mapping[str, Any], files: Collection[str]) -> Choice | str:
    path, kind = str(options.get("data")), options.get("model_class", "lightgbm.basic.Booster")
    kept = _kept(options, "model_class", "lgb_version")
    if kind == "lightgbm.basic.Booster":
        return Choice("lightgbm", "lightgbm", (path,), kept)
    if options.get("serialization_format") == "skops":
        return Choice("skops", "lightgbm", (path,), kept)
    return f"{path[:80]} is a serialized Python object, which runs its author's code when it is opened"


def _sklearn(model: MlModel, options: Mapping[str, Any], files: Collection[str]) -> Choice | str:
    path, form = str(options.get("pickled_model")), options.get("serialization_format")
    if form != "skops":
        return f"{path[:80]} is a {str(form)[:20]}, which runs its author's code when it is opened"
    predict = model.flavors.get("python_function", {}).get("predict_fn", _PREDICT[0])
    if predict not in _PREDICT:
        return f"it predicts with {str(predict)[:40]}, which is not one of {', '.join(_PREDICT)}"
    return Choice("skops", "sklearn", (path,), _kept(options, "sklearn_version") | {"predict": predict})


_READERS = {"xgboost": _xgboost, "onnx": _onnx, "lightgbm": _lightgbm, "sklearn": _sklearn}


def _kept(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: str(options[name])[:200] for name in names if options.get(name) is not None}
