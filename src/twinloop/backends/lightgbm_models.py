"""LightGBM boosters, from its own text files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.backends.matrix import Layout
from twinloop.core.errors import InvalidInput, MissingDependency, UpstreamError
from twinloop.ml.deployment.ports import PREDICTION
from twinloop.ml.training.fields import Field
from twinloop.ml.training.packages import PackageManifest

if TYPE_CHECKING:
    from twinloop.ml.deployment.ports import Arrays


class LightgbmEngine:
    """Runs on ``threads`` threads; one is best for the small batches of serving."""

    formats = ("lightgbm",)

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    def load_package(self, package: PackageManifest, files: Mapping[str, Path]) -> LightgbmPackage:
        try:
            import lightgbm  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ImportError:
            raise MissingDependency("lightgbm", "lightgbm") from None
        (name, path), *_ = files.items()
        try:
            booster = lightgbm.Booster(model_str=path.read_text(encoding="utf-8"))
        except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as error:
            line = (str(error).splitlines() or [""])[0][:200]
            raise InvalidInput(f"{name} is not a whole LightGBM model: {line}. Save and register it again.") from error
        return LightgbmPackage(booster, package.inputs, self._threads)


class LightgbmPackage:
    """Answers what ``Booster.predict`` answers: a probability, or one for each class, or a value."""

    def __init__(self, booster: Any, declared: Sequence[Field] | None, threads: int) -> None:
        self._booster = booster
        self._threads = threads
        names = booster.feature_name()
        named = names if names != [f"Column_{place}" for place in range(len(names))] else None
        # LightGBM writes spaces in names as underscores, so that its own names cannot always be compared.
        agrees = declared is None or named is None or {field.name for field in declared} == set(named)
        self._layout = Layout(declared, booster.num_feature(), named if agrees else None, "float64")

    @property
    def inputs(self) -> tuple[Field, ...]:
        return self._layout.fields

    @property
    def classes(self) -> Sequence[Any] | None:
        return None

    def predict(self, given: Arrays, /) -> Arrays:
        import lightgbm
        import numpy as np

        try:
            found = self._booster.predict(self._layout.matrix(given, np.float64), num_threads=self._threads)
        except lightgbm.basic.LightGBMError as error:
            raise UpstreamError(f"LightGBM could not predict: {str(error).splitlines()[0][:200]}.") from error
        return {PREDICTION: np.asarray(found)}

    def close(self) -> None:
        self._booster = None
