"""XGBoost models, from its own UBJSON and JSON files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.backends.matrix import Layout
from twinloop.core.errors import InvalidInput, MissingDependency, Refused, UpstreamError
from twinloop.ml.deployment.ports import PREDICTION, PROBABILITIES
from twinloop.ml.training.fields import Field
from twinloop.ml.training.model import ModelManifest
from twinloop.ml.training.packages import PackageManifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from twinloop.ml.deployment.ports import Arrays

_CLASSIFIERS = ("XGBClassifier", "XGBRFClassifier")
_OTHERS = ("Booster", "XGBRegressor", "XGBRFRegressor", "XGBRanker", "XGBModel")


class XgboostModel:
    def __init__(self, booster: Any) -> None:
        self._booster = booster

    def predict(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        import numpy as np

        found = self._booster.inplace_predict(matrix, validate_features=False)
        return np.asarray(found, dtype=np.float64)


class XgboostEngine:
    """Runs on ``threads`` threads; one is best for the small batches of serving."""

    formats = ("xgboost-ubj", "xgboost-json")

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    def load(self, manifest: ModelManifest, files: Mapping[str, Path]) -> XgboostModel:
        name, booster = _read(files, self._threads)
        if booster.num_features() != len(manifest.inputs):
            raise InvalidInput(
                f"{name} takes {booster.num_features()} inputs and the model names {len(manifest.inputs)}. Name each input."
            )
        return XgboostModel(booster)

    def load_package(self, package: PackageManifest, files: Mapping[str, Path]) -> XgboostPackage:
        _, booster = _read(files, self._threads)
        if "c" in (booster.feature_types or ()):
            raise Refused(
                "The XGBoost model takes categories of its own, which a signature cannot say. Encode them as numbers, or put "
                "the encoding and the model into one ONNX graph."
            )
        kind = str(package.options.get("model_class", "")).rpartition(".")[2]
        if kind not in (*_CLASSIFIERS, *_OTHERS):
            raise Refused(f"The model is a {kind[:80]} of its author's own. Log it as one of XGBoost's own classes.")
        return XgboostPackage(booster, kind, package.inputs)


class XgboostPackage:
    """Answers what the class that was logged answers.

    Source: ``XGBClassifier.predict`` and ``predict_proba`` of xgboost 3: labels are numbered from 0, a model that stopped
    early predicts with its best iteration, and a native booster with all of them.
    """

    def __init__(self, booster: Any, kind: str, declared: Sequence[Field] | None) -> None:
        learner = json.loads(booster.save_config())["learner"]
        self._booster = booster
        self._linear = learner["gradient_booster"]["name"] == "gblinear"
        self._softmax = learner["objective"]["name"] == "multi:softmax"
        self._layout = Layout(declared, booster.num_features(), booster.feature_names, "float32")
        self._classes = max(2, int(learner["learner_model_param"]["num_class"])) if kind in _CLASSIFIERS else None
        best = booster.attr("best_iteration")
        self._range = (0, int(best) + 1) if best is not None and kind != "Booster" and not self._linear else (0, 0)

    @property
    def inputs(self) -> tuple[Field, ...]:
        return self._layout.fields

    @property
    def classes(self) -> Sequence[int] | None:
        return None if self._classes is None else range(self._classes)

    def predict(self, given: Arrays, /) -> Arrays:
        import numpy as np

        matrix = self._layout.matrix(given, np.float32)
        found = self._ask(matrix, margin=False)
        if self._classes is None:
            return {PREDICTION: found}
        if self._softmax:
            margins = self._ask(matrix, margin=True)
            powers = np.exp(margins - margins.max(axis=1, keepdims=True))
            return {PREDICTION: found.astype(np.int32), PROBABILITIES: powers / powers.sum(axis=1, keepdims=True)}
        if found.ndim == 2 and self._classes != 2:
            return {PREDICTION: found.argmax(axis=1), PROBABILITIES: found}
        if found.ndim == 2 and found.shape[1] != 1:
            return {PREDICTION: (found > 0.5).astype(np.float64), PROBABILITIES: found}
        chances = found.reshape(len(found))
        return {
            PREDICTION: (chances > 0.5).astype(np.int64),
            PROBABILITIES: np.stack([1.0 - chances, chances], axis=1),
        }

    def _ask(self, matrix: NDArray[np.generic], margin: bool) -> NDArray[np.float32]:
        import numpy as np
        import xgboost

        try:
            if self._linear:
                found = self._booster.predict(xgboost.DMatrix(matrix), output_margin=margin, validate_features=False)
            else:
                found = self._booster.inplace_predict(
                    matrix,
                    iteration_range=self._range,
                    predict_type="margin" if margin else "value",
                    validate_features=False,
                )
        except xgboost.core.XGBoostError as error:
            raise UpstreamError(f"XGBoost could not predict: {_first_line(error)}.") from error
        return np.asarray(found)

    def close(self) -> None:
        self._booster = None


def _read(files: Mapping[str, Path], threads: int) -> tuple[str, Any]:
    """The file's name and its booster."""
    try:
        import xgboost
    except ImportError:
        raise MissingDependency("xgboost-cpu", "ml") from None
    [(name, path), *more] = files.items()
    if more:
        raise InvalidInput("An XGBoost model is one file. Register it with that file only.")
    booster = xgboost.Booster()
    try:
        # From bytes, because the file is named by its digest and XGBoost chooses its reader by extension.
        booster.load_model(bytearray(path.read_bytes()))
    except xgboost.core.XGBoostError as error:
        raise InvalidInput(
            f"{name} is not a whole XGBoost model: {_first_line(error)}. Save and register it again."
        ) from error
    booster.set_param({"nthread": threads})
    return name, booster


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200]
