"""Intervals. Each function says whose method it is; all return ``Estimate`` with two-sided intervals at ``level``.

All take rows as independent. Rows that move together (flights of one stormy day) make the true uncertainty larger.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from twinloop.control.evaluation.model import Estimate
from twinloop.core.errors import InvalidInput

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def _z(level: float) -> float:
    if not 0 < level < 1:
        raise InvalidInput(f"The confidence level is {level}. Give a number between 0 and 1, such as 0.95.")
    return float(stats.norm.ppf(0.5 + level / 2))


def proportion(metric: str, successes: int, n: int, level: float = 0.95) -> Estimate:
    """A proportion with Wilson's score interval (Wilson 1927). Needs n >= 1."""
    if n < 1 or not 0 <= successes <= n:
        raise InvalidInput(f"{metric} needs at least one row, and as many successes as rows at most.")
    low, high = _wilson(successes / n, n, _z(level))
    return Estimate(metric, successes / n, low, high, n, level, "wilson")


def _wilson(p: float, n: int, z: float) -> tuple[float, float]:
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At 0 and 1 the bound is exact in theory; rounding must not move it past the value.
    return (0.0 if p == 0 else max(0.0, centre - half)), (1.0 if p == 1 else min(1.0, centre + half))


def mean(metric: str, values: Floats, level: float = 0.95, method: str = "t") -> Estimate:
    """A mean with Student's t interval. Needs two rows; with heavy tails it needs many for its coverage to hold."""
    n = len(values)
    if n < 2:
        raise InvalidInput(f"{metric} needs at least two rows and has {n}.")
    centre = float(np.mean(values))
    spread = float(np.std(values, ddof=1)) / math.sqrt(n)
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * spread
    return Estimate(metric, centre, centre - half, centre + half, n, level, method)


def paired_mean(metric: str, subject: Floats, baseline: Floats, level: float = 0.95) -> Estimate:
    """Mean of subject minus baseline on the same rows, with the paired t interval."""
    _same_length(subject, baseline)
    return mean(metric, subject - baseline, level, "paired t")


class _Placements(NamedTuple):
    """DeLong's structural components of one score: AUC, and its value at each positive and each negative row."""

    auc: float
    positives: Floats
    negatives: Floats


def _placements(scores: Floats, labels: Bools) -> _Placements:
    positive, negative = scores[labels], scores[~labels]
    m, n = len(positive), len(negative)
    whole = stats.rankdata(np.concatenate([positive, negative]))
    at_positives = (whole[:m] - stats.rankdata(positive)) / n
    at_negatives = 1.0 - (whole[m:] - stats.rankdata(negative)) / m
    return _Placements(float(np.mean(at_positives)), at_positives, at_negatives)


def _needs_both(metric: str, labels: Bools) -> tuple[int, int]:
    positives = int(np.count_nonzero(labels))
    negatives = len(labels) - positives
    if positives < 2 or negatives < 2:
        raise InvalidInput(
            f"{metric} needs at least two rows with and two without the label; has {positives} and {negatives}."
        )
    return positives, negatives


def auc(metric: str, scores: Floats, labels: Bools, level: float = 0.95) -> Estimate:
    """Area under the ROC curve, ties counted half.

    Variance by DeLong, DeLong and Clarke-Pearson (1988) in the fast form of Sun and Xu (2014); the interval is taken on
    the logit scale, which keeps it inside [0, 1] and covers better near the ends. When no pair is out of order (or all
    are) the variance is 0 and says nothing; then Wilson's interval on the size of the smaller class is used.
    """
    m, n = _needs_both(metric, labels)
    found = _placements(scores, labels)
    variance = float(np.var(found.positives, ddof=1)) / m + float(np.var(found.negatives, ddof=1)) / n
    z = _z(level)
    if variance <= 0 or not 0 < found.auc < 1:
        low, high = _wilson(found.auc, min(m, n), z)
        return Estimate(metric, found.auc, low, high, m + n, level, "wilson on the smaller class")
    centre = float(special.logit(found.auc))
    half = z * math.sqrt(variance) / (found.auc * (1 - found.auc))
    low, high = (float(special.expit(centre - half)), float(special.expit(centre + half)))
    return Estimate(metric, found.auc, low, high, m + n, level, "delong, logit")


def paired_auc(metric: str, subject: Floats, baseline: Floats, labels: Bools, level: float = 0.95) -> Estimate:
    """AUC of subject minus AUC of baseline on the same rows, with DeLong's covariance."""
    _same_length(subject, baseline)
    m, n = _needs_both(metric, labels)
    one, two = _placements(subject, labels), _placements(baseline, labels)
    variance = float(np.var(one.positives - two.positives, ddof=1)) / m
    variance += float(np.var(one.negatives - two.negatives, ddof=1)) / n
    centre, half = one.auc - two.auc, _z(level) * math.sqrt(variance)
    return Estimate(metric, centre, max(-1.0, centre - half), min(1.0, centre + half), m + n, level, "paired delong")


Statistic = Callable[[NDArray[np.intp]], float]
"""A statistic of the rows with these indices (an index may come several times)."""

_JACKKNIFE_GROUPS = 200


def bootstrap(
    metric: str, statistic: Statistic, n: int, level: float = 0.95, resamples: int = 999, seed: int = 0
) -> Estimate:
    """Any statistic of n rows, with the bias-corrected and accelerated bootstrap (Efron 1987).

    The acceleration comes from a jackknife that leaves out up to 200 groups of rows in turn. The seed is fixed, so the same
    rows give the same interval.
    """
    if n < 20:
        raise InvalidInput(f"{metric} needs at least 20 rows for a bootstrap and has {n}.")
    rows = np.arange(n, dtype=np.intp)
    value = statistic(rows)
    random = np.random.default_rng(seed)
    draws = np.array([statistic(random.integers(0, n, n, dtype=np.intp)) for _ in range(resamples)])
    below = (np.count_nonzero(draws < value) + 0.5 * np.count_nonzero(draws == value)) / resamples
    bias = float(stats.norm.ppf(min(max(below, 1 / (resamples + 1)), resamples / (resamples + 1))))
    groups = np.array_split(random.permutation(rows), min(n, _JACKKNIFE_GROUPS))
    keep = np.ones(n, dtype=np.bool_)
    left_out = []
    for group in groups:
        keep[group] = False
        left_out.append(statistic(rows[keep]))
        keep[group] = True
    pull = np.mean(left_out) - np.asarray(left_out)
    scale = float(np.sum(pull**2)) ** 1.5
    acceleration = float(np.sum(pull**3)) / (6 * scale) if scale > 0 else 0.0
    z = _z(level)
    ends = [_bca_end(bias, acceleration, end) for end in (-z, z)]
    low, high = (float(found) for found in np.quantile(draws, ends))
    return Estimate(metric, value, min(low, value), max(high, value), n, level, "bootstrap bca")


def _bca_end(bias: float, acceleration: float, z: float) -> float:
    return float(stats.norm.cdf(bias + (bias + z) / (1 - acceleration * (bias + z))))


def _same_length(one: Floats, two: Floats) -> None:
    if len(one) != len(two):
        raise InvalidInput(
            f"A paired comparison needs the same rows; one side has {len(one)} and the other {len(two)}."
        )
