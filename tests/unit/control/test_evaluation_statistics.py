"""Intervals cover what they say they cover, within the error of the simulation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator
from scipy import stats

from twinloop.control.evaluation import metrics, statistics
from twinloop.control.evaluation.model import Estimate
from twinloop.core.errors import InvalidInput

LEVEL = 0.95
Draw = Callable[[Generator], Estimate]


def coverage(draw: Draw, truth: float, rounds: int) -> float:
    random = np.random.default_rng(2013)
    found = [draw(random) for _ in range(rounds)]
    return sum(estimate.low <= truth <= estimate.high for estimate in found) / rounds


def assert_covers(draw: Draw, truth: float, rounds: int = 2000, slack: float = 0.0) -> None:
    """Coverage lies within four standard errors of 95 %; ``slack`` is what the method's own approximation may cost."""
    error = 4 * math.sqrt(LEVEL * (1 - LEVEL) / rounds)
    found = coverage(draw, truth, rounds)
    assert LEVEL - error - slack <= found <= LEVEL + error + slack, found


def normal_auc(shift: float) -> float:
    """AUC of N(shift, 1) against N(0, 1)."""
    return float(stats.norm.cdf(shift / math.sqrt(2)))


def two_normals(random: Generator, shift: float, positives: int, negatives: int) -> tuple[np.ndarray, np.ndarray]:
    scores = np.concatenate([random.normal(shift, 1, positives), random.normal(0, 1, negatives)])
    return scores, np.arange(positives + negatives) < positives


@pytest.mark.parametrize(("p", "n"), [(0.5, 50), (0.2, 100), (0.3, 1000), (0.9, 80)])
def test_wilson_interval_covers_a_proportion(p: float, n: int) -> None:
    # Discrete data make the true coverage move around 95 % with p and n, by up to about two points here.
    assert_covers(lambda r: statistics.proportion("x", int(r.binomial(n, p)), n), p, slack=0.02)


@pytest.mark.parametrize("n", [5, 30, 500])
def test_t_interval_covers_a_mean_of_normal_rows(n: int) -> None:
    assert_covers(lambda r: statistics.mean("x", r.normal(3, 2, n)), 3.0)


def test_t_interval_covers_a_mean_log_loss() -> None:
    """Labels are drawn with the very probabilities that are scored, so the true loss is the mean entropy."""
    grid = np.linspace(0.02, 0.98, 97)
    truth = float(np.mean(-grid * np.log(grid) - (1 - grid) * np.log(1 - grid)))

    def draw(random: Generator) -> Estimate:
        p = random.choice(grid, 800)
        return statistics.mean("log_loss", metrics.log_losses(p, random.random(800) < p))

    assert_covers(draw, truth, slack=0.01)


def test_paired_t_interval_covers_a_difference() -> None:
    def draw(random: Generator) -> Estimate:
        common = random.normal(0, 5, 60)
        return statistics.paired_mean("d", common + random.normal(0.3, 1, 60), common)

    assert_covers(draw, 0.3)


@pytest.mark.parametrize(("shift", "positives", "negatives"), [(0.5, 60, 90), (1.0, 200, 300), (2.5, 50, 100)])
def test_delong_interval_covers_an_auc(shift: float, positives: int, negatives: int) -> None:
    assert_covers(
        lambda r: statistics.auc("auc", *two_normals(r, shift, positives, negatives)), normal_auc(shift), 1500, 0.015
    )


def test_delong_interval_covers_an_auc_with_many_ties() -> None:
    scores = np.arange(4.0)
    high, low = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.4, 0.3, 0.2, 0.1])
    truth = sum(high[i] * low[j] * (1.0 if i > j else 0.5 if i == j else 0.0) for i in range(4) for j in range(4))

    def draw(random: Generator) -> Estimate:
        found = np.concatenate([random.choice(scores, 120, p=high), random.choice(scores, 160, p=low)])
        return statistics.auc("auc", found, np.arange(280) < 120)

    assert_covers(draw, float(truth), 1500, 0.015)


def test_paired_delong_interval_covers_a_difference_of_correlated_scores() -> None:
    def draw(random: Generator) -> Estimate:
        labels = np.arange(300) < 120
        common = random.normal(0, 1, 300)
        one = np.where(labels, 1.2, 0.0) + 0.8 * common + 0.6 * random.normal(0, 1, 300)
        two = np.where(labels, 0.8, 0.0) + 0.8 * common + 0.6 * random.normal(0, 1, 300)
        return statistics.paired_auc("delta_auc", one, two, labels)

    assert_covers(draw, normal_auc(1.2) - normal_auc(0.8), 1500, 0.015)


def test_bootstrap_interval_covers_a_median() -> None:
    def draw(random: Generator) -> Estimate:
        values = random.exponential(1.0, 80)
        return statistics.bootstrap("median", lambda rows: float(np.median(values[rows])), 80, resamples=400)

    assert_covers(draw, math.log(2), 400, 0.03)


def test_bootstrap_interval_covers_a_standard_deviation() -> None:
    def draw(random: Generator) -> Estimate:
        values = random.normal(0, 2, 150)
        return statistics.bootstrap("sd", lambda rows: float(np.std(values[rows])), 150, resamples=400)

    assert_covers(draw, 2.0, 400, 0.035)


