"""The paced load: every request is sent on time and accounted for."""

from __future__ import annotations

import threading
import time

import pytest

from twinloop.core.errors import InvalidInput, Unavailable
from twinloop.sdk.load import PacedLoad


def test_the_rate_is_kept() -> None:
    with PacedLoad(lambda: "e@1", rate=100, workers=4) as load:
        time.sleep(1.0)
    report = load.report()
    assert 80 <= report.requests <= 120
    assert report.failed == 0
    assert report.releases == {"e@1": report.requests}


def test_slow_answers_do_not_lower_the_rate_while_workers_are_free() -> None:
    def slow() -> str:
        time.sleep(0.05)
        return "e@1"

    with PacedLoad(slow, rate=60, workers=16) as load:
        time.sleep(1.0)
    assert load.report().requests >= 48


def test_failures_are_counted_and_told_apart() -> None:
    numbers = iter(range(10_000))
    lock = threading.Lock()

    def flaky() -> str:
        with lock:
            number = next(numbers)
        if number % 2:
            raise Unavailable("No Twinloop answers.")
        return "e@1"

    with PacedLoad(flaky, rate=100, workers=2) as load:
        time.sleep(0.4)
    report = load.report()
    assert abs(report.failed - report.requests / 2) <= 1
    assert report.errors == ["unavailable: No Twinloop answers."]


def test_the_first_answer_of_a_release_is_timed_from_a_moment() -> None:
    live = ["e@2"]
    with PacedLoad(lambda: live[0], rate=200, workers=2) as load:
        time.sleep(0.2)
        moment = time.perf_counter()
        live[0] = "e@1"
        time.sleep(0.2)
    waited = load.first_answer("e@1", moment)
    assert waited is not None
    assert 0 <= waited < 0.1
    assert load.first_answer("e@9", moment) is None


@pytest.mark.parametrize(("rate", "workers"), [(0, 1), (-1, 1), (1, 0)])
def test_a_load_without_requests_is_refused(rate: float, workers: int) -> None:
    with pytest.raises(InvalidInput):
        PacedLoad(lambda: "e@1", rate=rate, workers=workers)
