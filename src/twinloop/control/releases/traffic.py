"""How each action changes the traffic of an endpoint. Pure, so that every transition can be tested alone."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from twinloop.control.releases.model import ReleaseEvent, Stage, State, Traffic
from twinloop.core.errors import InvalidInput, Refused


def released(traffic: Traffic, number: int, stage: Stage, weight: float, at_ns: int) -> Traffic:
    """Put release ``number`` at ``stage``; ``weight`` is the share of principals a canary answers, in (0, 1)."""
    change = msgspec.structs.replace
    if stage == "live":
        if traffic.live == number:
            return change(traffic, canary=_unless(traffic.canary, number), shadow=_unless(traffic.shadow, number))
        return change(
            traffic,
            live=number,
            previous=traffic.live,
            canary=_unless(traffic.canary, number),
            weight=0.0 if traffic.canary in (None, number) else traffic.weight,
            shadow=_unless(traffic.shadow, number),
            updated_ns=at_ns,
        )
    if traffic.live is None:
        raise Refused(
            f"{traffic.endpoint} has no live release for a {stage} to stand beside. Release with stage live first."
        )
    if traffic.live == number:
        raise Refused(
            f"{traffic.endpoint}@{number} is live already and cannot be its own {stage}. Release other revisions."
        )
    if stage == "shadow":
        return change(traffic, shadow=number, canary=_unless(traffic.canary, number), updated_ns=at_ns)
    if not 0.0 < weight < 1.0:
        raise InvalidInput(f"A canary's weight must lie between 0 and 1, both excluded; it is {weight}.")
    return change(traffic, canary=number, weight=weight, shadow=_unless(traffic.shadow, number), updated_ns=at_ns)


def promoted(traffic: Traffic, number: int | None, at_ns: int) -> Traffic:
    """Make the canary (or, when ``number`` names it, the shadow) live."""
    chosen = number if number is not None else traffic.canary if traffic.canary is not None else traffic.shadow
    if chosen is None or chosen not in (traffic.canary, traffic.shadow):
        raise Refused(
            f"{traffic.endpoint} has no such canary or shadow to promote. Release one with stage canary first."
        )
    moved = released(traffic, chosen, "live", 0.0, at_ns)
    return msgspec.structs.replace(moved, weight=moved.weight if moved.canary is not None else 0.0)


def rolled_back(traffic: Traffic, to: int | None, history: Sequence[ReleaseEvent], at_ns: int) -> Traffic:
    """Withdraw the canary if there is one, else return to ``to`` or to what was live before.

    ``history`` is newest first; it tells what to fall back to next time.
    """
    if to is None and traffic.canary is not None:
        return msgspec.structs.replace(traffic, canary=None, weight=0.0, updated_ns=at_ns)
    target = to if to is not None else traffic.previous
    if target is None:
        raise Refused(f"{traffic.endpoint} has no earlier release to roll back to. Name one with --to.")
    if target == traffic.live:
        raise Refused(f"{traffic.endpoint}@{target} is live already. Name another release with --to.")
    return msgspec.structs.replace(
        traffic,
        live=target,
        previous=live_before(target, history),
        canary=None,
        weight=0.0,
        shadow=_unless(traffic.shadow, target),
        updated_ns=at_ns,
    )


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


def _unless(number: int | None, other: int) -> int | None:
    return None if number == other else number
