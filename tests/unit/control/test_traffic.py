from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from twinloop.control.releases import traffic as transitions
from twinloop.control.releases.model import ReleaseEvent, Traffic
from twinloop.core.errors import InvalidInput, Refused

EMPTY = Traffic("say", "chat")


def test_the_first_release_goes_live_and_leaves_nothing_to_return_to() -> None:
    after = transitions.released(EMPTY, 1, "live", 0.1, 5)
    assert (after.live, after.previous, after.updated_ns) == (1, None, 5)


def test_a_canary_needs_a_live_release_to_stand_beside() -> None:
    with pytest.raises(Refused, match="no live release"):
        transitions.released(EMPTY, 1, "canary", 0.1, 5)


@pytest.mark.parametrize("weight", [0.0, 1.0, -0.1, 1.5])
def test_a_canary_takes_a_share_and_not_none_or_all(weight: float) -> None:
    live = transitions.released(EMPTY, 1, "live", 0.1, 5)
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        transitions.released(live, 2, "canary", weight, 6)


def test_promoting_the_canary_makes_the_old_release_the_one_to_return_to() -> None:
    live = transitions.released(EMPTY, 1, "live", 0.1, 5)
    after = transitions.promoted(transitions.released(live, 2, "canary", 0.1, 6), None, 7)
    assert (after.live, after.canary, after.weight, after.previous) == (2, None, 0.0, 1)


def test_rolling_back_with_a_canary_out_only_withdraws_the_canary() -> None:
    live = transitions.released(EMPTY, 1, "live", 0.1, 5)
    after = transitions.rolled_back(transitions.released(live, 2, "canary", 0.3, 6), None, [], 7)
    assert (after.live, after.canary, after.weight) == (1, None, 0.0)


def test_rolling_back_twice_walks_back_through_history_and_does_not_bounce() -> None:
    traffic, events = EMPTY, []
    for number in (1, 2, 3):
        traffic = transitions.released(traffic, number, "live", 0.1, number)
        events.insert(0, ReleaseEvent(number, number, "release", f"say@{number}", "live", "me", "", traffic))
    first = transitions.rolled_back(traffic, None, events, 10)
    second = transitions.rolled_back(first, None, events, 11)
    assert (first.live, second.live, second.previous) == (2, 1, None)
    with pytest.raises(Refused, match="no earlier release"):
        transitions.rolled_back(second, None, events, 12)


class TrafficMachine(RuleBasedStateMachine):
    """Any sequence of actions leaves traffic in which no release plays two parts."""

    def __init__(self) -> None:
        super().__init__()
        self.traffic = EMPTY
        self.events: list[ReleaseEvent] = []
        self.at = 0

    def _keep(self, action: str, after: Traffic) -> None:
        self.at += 1
        self.traffic = after
        event = ReleaseEvent(self.at, self.at, action, f"say@{after.live}", "live", "me", "", after)  # type: ignore[arg-type]
        self.events.insert(0, event)

    @rule(number=st.integers(1, 5), stage=st.sampled_from(["live", "canary", "shadow"]))
    def release(self, number: int, stage: str) -> None:
        try:
            self._keep("release", transitions.released(self.traffic, number, stage, 0.2, self.at))  # type: ignore[arg-type]
        except Refused:
            assert self.traffic.live in (None, number)

    @rule()
    def promote(self) -> None:
        try:
            self._keep("promote", transitions.promoted(self.traffic, None, self.at))
        except Refused:
            assert (self.traffic.canary, self.traffic.shadow) == (None, None)

    @rule()
    def rollback(self) -> None:
        try:
            self._keep("rollback", transitions.rolled_back(self.traffic, None, self.events, self.at))
        except Refused:
            assert self.traffic.canary is None

    @invariant()
    def no_release_plays_two_parts_among_those_that_answer(self) -> None:
        answering = [n for n in (self.traffic.live, self.traffic.canary, self.traffic.shadow) if n is not None]
        assert len(answering) == len(set(answering))

    @invariant()
    def once_live_always_live(self) -> None:
        assert self.traffic.live is not None or not self.events

    @invariant()
    def only_a_canary_has_a_weight(self) -> None:
        assert (self.traffic.canary is None) == (self.traffic.weight == 0.0)

    @invariant()
    def what_a_rollback_returns_to_is_not_what_is_live(self) -> None:
        assert self.traffic.previous is None or self.traffic.previous != self.traffic.live


TestTraffic = TrafficMachine.TestCase
