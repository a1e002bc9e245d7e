"""In a model's process: a scikit-learn estimator out of a skops file, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.backends.child_models.trusted import TYPES
from twinloop.core.errors import InvalidInput, MissingDependency, Refused
from twinloop.ml.deployment.ports import PREDICTION, PROBABILITIES
from twinloop.ml.training.fields import Field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EXTRA = "sklearn"


class Estimator:
    """Answers as the estimator's own methods do. ``predict`` names the one that MLflow would call."""

    def __init__(self, model: Any, predict: str, declared: tuple[Field, ...] | None) -> None:
        self._model = model
        self._predict = getattr(model, predict, None)
        if self._predict is None:
            raise Refused(f"The model is a {type(model).__name__}, which has no {predict}. Log one that predicts.")
        # What says that it was fitted without probabilities, or has them in name only.
        self._without = (import_module("sklearn.exceptions").NotFittedError, NotImplementedError)
        self._names: list[str] | None = None
        if getattr(model, "feature_names_in_", None) is not None:
            self._names = [str(name) for name in model.feature_names_in_]
        self._fields = declared if declared is not None else _own_fields(model, self._names)
        self._chances = getattr(model, "predict_proba", None) if predict == "predict" else None

    @property
    def fields(self) -> tuple[Field, ...]:
        return self._fields

    @property
    def classes(self) -> list[Any] | None:
        found = getattr(self._model, "classes_", None)
        if found is None or getattr(found, "ndim", 0) != 1:
            return None
        return list(found.tolist())

    def answer(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        """Raises whatever the estimator raises."""
        import numpy as np

        assert self._predict is not None
        given = self._given(inputs)
        found: dict[str, NDArray[np.generic]] = {PREDICTION: np.asarray(self._predict(given))}
        if self._chances is not None:
            try:
                chances = self._chances(given)
            except self._without:
                self._chances = None
            else:
                if not isinstance(chances, list):
                    found[PROBABILITIES] = np.asarray(chances)
        return found

    def _given(self, inputs: Mapping[str, NDArray[np.generic]]) -> Any:
        """A tensor as it is; columns as a data frame, in the order the estimator was trained with."""
        import numpy as np

        if len(self._fields) == 1 and self._fields[0].shape:
            return next(iter(inputs.values()))
        named = {field.name: inputs.get(field.name) for field in self._fields}
        if self._names is not None and set(self._names) == set(named):
            named = {name: named[name] for name in self._names}
        rows = len(next(iter(inputs.values()), ()))
        filled = {name: np.full(rows, np.nan) if values is None else values for name, values in named.items()}
        if self._names is None and all(field.numeric for field in self._fields):
            return np.column_stack(list(filled.values()))
        try:
            import pandas  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ImportError:
            raise MissingDependency("pandas", _EXTRA) from None
        return pandas.DataFrame(filled).infer_objects()


def load(file: Path, predict: str, declared: tuple[Field, ...] | None) -> Estimator:
    """Read a skops file.

    Raises:
        Refused: it holds a type that is not trusted; the message names it.
        InvalidInput: it is damaged.
        MissingDependency: a package that the model needs is not installed.
    """
    try:
        import skops.io  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise MissingDependency("skops", _EXTRA) from None
    content = file.read_bytes()
    try:
        strange = sorted(set(skops.io.get_untrusted_types(data=content)) - set(TYPES))
        if strange:
            raise Refused(
                f"The model holds types that are not loaded: {', '.join(strange)[:400]}. Log a model made of scikit-learn's "
                "own estimators, or export it to ONNX and use mlflow.onnx.log_model."
            )
        model = skops.io.loads(content, trusted=list(TYPES))
    except Refused:
        raise
    except ModuleNotFoundError as error:
        raise MissingDependency(error.name or "a package of the model", _EXTRA) from error
    except Exception as error:
        line = " ".join(str(error).split())[:200]
        raise InvalidInput(
            f"The file is not a whole skops model ({type(error).__name__}: {line}). Log the model again."
        ) from error
    return Estimator(model, predict, declared)


def _own_fields(model: Any, names: list[str] | None) -> tuple[Field, ...]:
    width = getattr(model, "n_features_in_", None)
    if names is not None:
        # What is made of steps may take text as well as numbers; it does not say which.
        kind = "any" if hasattr(model, "steps") or hasattr(model, "transformers") else "float64"
        return tuple(Field(name, kind) for name in names)
    if width is None:
        raise Refused("The model does not say what it takes. Log it with a signature or an input_example.")
    return (Field("input", "float64", (int(width),)),)
