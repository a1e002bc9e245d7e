"""Points of metrics: the last of a series, histories of several runs, samples for pictures, and series of old databases."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from twinloop.backends.sqlite import open_store
from twinloop.control.security.model import LOCAL_ADMIN
from twinloop.control.store.ports import Store
from twinloop.control.tracking.model import Metric, Query
from twinloop.control.tracking.service import Tracking
from twinloop.control.tracking.tables import UNPLACED, latest_metrics
from twinloop.core.clock import ManualClock
from twinloop.core.errors import InvalidInput, NotFound

WHO = LOCAL_ADMIN
LARGEST = 1.7976931348623157e308


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(tmp_path / "twinloop.db")
    yield opened
    await opened.aclose()


@pytest.fixture
def tracking(store: Store) -> Tracking:
    return Tracking(store, ManualClock())


points = st.builds(
    Metric,
    st.sampled_from(("a", "b")),
    st.sampled_from((0.0, 1.0, -1.0, math.nan, math.inf, 5e-324)),
    st.integers(0, 3),
    st.integers(-2, 2),
)


def _kept(point: Metric) -> tuple[int, int, float, bool]:
    value = max(-LARGEST, min(LARGEST, point.value)) if point.value == point.value else 0.0
    return point.at_ms, point.step, value, point.value != point.value


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(points, min_size=1, max_size=12), min_size=1, max_size=5))
async def test_however_points_come_each_is_kept_once_and_the_last_is_the_last(
    tracking: Tracking, batches: list[list[Metric]]
) -> None:
    run = await tracking.create(WHO)
    for batch in batches:
        await tracking.log(WHO, run.id, metrics=batch)
    every = [point for batch in batches for point in batch]
    shown = {point.key: point for point in (await tracking.get(WHO, run.id)).metrics}
    for key in ("a", "b"):
        mine = {_kept(point) for point in every if point.key == key}
        page = await tracking.history(WHO, run.id, key)
        assert [_kept(point) for point in page.items] == sorted(mine)
        assert (key in shown) == bool(mine)
        if mine:
            # Highest step, then time, then value; NaN counts as 0 there, as MLflow's own store has it.
            last = max((step, at_ms, value) for at_ms, step, value, _ in mine)
            at_ms, step, value, _ = _kept(shown[key])
            assert (step, at_ms, value) == last


async def test_a_long_batch_is_one_series_a_key(tracking: Tracking) -> None:
    run = await tracking.create(WHO)
    keys = [f"layer {number}" for number in range(700)]
    shuffled = [Metric(key, float(step), step, step) for key in keys for step in range(3)]
    random.Random(1).shuffle(shuffled)
    await tracking.log(WHO, run.id, metrics=shuffled)
    await tracking.log(WHO, run.id, metrics=[Metric(key, 9.0, 9, 9) for key in keys[:650]])
    last = {point.key: point.value for point in (await tracking.get(WHO, run.id)).metrics}
    assert last == {key: 9.0 if number < 650 else 2.0 for number, key in enumerate(keys)}
    assert [point.step for point in (await tracking.history(WHO, run.id, "layer 0")).items] == [0, 1, 2, 9]


async def test_a_hundred_thousand_points_are_read_in_pages_without_gap_or_repeat(tracking: Tracking) -> None:
    run = await tracking.create(WHO)
    for begin in range(0, 100_000, 10_000):
        batch = [Metric("loss", 1 / (n + 1), 1_700_000_000_000 + n // 10, n) for n in range(begin, begin + 10_000)]
        await tracking.log(WHO, run.id, metrics=batch)
    steps: list[int] = []
    token = None
    while True:
        page = await tracking.history(WHO, run.id, "loss", 25_000, token)
        steps += [point.step for point in page.items]
        token = page.next
        if token is None:
            break
    assert steps == list(range(100_000))
    whole = await tracking.history(WHO, run.id, "loss")
    assert (len(whole.items), whole.next) == (100_000, None)


async def test_histories_of_several_runs_share_one_limit(tracking: Tracking) -> None:
    runs = sorted([(await tracking.create(WHO)).id for _ in range(3)])
    for run in runs:
        await tracking.log(WHO, run, metrics=[Metric("m", float(n), n) for n in range(4)])
    found = await tracking.histories(WHO, [runs[2], runs[0], runs[1], runs[0], "none"], "m", 6)
    assert [(run, len(series)) for run, series in found if series] == [(runs[0], 4), (runs[1], 2)]


@pytest.mark.parametrize(
    ("total", "most", "steps", "expected"),
    [
        (10, 20, None, list(range(10))),
        (10, 5, None, [0, 2, 4, 6, 9]),
        (20, 7, None, [0, 3, 6, 9, 12, 15, 19]),
        (10, 1, None, [9]),
        (10, 3, (2, 7), [2, 4, 7]),
        (10, 3, (20, 30), []),
    ],
)
async def test_a_sample_is_spread_evenly_and_has_the_last_point(
    tracking: Tracking, total: int, most: int, steps: tuple[int, int] | None, expected: list[int]
) -> None:
    run = await tracking.create(WHO)
    await tracking.log(WHO, run.id, metrics=[Metric("m", float(n), 1, n) for n in range(total)])
    [(id, found), (_, nothing)] = await tracking.samples(WHO, [run.id, "none"], "m", most, steps)
    assert (id, [point.step for point in found], nothing) == (run.id, expected, ())


async def test_points_say_what_was_measured_on_what(tracking: Tracking) -> None:
    run = await tracking.create(WHO)
    point = Metric("acc", 0.5, 1, 1, "m-" + "0" * 32, "test", "d1")
    await tracking.log(WHO, run.id, metrics=[Metric("acc", 0.4, 1, 0), point])
    assert (await tracking.get(WHO, run.id)).metrics == (point,)
    assert (await tracking.history(WHO, run.id, "acc")).items == (Metric("acc", 0.4, 1, 0), point)


async def test_the_history_of_a_run_that_is_not_there_is_an_error(tracking: Tracking) -> None:
    with pytest.raises(NotFound):
        await tracking.history(WHO, "0" * 32, "m")
    for limit in (0, 1_000_001):
        with pytest.raises(InvalidInput, match="max_results"):
            await tracking.history(WHO, "0" * 32, "m", limit)


async def test_series_from_before_their_experiment_was_kept_are_placed_at_the_first_use(
    tracking: Tracking, store: Store
) -> None:
    run = await tracking.create(WHO)
    await tracking.log(WHO, run.id, metrics=[Metric("m", 1.0, 1), Metric("n", 2.0, 1)])
    await store.write(lambda c: c.execute(update(latest_metrics).values(experiment=UNPLACED)))
    later = Tracking(store, ManualClock())
    for query in (Query("metrics.m = 1"), Query(order=("metrics.n DESC",)), Query("metrics.m < 5 AND metrics.n > 1")):
        assert [found.id for found in (await later.search(WHO, ["0"], query)).items] == [run.id]
