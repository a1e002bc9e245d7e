"""Gates: conditions on evidence, decided by whole intervals and closed when in doubt."""

from __future__ import annotations

from collections.abc import Sequence

from twinloop.control.evaluation.model import Condition, Estimate, Evidence, Finding, GateResult, Verdict
from twinloop.core.errors import InvalidInput

_WORST: tuple[Verdict, ...] = ("fail", "not_enough_evidence", "pass")


def check_condition(condition: Condition) -> None:
    """Raise InvalidInput unless the condition names a metric and at least one bound that can be met."""
    low, high = condition.at_least, condition.at_most
    if not condition.metric or (low is None and high is None):
        raise InvalidInput("A gate's condition needs a metric and at_least or at_most.")
    if condition.metric.startswith("delta_") and condition.baseline is None:
        raise InvalidInput(
            f"{condition.metric} is a difference, so the condition must name the baseline to compare with."
        )
    if any(bound is not None and bound != bound for bound in (low, high)):
        raise InvalidInput(f"The bound of {condition.metric} is not a number.")
    if low is not None and high is not None and low > high:
        raise InvalidInput(f"{condition.metric} cannot be at least {low} and at most {high}.")


def judge(condition: Condition, estimate: Estimate | None) -> Finding:
    """Pass when the whole interval is on the right side of the bounds, fail when it is wholly on a wrong side."""
    asked = _said(condition)
    if estimate is None:
        return Finding(
            condition, "not_enough_evidence", None, f"No evidence for {asked}. Run an evaluation that measures it."
        )
    low, high = condition.at_least, condition.at_most
    found = f"{estimate.metric} is {estimate.value:.4g} [{estimate.low:.4g}, {estimate.high:.4g}], n={estimate.n}"
    if estimate.low != estimate.low or estimate.high != estimate.high:
        return Finding(condition, "not_enough_evidence", estimate, f"{asked}: the interval is not a number")
    if (low is not None and estimate.high < low) or (high is not None and estimate.low > high):
        return Finding(condition, "fail", estimate, f"{asked}: {found}")
    if (low is None or estimate.low >= low) and (high is None or estimate.high <= high):
        return Finding(condition, "pass", estimate, f"{asked}: {found}")
    return Finding(
        condition, "not_enough_evidence", estimate, f"{asked}: {found} reaches over the bound; more rows would tell"
    )


def decide(
    conditions: Sequence[Condition], evidence: Sequence[Evidence], baselines: Sequence[str | None]
) -> GateResult:
    """Judge each condition on the newest evidence that measures its metric.

    ``evidence`` is of one subject, newest first. ``baselines`` has, for each condition, the digest of the revision to
    compare with, or None when the condition is not about a comparison.
    """
    findings = []
    used: list[str] = []
    for condition, baseline in zip(conditions, baselines, strict=True):
        estimate = None
        for item in evidence:
            if baseline is not None and item.baseline != baseline:
                continue
            estimate = next((held for held in item.estimates if held.metric == condition.metric), None)
            if estimate is not None:
                if item.id not in used:
                    used.append(item.id)
                break
        findings.append(judge(condition, estimate))
    verdict: Verdict = next((v for v in _WORST if any(finding.verdict == v for finding in findings)), "pass")
    return GateResult(verdict, tuple(findings), tuple(used))


def _said(condition: Condition) -> str:
    bounds = []
    if condition.at_least is not None:
        bounds.append(f"at least {condition.at_least:g}")
    if condition.at_most is not None:
        bounds.append(f"at most {condition.at_most:g}")
    against = f" against {condition.baseline}" if condition.baseline else ""
    return f"{condition.metric} {' and '.join(bounds)}{against}"
