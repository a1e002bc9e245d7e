"""How each action changes the traffic of an endpoint. Pure, so that every transition can be tested alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from twinloop.control.releases.model import ReleaseEvent, Stage, State, Traffic
from twinloop.core.errors import InvalidInput, Refused


def released(traffic: Traffic, number: int, stage: Stage, weight: float, at_ns: int) -> Traffic:
    """Put release ``number`` at ``stage``; ``weight`` is the share of principals a canary answers, in (0, 1)."""
    if stage == "live":
        previous = traffic.previous if traffic.live == number else traffic.live
        return _settled(traffic, at_ns, live=number, previous=previous)
    if traffic.live is None:
        raise Refused(
            f"{traffic.endpoint} has no live release for a {stage} to stand beside. Release with stage live first."
        )
    if traffic.live == number:
        raise Refused(
            f"{traffic.endpoint}@{number} is live already and cannot be its own {stage}. Release other revisions."
        )
    if stage == "shadow":
        return _settled(traffic, at_ns, shadow=number, canary=_unless(traffic.canary, number))
    if not 0.0 < weight < 1.0:
        raise InvalidInput(f"A canary's weight must lie between 0 and 1, both excluded; it is {weight}.")
    return _settled(traffic, at_ns, canary=number, weight=weight, shadow=_unless(traffic.shadow, number))


def promoted(traffic: Traffic, number: int | None, at_ns: int) -> Traffic:
    """Make the canary (or the shadow, when there is no canary or ``number`` names it) live."""
    waiting = [n for n in (traffic.canary, traffic.shadow) if n is not None and number in (None, n)]
    if not waiting:
        raise Refused(
            f"{traffic.endpoint} has no such canary or shadow to promote. Release one with stage canary first."
        )
    return released(traffic, waiting[0], "live", 0.0, at_ns)


def rolled_back(traffic: Traffic, to: int | None, history: Sequence[ReleaseEvent], at_ns: int) -> Traffic:
    """Withdraw the canary if there is one, else return to ``to`` or to what was live before.

    ``history`` is newest first; it tells what to fall back to next time.
    """
    if to is None and traffic.canary is not None:
        return _settled(traffic, at_ns, canary=None)
    target = to if to is not None else traffic.previous
    if target is None:
        raise Refused(f"{traffic.endpoint} has no earlier release to roll back to. Name one with --to.")
    if target == traffic.live:
        raise Refused(f"{traffic.endpoint}@{target} is live already. Name another release with --to.")
    return _settled(traffic, at_ns, live=target, previous=live_before(target, history), canary=None)


def live_before(number: int, history: Sequence[ReleaseEvent]) -> int | None:
    """What was live when ``number`` first went live, or None when it was the first."""
    found: int | None = None
    for event in history:
        if event.traffic.live == number and event.action in ("release", "promote"):
            found = event.traffic.previous
    return found


def state_of(traffic: Traffic, number: int) -> State:
    for state in ("live", "canary", "shadow", "previous"):
        if getattr(traffic, state) == number:
            return state
    return "retired"


def loaded(traffic: Traffic) -> list[int]:
    """The releases that must be in memory: all that answer, and the one a rollback returns to."""
    numbers = (traffic.live, traffic.canary, traffic.shadow, traffic.previous)
    return sorted({number for number in numbers if number is not None})


def _settled(traffic: Traffic, at_ns: int, **changes: Any) -> Traffic:
    """``traffic`` with changes, such that no release plays two parts; unchanged, time included, when nothing differs."""
    after: Traffic = msgspec.structs.replace(traffic, **changes)
    after = msgspec.structs.replace(
        after,
        canary=_unless(after.canary, after.live),
        shadow=_unless(after.shadow, after.live),
        previous=_unless(after.previous, after.live),
    )
    if after.canary is None:
        after = msgspec.structs.replace(after, weight=0.0)
    return traffic if after == traffic else msgspec.structs.replace(after, updated_ns=at_ns)


def _unless(number: int | None, other: int | None) -> int | None:
    return None if number == other else number