def test_bootstrap_interval_covers_the_calibration_error_of_a_skewed_model() -> None:
    """Probabilities are all 0.15 too high, so the expected error is 0.15 in every bin."""

    def draw(random: Generator) -> Estimate:
        p = random.uniform(0.2, 0.8, 600)
        labels = random.random(600) < p - 0.15
        return statistics.bootstrap("ece", metrics.calibration_error(p, labels), 600, resamples=300)

    assert_covers(draw, 0.15, 300, 0.04)


def test_delong_variance_is_that_of_the_placement_values_of_a_worked_example() -> None:
    """Three positives and four negatives, checked by counting pairs by hand."""
    scores = np.array([0.9, 0.4, 0.7, 0.1, 0.4, 0.6, 0.3])
    labels = np.array([True, True, True, False, False, False, False])
    found = statistics.auc("auc", scores, labels)
    placed = np.array([4, 2.5, 4]) / 4
    against = np.array([3, 2.5, 2, 3]) / 3
    assert found.value == pytest.approx(placed.mean()) == pytest.approx(against.mean())
    variance = placed.var(ddof=1) / 3 + against.var(ddof=1) / 4
    logit = math.log(found.value / (1 - found.value))
    half = 1.959963985 * math.sqrt(variance) / (found.value * (1 - found.value))
    assert found.low == pytest.approx(1 / (1 + math.exp(-(logit - half))))
    assert found.high == pytest.approx(1 / (1 + math.exp(-(logit + half))))


def test_wilson_interval_is_that_of_the_published_formula() -> None:
    found = statistics.proportion("x", 15, 148)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0624, 0.1605)  # Newcombe 1998, table I, method 3


def test_a_perfect_ranking_keeps_a_lower_bound_below_one() -> None:
    scores, labels = np.arange(20.0), np.arange(20) >= 15
    found = statistics.auc("auc", scores, labels)
    assert found.value == 1.0
    assert 0.4 < found.low < 0.7
    assert found.high == 1.0


def test_scores_that_never_differ_rank_at_one_half() -> None:
    found = statistics.auc("auc", np.full(200, 0.3), np.arange(200) < 60)
    assert found.value == 0.5
    assert found.low < 0.5 < found.high


def test_a_model_compared_with_itself_differs_by_exactly_nothing() -> None:
    random = np.random.default_rng(1)
    p = random.random(300)
    labels = random.random(300) < p
    for estimate in metrics.binary_against(p, p, labels):
        assert (estimate.low, estimate.value, estimate.high) == (0, 0, 0)


def test_binary_metrics_agree_with_scikit_learn() -> None:
    from sklearn import metrics as reference

    random = np.random.default_rng(5)
    p = np.round(random.random(500), 2)
    labels = random.random(500) < p
    found = metrics.by_name(metrics.binary(p, labels))
    held = np.clip(p, 1e-7, 1 - 1e-7)
    assert found["auc"].value == pytest.approx(reference.roc_auc_score(labels, p))
    assert found["log_loss"].value == pytest.approx(reference.log_loss(labels, held))
    assert found["brier"].value == pytest.approx(reference.brier_score_loss(labels, p))
    assert found["accuracy"].value == pytest.approx(reference.accuracy_score(labels, p >= 0.5))
    assert all(estimate.low <= estimate.value <= estimate.high for estimate in found.values())


def test_one_certain_mistake_keeps_the_log_loss_finite() -> None:
    p = np.array([1.0, 0.0] + [0.5] * 30)
    labels = np.array([False, True] + [True] * 30)
    assert math.isfinite(metrics.by_name(metrics.binary(p, labels, metrics=("log_loss",)))["log_loss"].value)


def test_without_one_of_the_labels_there_is_no_auc() -> None:
    p = np.linspace(0.1, 0.9, 40)
    found = metrics.by_name(metrics.binary(p, np.zeros(40, dtype=np.bool_)))
    assert "auc" not in found
    assert found["base_rate"].value == 0.0


def test_small_slices_are_left_out_and_large_ones_come_first() -> None:
    values = ["big"] * 150 + ["small"] * 30 + [None] * 120
    found = metrics.slices("c", values, lambda rows: (Estimate("n", len(rows), len(rows), len(rows), len(rows)),), 100)
    assert [(part.value, part.estimates[0].n) for part in found] == [("big", 150), ("(missing)", 120)]


@pytest.mark.parametrize("p", [np.array([0.5] * 19 + [1.5]), np.array([0.5] * 19 + [math.nan]), np.array([0.5] * 5)])
def test_what_is_no_evaluation_is_refused(p: np.ndarray) -> None:
    with pytest.raises(InvalidInput):
        metrics.binary(p, np.arange(len(p)) % 2 == 0)


def test_the_bootstrap_gives_the_same_interval_for_the_same_rows() -> None:
    values = np.random.default_rng(3).normal(size=100)
    one, two = (statistics.bootstrap("m", lambda rows: float(values[rows].mean()), 100) for _ in range(2))
    assert one == two
