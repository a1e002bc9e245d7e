"""XGBoost boosters, from its own UBJSON and JSON files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.core.errors import InvalidInput, MissingDependency
from twinloop.ml.training.model import ModelManifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
            line = str(error).splitlines()[0][:200]
            raise InvalidInput(f"{name} is not a whole XGBoost model: {line}. Save and register it again.") from error
        if booster.num_features() != len(manifest.inputs):
            raise InvalidInput(
                f"{name} takes {booster.num_features()} inputs and the model names {len(manifest.inputs)}. Name each input."
            )
        booster.set_param({"nthread": self._threads})
        return XgboostModel(booster)
