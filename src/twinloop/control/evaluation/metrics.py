"""Sets of metrics for one kind of prediction, over all rows and over slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinloop.control.evaluation import statistics
from twinloop.control.evaluation.model import Estimate, Slice
from twinloop.control.evaluation.statistics import Bools, Floats
from twinloop.core.errors import InvalidInput

BINARY = ("auc", "log_loss", "brier", "accuracy", "base_rate", "calibration_bias", "calibration_error")
"""Metrics of a probability against a boolean label.

``calibration_bias`` is the mean of probability minus label; ``calibration_error`` the expected calibration error over ten
bins with equally many rows (Naeini et al. 2015), which small samples push upwards.
"""

MIN_ROWS = 100
_BINS = 10
_CLIP = 1e-7
_MOST_SLICES = 200


def log_losses(probabilities: Floats, labels: Bools) -> Floats:
    """Per row, in nats; probabilities are held ``1e-7`` away from 0 and 1, so that one certain mistake stays finite."""
    held = np.clip(probabilities, _CLIP, 1 - _CLIP)
    return np.asarray(-np.where(labels, np.log(held), np.log1p(-held)))


def brier_scores(probabilities: Floats, labels: Bools) -> Floats:
    return np.asarray((probabilities - labels) ** 2)


def _hits(probabilities: Floats, labels: Bools, threshold: float) -> Bools:
    return np.asarray((probabilities >= threshold) == labels)


def calibration_error(probabilities: Floats, labels: Bools) -> Callable[[NDArray[np.intp]], float]:
    """The statistic for a bootstrap; bins are fixed on the whole sample."""
    edges = np.quantile(probabilities, np.linspace(0, 1, _BINS + 1)[1:-1])
    bins = np.searchsorted(edges, probabilities, side="right")
    gaps = probabilities - labels

    def statistic(rows: NDArray[np.intp]) -> float:
        return float(np.abs(np.bincount(bins[rows], gaps[rows], _BINS)).sum() / len(rows))

    return statistic


def binary(
    probabilities: Floats,
    labels: Bools,
    *,
    metrics: Sequence[str] = BINARY,
    threshold: float = 0.5,
    level: float = 0.95,
) -> tuple[Estimate, ...]:
    """The ``metrics`` of probabilities against labels, in the given order.

    ``auc`` is left out when there are fewer than two rows of either label: a gate then says not enough evidence.

    Raises:
        InvalidInput: an unknown metric, fewer than 20 rows, or a probability outside [0, 1].
    """
    _check(probabilities, labels, metrics)
    n = len(labels)
    positives = int(np.count_nonzero(labels))
    make: dict[str, Callable[[], Estimate]] = {
        "auc": lambda: statistics.auc("auc", probabilities, labels, level),
        "log_loss": lambda: statistics.mean("log_loss", log_losses(probabilities, labels), level),
        "brier": lambda: statistics.mean("brier", brier_scores(probabilities, labels), level),
        "accuracy": lambda: statistics.proportion(
            "accuracy", int(np.count_nonzero(_hits(probabilities, labels, threshold))), n, level
        ),
        "base_rate": lambda: statistics.proportion("base_rate", positives, n, level),
        "calibration_bias": lambda: statistics.mean("calibration_bias", probabilities - labels, level),
        "calibration_error": lambda: statistics.bootstrap(
            "calibration_error", calibration_error(probabilities, labels), n, level
        ),
    }
    return tuple(make[name]() for name in metrics if name != "auc" or 2 <= positives <= n - 2)


def binary_against(
    probabilities: Floats,
    baseline: Floats,
    labels: Bools,
    *,
    thresholds: tuple[float, float] = (0.5, 0.5),
    level: float = 0.95,
) -> tuple[Estimate, ...]:
    """Paired differences subject minus baseline on the same rows: ``delta_auc``, ``_log_loss``, ``_brier``, ``_accuracy``."""
    _check(probabilities, labels, ())
    _check(baseline, labels, ())
    positives = int(np.count_nonzero(labels))
    found = [
        statistics.paired_mean(
            "delta_log_loss", log_losses(probabilities, labels), log_losses(baseline, labels), level
        ),
        statistics.paired_mean(
            "delta_brier", brier_scores(probabilities, labels), brier_scores(baseline, labels), level
        ),
        statistics.paired_mean(
            "delta_accuracy",
            _hits(probabilities, labels, thresholds[0]).astype(np.float64),
            _hits(baseline, labels, thresholds[1]).astype(np.float64),
            level,
        ),
    ]
    if 2 <= positives <= len(labels) - 2:
        found.insert(0, statistics.paired_auc("delta_auc", probabilities, baseline, labels, level))
    return tuple(found)


def slices(
    column: str,
    values: Sequence[Any],
    estimate: Callable[[NDArray[np.intp]], tuple[Estimate, ...]],
    min_rows: int = MIN_ROWS,
) -> tuple[Slice, ...]:
    """The same estimates on the rows of each value of ``column``, largest slice first.

    Slices of fewer than ``min_rows`` rows are left out. Intervals are per slice: among twenty slices one is expected to
    miss its true value at 95 %.
    """
    rows: dict[str, list[int]] = {}
    for row, value in enumerate(values):
        rows.setdefault("(missing)" if value is None else str(value), []).append(row)
    if len(rows) > _MOST_SLICES:
        raise InvalidInput(
            f"Column {column!r} has {len(rows)} values; {_MOST_SLICES} slices are the most. Choose another."
        )
    large = sorted((name for name in rows if len(rows[name]) >= min_rows), key=lambda name: (-len(rows[name]), name))
    return tuple(Slice(column, name, estimate(np.array(rows[name], dtype=np.intp))) for name in large)


def by_name(estimates: Sequence[Estimate]) -> Mapping[str, Estimate]:
    return {estimate.metric: estimate for estimate in estimates}


def _check(probabilities: Floats, labels: Bools, metrics: Sequence[str]) -> None:
    unknown = [name for name in metrics if name not in BINARY]
    if unknown:
        raise InvalidInput(f"There is no metric {unknown[0][:40]!r}. Metrics are: {', '.join(BINARY)}.")
    if len(probabilities) != len(labels) or len(labels) < 20:
        raise InvalidInput(f"An evaluation needs at least 20 rows, each with a label; has {len(labels)}.")
    if not bool(np.all((probabilities >= 0) & (probabilities <= 1))):
        raise InvalidInput("A probability lies outside 0 to 1, or is missing. Check the model's task and its inputs.")
