from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from twinloop.backends.sqlite import open_store
from twinloop.control.evaluation.model import Condition, Estimate
from twinloop.control.evaluation.service import EvidenceBook, EvidenceDraft
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.core.clock import ManualClock
from twinloop.core.errors import Forbidden, InvalidInput, NotFound


class Thing:
    """A kind without rules."""

    name = "thing"

    def validate(self, manifest: object) -> None:
        return None

    def requires(self, manifest: object) -> tuple[()]:
        return ()


class Desk(NamedTuple):
    evidence: EvidenceBook
    clock: ManualClock

    async def measured(self, metric: str, low: float, high: float, baseline: str | None = None) -> str:
        self.clock.advance(1)
        estimate = Estimate(metric, (low + high) / 2, low, high, 500)
        draft = EvidenceDraft("thing/new", (estimate,), dataset="thing/rows", baseline=baseline)
        return (await self.evidence.record(LOCAL_ADMIN, draft)).id

    async def verdict(self, *conditions: Condition) -> str:
        return (await self.evidence.gate(LOCAL_ADMIN, "thing/new", conditions)).verdict


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    store = open_store(tmp_path / "twinloop.db")
    registry = Registry(store, [Thing()])
    for name in ("new", "old", "older", "rows"):
        await registry.register(LOCAL_ADMIN, "thing", name, {"name": name})
    clock = ManualClock()
    yield Desk(EvidenceBook(store, registry, clock), clock)
    await store.aclose()


AUC = Condition("auc", at_least=0.7)


async def test_without_evidence_no_gate_passes(desk: Desk) -> None:
    result = await desk.evidence.gate(LOCAL_ADMIN, "thing/new", [AUC])
    assert result.verdict == "not_enough_evidence"
    assert "Run an evaluation" in result.findings[0].reason


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.71, 0.75, "pass"),
        (0.70, 0.75, "pass"),
        (0.60, 0.69, "fail"),
        (0.69, 0.75, "not_enough_evidence"),
        (0.60, 0.70, "not_enough_evidence"),
    ],
)
async def test_only_a_whole_interval_decides(desk: Desk, low: float, high: float, verdict: str) -> None:
    await desk.measured("auc", low, high)
    assert await desk.verdict(AUC) == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.1, 0.2, "pass"), (0.3, 0.4, "fail"), (0.2, 0.3, "not_enough_evidence")]
)
async def test_an_upper_bound_works_the_same_way(desk: Desk, low: float, high: float, verdict: str) -> None:
    await desk.measured("log_loss", low, high)
    assert await desk.verdict(Condition("log_loss", at_most=0.25)) == verdict


async def test_both_bounds_make_a_band(desk: Desk) -> None:
    await desk.measured("bias", -0.01, 0.01)
    assert await desk.verdict(Condition("bias", at_least=-0.02, at_most=0.02)) == "pass"
    assert await desk.verdict(Condition("bias", at_least=0.02, at_most=0.05)) == "fail"


async def test_the_worst_finding_is_the_verdict(desk: Desk) -> None:
    await desk.measured("auc", 0.8, 0.9)
    await desk.measured("brier", 0.3, 0.4)
    assert await desk.verdict(AUC, Condition("brier", at_most=0.2)) == "fail"
    assert await desk.verdict(AUC, Condition("recall", at_least=0.2)) == "not_enough_evidence"
    assert await desk.verdict(AUC) == "pass"


async def test_newer_evidence_is_read_first_and_named(desk: Desk) -> None:
    await desk.measured("auc", 0.8, 0.9)
    newest = await desk.measured("auc", 0.5, 0.6)
    result = await desk.evidence.gate(LOCAL_ADMIN, "thing/new", [AUC])
    assert (result.verdict, result.evidence) == ("fail", (newest,))


async def test_a_comparison_counts_only_against_its_own_baseline(desk: Desk) -> None:
    better = Condition("delta_auc", at_least=0.0, baseline="thing/old")
    await desk.measured("delta_auc", 0.01, 0.02, baseline="thing/older")
    assert await desk.verdict(better) == "not_enough_evidence"
    await desk.measured("delta_auc", 0.01, 0.02, baseline="thing/old")
    assert await desk.verdict(better) == "pass"


@pytest.mark.parametrize(
    "condition",
    [
        Condition("auc"),
        Condition("", at_least=0.5),
        Condition("auc", at_least=float("nan")),
        Condition("auc", at_least=0.9, at_most=0.1),
        Condition("delta_auc", at_least=0.0),
    ],
)
async def test_a_condition_that_cannot_be_judged_is_refused(desk: Desk, condition: Condition) -> None:
    with pytest.raises(InvalidInput):
        await desk.verdict(condition)


async def test_a_gate_about_something_unknown_is_refused(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await desk.evidence.gate(LOCAL_ADMIN, "thing/nobody", [AUC])
    with pytest.raises(NotFound):
        await desk.verdict(Condition("delta_auc", at_least=0.0, baseline="thing/nobody"))


@pytest.mark.parametrize(
    "estimates",
    [
        (),
        (Estimate("a", 1, 0, 2, 5), Estimate("a", 1, 0, 2, 5)),
        (Estimate("a", float("inf"), 0, float("inf"), 5),),
        (Estimate("a", 3, 0, 2, 5),),
        (Estimate("a", 1, 0, 2, 0),),
    ],
)
async def test_evidence_that_contradicts_itself_is_refused(desk: Desk, estimates: tuple[Estimate, ...]) -> None:
    with pytest.raises(InvalidInput):
        await desk.evidence.record(LOCAL_ADMIN, EvidenceDraft("thing/new", estimates))


async def test_a_viewer_cannot_record_evidence(desk: Desk) -> None:
    viewer = Principal("v", "default", Role.viewer)
    with pytest.raises(Forbidden):
        await desk.evidence.record(viewer, EvidenceDraft("thing/new", (Estimate("a", 1, 0, 2, 5),)))


async def test_evidence_is_listed_newest_first_and_comparisons_are_found(desk: Desk) -> None:
    first = await desk.measured("delta_auc", 0, 1, baseline="thing/old")
    second = await desk.measured("auc", 0, 1)
    assert [item.id for item in await desk.evidence.list(LOCAL_ADMIN, "thing/new")] == [second, first]
    assert (await desk.evidence.compare(LOCAL_ADMIN, "thing/new", "thing/old")).id == first
    with pytest.raises(NotFound, match="never compared"):
        await desk.evidence.compare(LOCAL_ADMIN, "thing/new", "thing/older")


async def test_tenants_do_not_see_each_other(desk: Desk) -> None:
    await desk.measured("auc", 0.8, 0.9)
    with pytest.raises(NotFound):
        await desk.evidence.list(Principal("x", "elsewhere", Role.admin), "thing/new")
