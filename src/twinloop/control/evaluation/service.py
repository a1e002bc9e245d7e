"""Verbs of evaluation: record evidence, list it, compare two revisions, decide a gate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from twinloop.control.evaluation import repository
from twinloop.control.evaluation.gates import check_condition, decide
from twinloop.control.evaluation.model import Condition, Estimate, Evidence, GateResult, Slice
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Store
from twinloop.core.clock import Clock, SystemClock
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.core.ids import new_id

_LOOKBACK = 200


class EvidenceDraft(msgspec.Struct, frozen=True):
    """Evidence to record; ``subject``, ``dataset`` and ``baseline`` are revision references."""

    subject: str
    estimates: tuple[Estimate, ...]
    dataset: str | None = None
    baseline: str | None = None
    slices: tuple[Slice, ...] = ()
    note: str = ""


class EvidenceBook:
    """Keeps evidence tied to the revisions it is about, and reads gates from it."""

    def __init__(self, store: Store, registry: Registry, clock: Clock | None = None) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock or SystemClock()

    async def record(self, who: Principal, draft: EvidenceDraft) -> Evidence:
        """Keep evidence. It is never altered; a later one about the same subject is read first by gates.

        Raises:
            InvalidInput: no estimate, a name that comes twice, an interval that does not hold its value.
            NotFound: subject, dataset or baseline is no revision.
        """
        who.require(Role.developer)
        _check_estimates(draft.estimates)
        for part in draft.slices:
            _check_estimates(part.estimates)
        evidence = Evidence(
            id=new_id(),
            subject=await self._digest(who, draft.subject),
            dataset=None if draft.dataset is None else await self._digest(who, draft.dataset),
            baseline=None if draft.baseline is None else await self._digest(who, draft.baseline),
            estimates=draft.estimates,
            slices=draft.slices,
            created_ns=self._clock.now_ns(),
            created_by=who.name,
            note=draft.note,
        )
        await self._store.write(lambda c: repository.add(c, who.tenant, evidence))
        return evidence

    async def list(self, who: Principal, subject: str, limit: int = 50) -> Sequence[Evidence]:
        """Evidence about the revision ``subject`` (a reference or digest), newest first."""
        if not 1 <= limit <= _LOOKBACK:
            raise InvalidInput(f"limit must be between 1 and {_LOOKBACK}.")
        digest = await self._digest(who, subject)
        return await self._store.read(lambda c: repository.of_subject(c, who.tenant, digest, limit))

    async def compare(self, who: Principal, subject: str, baseline: str) -> Evidence:
        """The newest paired comparison of two revisions. Raises NotFound when they were never compared."""
        against = await self._digest(who, baseline)
        for item in await self.list(who, subject, _LOOKBACK):
            if item.baseline == against:
                return item
        raise NotFound(f"{subject} was never compared with {baseline}. Evaluate it with that baseline first.")

    async def gate(self, who: Principal, subject: str, conditions: Sequence[Condition]) -> GateResult:
        """Judge ``subject`` by the newest evidence for each condition. No condition passes without evidence.

        Raises:
            InvalidInput: a condition without a bound.
            NotFound: the subject or a baseline is no revision.
        """
        for condition in conditions:
            check_condition(condition)
        baselines = [
            None if condition.baseline is None else await self._digest(who, condition.baseline)
            for condition in conditions
        ]
        return decide(conditions, await self.list(who, subject, _LOOKBACK), baselines)

    async def _digest(self, who: Principal, ref: str) -> str:
        return (await self._registry.get(who, ref)).digest


def _check_estimates(estimates: Sequence[Estimate]) -> None:
    names = [estimate.metric for estimate in estimates]
    if not names or len(set(names)) != len(names):
        raise InvalidInput("Evidence needs at least one estimate, and each metric once.")
    for estimate in estimates:
        if not all(math.isfinite(number) for number in (estimate.value, estimate.low, estimate.high)):
            raise InvalidInput(f"The estimate of {estimate.metric} is not finite. Leave it out instead.")
        if not estimate.low <= estimate.value <= estimate.high or estimate.n < 1:
            raise InvalidInput(f"The interval of {estimate.metric} does not hold its value, or it has no rows.")
