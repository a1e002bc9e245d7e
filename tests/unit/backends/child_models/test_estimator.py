"""What a scikit-learn estimator answers, and which of its complaints means that it has no probabilities."""

from __future__ import annotations

from typing import Any

import pytest

from twinloop.backends.child_models.estimator import Estimator
from twinloop.ml.deployment.ports import PREDICTION, PROBABILITIES

np = pytest.importorskip("numpy", reason="models need NumPy: pip install 'twinloop[ml]'")
exceptions = pytest.importorskip("sklearn.exceptions", reason="estimators need: pip install 'twinloop[sklearn]'")

X = np.array([[0.0, 1.0], [1.0, 0.0]])


class Classifier:
    """Answers labels; asked for probabilities it raises ``error``, if it has one."""

    def __init__(self, error: Exception | None) -> None:
        self.n_features_in_ = 2
        self._error = error

    def predict(self, given: Any) -> Any:
        return np.zeros(len(given))

    def predict_proba(self, given: Any) -> Any:
        if self._error is not None:
            raise self._error
        return np.full((len(given), 2), 0.5)


def answer(error: Exception | None) -> set[str]:
    estimator = Estimator(Classifier(error), "predict", None)
    return set(estimator.answer({estimator.fields[0].name: X}))


def test_labels_come_with_their_probabilities() -> None:
    assert answer(None) == {PREDICTION, PROBABILITIES}


@pytest.mark.parametrize(
    "error", [exceptions.NotFittedError("predict_proba is not available when fitted without"), NotImplementedError()]
)
def test_a_classifier_that_was_fitted_without_probabilities_answers_its_labels(error: Exception) -> None:
    assert answer(error) == {PREDICTION}


def test_a_classifier_that_breaks_at_its_probabilities_does_not_answer_without_them() -> None:
    """As one of another version of scikit-learn does, which lacks an attribute that this one reads."""
    with pytest.raises(AttributeError, match="multi_class"):
        answer(AttributeError("'LogisticRegression' object has no attribute 'multi_class'"))
