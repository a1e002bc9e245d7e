"""Evidence and gates."""

from __future__ import annotations

from typing import Literal

import msgspec

Verdict = Literal["pass", "fail", "not_enough_evidence"]


class Estimate(msgspec.Struct, frozen=True):
    """A metric's value with its confidence interval ``[low, high]`` at ``level``, from ``n`` rows, by ``method``."""

    metric: str
    value: float
    low: float
    high: float
    n: int
    level: float = 0.95
    method: str = ""


class Slice(msgspec.Struct, frozen=True):
    """The same metrics on the rows where ``column`` equals ``value``."""

    column: str
    value: str
    estimates: tuple[Estimate, ...]


class Evidence(msgspec.Struct, frozen=True):
    """Scores of ``subject`` on ``dataset`` (digests), with ``baseline`` the revision compared against, if any.

    With a baseline, estimates named ``delta_*`` are paired differences subject minus baseline on the same rows.
    """

    id: str
    subject: str
    dataset: str | None
    baseline: str | None
    estimates: tuple[Estimate, ...]
    slices: tuple[Slice, ...] = ()
    created_ns: int = 0
    created_by: str = ""
    note: str = ""


class Condition(msgspec.Struct, frozen=True):
    """``metric`` must be at least, or at most, a bound: the whole interval must lie on the right side of it.

    ``baseline`` (a revision reference) asks for a comparison against that revision, such as ``delta_auc``.
    """

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    baseline: str | None = None


class Finding(msgspec.Struct, frozen=True):
    condition: Condition
    verdict: Verdict
    estimate: Estimate | None
    reason: str


class GateResult(msgspec.Struct, frozen=True):
    """The verdict is the worst of its findings: fail, then not_enough_evidence, then pass."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    evidence: tuple[str, ...]
