"""Verbs of releases: release, promote, roll back, list. The only code that moves what is live."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from twinloop.control.evaluation.model import Condition, GateResult
from twinloop.control.registry.model import Parent, Revision
from twinloop.control.registry.service import Registry
from twinloop.control.releases import repository
from twinloop.control.releases import traffic as transitions
from twinloop.control.releases.kind import RELEASE, release_of
from twinloop.control.releases.model import Action, Release, ReleaseEvent, ReleaseRequest, Stage, State, Traffic
from twinloop.control.releases.ports import EndpointType, Serving
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Store
from twinloop.core.clock import Clock, SystemClock
from twinloop.core.errors import Conflict, GateFailed, InvalidInput, NotFound, TwinloopError
from twinloop.core.events import Bus, Event
from twinloop.core.ids import check_name

log = logging.getLogger("twinloop.releases")

_HISTORY = 1_000


class Gate(Protocol):
    """Judges a revision by the evidence there is."""

    async def gate(self, who: Principal, subject: str, conditions: tuple[Condition, ...]) -> GateResult: ...


@dataclass(frozen=True)
class TrafficChanged(Event):
    """What answers at an endpoint is another release from now on."""

    traffic: Traffic


class Standing(msgspec.Struct, frozen=True):
    """A release and what it is doing now; ``weight`` is its share of principals."""

    release: Release
    state: State
    weight: float


class Releases:
    """Serialises changes per endpoint: check, gate, load, write, switch. A failure before the write changes nothing."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        types: Iterable[EndpointType],
        gate: Gate,
        serving: Serving,
        bus: Bus,
        clock: Clock | None = None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._types = {kind.name: kind for kind in types}
        self._gate = gate
        self._serving = serving
        self._bus = bus
        self._clock = clock or SystemClock()
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}

    async def release(self, who: Principal, endpoint: str, request: ReleaseRequest) -> Standing:
        """Pin revisions, pass the gate, load them, and let them answer at ``request.stage``.

        Raises:
            InvalidInput, NotFound: the pins do not fit the endpoint's type or do not exist.
            GateFailed: a condition is not met, or there is not enough evidence for it.
            Conflict: the endpoint exists with another type.
            Refused: a revision was deleted or rejected, or lacks the approvals that its card asks for.
        """
        who.require(Role.releaser)
        check_name(endpoint, "endpoint")
        kind = self._types.get(request.type)
        if kind is None:
            raise InvalidInput(
                f"There is no endpoint type {request.type}. Types are: {', '.join(sorted(self._types))}."
            )
        pins = {role: await self._registry.get(who, ref) for role, ref in sorted(request.pins.items())}
        kind.check(pins)
        async with self._lock(who.tenant, endpoint):
            before = await self._find(who, endpoint) or Traffic(endpoint, request.type)
            if before.type != request.type:
                raise Conflict(
                    f"{endpoint} is an endpoint of type {before.type}, not {request.type}. Choose another name."
                )
            await self._registry.require_approved(who, await self._registry.closure(who, pins.values()))
            gate = await self._judge(who, endpoint, kind.gate_subject(pins), request.gate)
            release = await self._register(who, endpoint, request, pins, gate)
            after = transitions.released(before, release.number, request.stage, request.weight, self._clock.now_ns())
            if after != before:
                await self._move(who, release, "release", request.stage, request.reason, after)
            return _standing(release, after)

    async def promote(self, who: Principal, endpoint: str, number: int | None = None, reason: str = "") -> Traffic:
        """Make the canary, or the shadow ``number``, live."""
        who.require(Role.releaser)
        async with self._lock(who.tenant, endpoint):
            before = await self.traffic(who, endpoint)
            after = transitions.promoted(before, number, self._clock.now_ns())
            release = await self.get(who, endpoint, after.live or 0)
            pins, required = await self.pinned(who, release)
            await self._registry.require_approved(who, [*pins.values(), *required])
            return await self._move(who, release, "promote", "live", reason, after)

    async def rollback(self, who: Principal, endpoint: str, to: int | None = None, reason: str = "") -> Traffic:
        """Withdraw the canary, or return to the release that was live before, or to release ``to``.

        A gate is not asked: going back to what was live must always be possible.
        """
        who.require(Role.releaser)
        async with self._lock(who.tenant, endpoint):
            before = await self.traffic(who, endpoint)
            events = await self.history(who, endpoint, _HISTORY)
            if to is not None and not any(to == event.traffic.live for event in events):
                raise NotFound(f"{endpoint}@{to} was never live. See what was with: twinloop releases {endpoint}")
            after = transitions.rolled_back(before, to, events, self._clock.now_ns())
            release = await self.get(who, endpoint, after.live or 0)
            return await self._move(who, release, "rollback", "live", reason, after)

    async def traffic(self, who: Principal, endpoint: str) -> Traffic:
        found = await self._find(who, endpoint)
        if found is None:
            raise NotFound(f"There is no endpoint {endpoint[:200]}. List endpoints with: twinloop releases")
        return found

    async def everything(self) -> list[tuple[str, Traffic]]:
        """The traffic of every tenant's endpoints, for the gateway's start."""
        return await self._store.read(repository.everything)

    async def get(self, who: Principal, endpoint: str, number: int) -> Release:
        return release_of(await self._registry.get(who, f"{RELEASE}/{endpoint}@{number}"))

    async def releases(self, who: Principal, endpoint: str, limit: int = 100) -> list[Standing]:
        """Releases of an endpoint, newest first, with what each is doing now."""
        who.require(Role.viewer)
        traffic = await self.traffic(who, endpoint)
        revisions = await self._registry.revisions(who, RELEASE, endpoint, limit)
        return [_standing(release_of(revision), traffic) for revision in revisions]

    async def history(self, who: Principal, endpoint: str, limit: int = 100) -> list[ReleaseEvent]:
        who.require(Role.viewer)
        return await self._store.read(lambda c: repository.history(c, who.tenant, endpoint, limit))

    async def pinned(self, who: Principal, release: Release) -> tuple[dict[str, Revision], list[Revision]]:
        """The revisions behind a release: by role, and those they require."""
        pins = {role: await self._registry.get(who, pin.digest) for role, pin in release.pins.items()}
        return pins, [await self._registry.get(who, pin.digest) for pin in release.required]

    async def _judge(
        self, who: Principal, endpoint: str, subject: Revision, conditions: tuple[Condition, ...]
    ) -> GateResult | None:
        if not conditions:
            return None
        result = await self._gate.gate(who, subject.digest, conditions)
        if result.verdict != "pass":
            reasons = "; ".join(finding.reason for finding in result.findings if finding.verdict != "pass")
            raise GateFailed(
                f"The gate of {endpoint} says {result.verdict.replace('_', ' ')} for {subject.ref}: {reasons}"
            )
        return result

    async def _register(
        self,
        who: Principal,
        endpoint: str,
        request: ReleaseRequest,
        pins: dict[str, Revision],
        gate: GateResult | None,
    ) -> Release:
        pinned = {revision.digest for revision in pins.values()}
        required = [r for r in await self._registry.closure(who, pins.values()) if r.digest not in pinned]
        manifest = {
            "endpoint": endpoint,
            "type": request.type,
            "pins": {role: {"ref": r.ref, "digest": r.digest} for role, r in pins.items()},
            "required": [{"ref": r.ref, "digest": r.digest} for r in required],
            "gate": msgspec.to_builtins(gate),
            "plan": request.plan,
        }
        parents = [Parent(role, r.digest) for role, r in pins.items()] + [
            Parent("requires", r.digest) for r in required
        ]
        return release_of((await self._registry.register(who, RELEASE, endpoint, manifest, parents)).revision)

    async def _move(
        self,
        who: Principal,
        release: Release,
        action: Action,
        stage: Stage,
        reason: str,
        after: Traffic,
    ) -> Traffic:
        """Load, then write, then switch: what can fail comes before what is durable.

        A rollback is urgent: what it could fall back to next is loaded only once requests are answered again.
        """
        later = after.previous if action == "rollback" else None
        for number in transitions.loaded(after):
            if number == later:
                continue
            await self._serving.prepare(
                who.tenant, release if number == release.number else await self.get(who, release.endpoint, number)
            )
        event = ReleaseEvent(0, after.updated_ns, action, release.ref, stage, who.name, reason, after)
        # Going back to what was live must always be possible, so a rollback asks for no approval.
        pinned = [] if action == "rollback" else [p.digest for p in (*release.pins.values(), *release.required)]
        await self._store.write(lambda c: repository.change(c, who.tenant, event, pinned))
        await self._serving.switch(who.tenant, after)
        await self._bus.publish(TrafficChanged(who.tenant, after))
        if later is not None:
            await self._keep_ready(who, after, later)
        return after

    async def _keep_ready(self, who: Principal, traffic: Traffic, number: int) -> None:
        """Load the release that the next rollback would return to; when it cannot be, that rollback will say so."""
        try:
            await self._serving.prepare(who.tenant, await self.get(who, traffic.endpoint, number))
            await self._serving.switch(who.tenant, traffic)
        except TwinloopError as error:
            log.warning("%s@%s is not kept ready: %s", traffic.endpoint, number, error.message)

    async def _find(self, who: Principal, endpoint: str) -> Traffic | None:
        return await self._store.read(lambda c: repository.get(c, who.tenant, endpoint))

    def _lock(self, tenant: str, endpoint: str) -> asyncio.Lock:
        return self._locks.setdefault((tenant, endpoint), asyncio.Lock())


def _standing(release: Release, traffic: Traffic) -> Standing:
    state = transitions.state_of(traffic, release.number)
    canary = traffic.weight if traffic.canary is not None else 0.0
    weight = {"live": 1.0 - canary, "canary": canary}.get(state, 0.0)
    return Standing(release, state, weight)
