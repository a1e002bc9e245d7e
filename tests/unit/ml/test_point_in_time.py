"""The join against a plain reading of its definition, row by row in Python, on random tables."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.ml.lane import ME, START, Lane, hour, micros, open_lane, table
from twinloop.core.errors import InvalidInput
from twinloop.ml.features.model import (
    Column,
    Count,
    Feature,
    FeatureView,
    Max,
    Mean,
    Min,
    Rate,
    Sum,
    microseconds,
)

Row = dict[str, Any]

FEATURES: tuple[Feature, ...] = (
    Column("last_v", of="v"),
    Column("last_s", type="string", of="s"),
    Mean("mean_v", of="v", window="4h"),
    Sum("sum_v", of="v", window="2h"),
    Min("min_v", of="v", window="4h"),
    Max("max_v", of="v", window="1h"),
    Rate("rate_b", of="b", window="3h"),
    Count("count_2h", window="2h"),
)


def naive(rows: Sequence[Row], view: FeatureView, entity: Any, at: datetime | None) -> Row:
    """The features of ``entity`` at ``at``, by the words of FeatureView's definition."""
    nothing = {feature.name: None for feature in view.features}
    if entity is None or at is None:
        return nothing
    delay = timedelta(microseconds=view.delay_us)
    mine = [(row["t"] + delay, row) for row in rows if row["e"] == entity and row["t"] is not None]
    known = [moment for moment, _ in mine if moment <= at]
    if not known:
        return nothing
    k = max(known)
    if view.ttl_us is not None and at - k > timedelta(microseconds=view.ttl_us):
        return nothing
    last = [row for moment, row in mine if moment == k][-1]
    return {feature.name: naive_feature(feature, [m for m in mine if m[0] <= k], last, k) for feature in view.features}


def naive_feature(feature: Feature, mine: Sequence[tuple[datetime, Row]], last: Row, k: datetime) -> Any:
    if isinstance(feature, Column):
        return last[feature.of or feature.name]
    since = k - timedelta(microseconds=microseconds(feature.window))
    window = [row for moment, row in mine if since < moment <= k]
    if isinstance(feature, Count):
        return len(window)
    values = [row[feature.of] for row in window if row[feature.of] is not None]
    if not values:
        return None
    if isinstance(feature, Mean | Rate):
        return sum(values) / len(values)
    return {Sum: sum, Min: min, Max: max}[type(feature)](values)


minutes = st.integers(-60, 60 * 12)
moments = minutes.map(lambda m: START + timedelta(minutes=m))
fine_moments = st.integers(0, 20).map(lambda u: START + timedelta(microseconds=u))
entities = st.sampled_from(["a", "b", "c", None])
numbers = st.one_of(st.none(), st.integers(-5, 5).map(float))


def event_rows(times: st.SearchStrategy[datetime]) -> st.SearchStrategy[list[Row]]:
    row = st.fixed_dictionaries(
        {
            "e": entities,
            "t": st.one_of(times, st.none()),
            "v": numbers,
            "s": st.sampled_from(["x", "y", None]),
            "b": st.sampled_from([True, False, None]),
        }
    )
    return st.lists(row, max_size=25)


def label_rows(times: st.SearchStrategy[datetime]) -> st.SearchStrategy[list[Row]]:
    return st.lists(st.fixed_dictionaries({"e": entities, "at": st.one_of(times, st.none())}), max_size=15)


def events(rows: list[Row]) -> pa.Table:
    return table(rows, e=pa.string(), t=pa.timestamp("us"), v=pa.float64(), s=pa.string(), b=pa.bool_())


def labels(rows: list[Row]) -> pa.Table:
    numbered = [{**row, "id": number} for number, row in enumerate(rows)]
    return table(numbered, e=pa.string(), at=pa.timestamp("us"), id=pa.int64())


async def joined(lane: Lane, happened: list[Row], asked: list[Row], view: FeatureView) -> list[Row]:
    source = await lane.snapshot("events", events(happened))
    frame = await lane.snapshot("labels", labels(asked))
    defined = await lane.features.define(ME, view)
    sources = {"events": source.ref}
    made = await lane.features.join(ME, "joined", frame.ref, [defined.revision.ref], "at", sources)
    return await lane.rows(made.revision.ref)


def same(found: Any, wanted: Any) -> bool:
    if isinstance(found, float) and isinstance(wanted, int | float):
        return math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-9)
    return bool(found == wanted)


class Shared:
    """One lane for all examples of this module, driven from plain functions as hypothesis calls them."""

    def __init__(self, runner: asyncio.Runner, lane: Lane) -> None:
        self._runner = runner
        self._lane = lane

    def run(self, check: Callable[[Lane], Coroutine[Any, Any, None]]) -> None:
        self._runner.run(check(self._lane))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    async def opened() -> Lane:
        return open_lane(tmp_path_factory.mktemp("lane"))

    with asyncio.Runner() as runner:
        lane = runner.run(opened())
        yield Shared(runner, lane)
        runner.run(lane.store.aclose())


slowly = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ttls = st.sampled_from([None, "30m", "3h"])
delays = st.sampled_from(["0s", "45m"])


def check_against_naive(shared: Shared, happened: list[Row], asked: list[Row], ttl: str | None, delay: str) -> None:
    view = FeatureView("v", "events", ("e",), FEATURES, event_time="t", ttl=ttl, delay=delay)

    async def check(lane: Lane) -> None:
        found = await joined(lane, happened, asked, view)
        assert [row["id"] for row in found] == list(range(len(asked)))
        for label, row in zip(asked, found, strict=True):
            wanted = naive(happened, view, label["e"], label["at"])
            for name, value in wanted.items():
                assert same(row[name], value), (name, row[name], value, label)

    shared.run(check)


@slowly
@given(event_rows(moments), label_rows(moments), ttls, delays)
def test_join_gives_what_the_definition_says(
    shared: Shared, happened: list[Row], asked: list[Row], ttl: str | None, delay: str
) -> None:
    check_against_naive(shared, happened, asked, ttl, delay)


@slowly
@given(event_rows(fine_moments), label_rows(fine_moments))
def test_join_is_exact_to_the_microsecond(shared: Shared, happened: list[Row], asked: list[Row]) -> None:
    check_against_naive(shared, happened, asked, None, "0s")


@slowly
@given(event_rows(moments), event_rows(moments), st.integers(0, 60 * 12), st.randoms())
def test_rows_of_the_future_never_change_a_result(
    shared: Shared, happened: list[Row], later: list[Row], minute: int, random: Any
) -> None:
    now = START + timedelta(minutes=minute)
    asked = [{"e": entity, "at": now - timedelta(minutes=back)} for entity in "abc" for back in (0, 1, 90)]
    future = [{**row, "t": now + timedelta(seconds=1 + number)} for number, row in enumerate(later)]
    view = FeatureView("v", "events", ("e",), FEATURES, event_time="t")
    mixed = list(happened)
    for row in future:
        mixed.insert(random.randint(0, len(mixed)), row)

    async def check(lane: Lane) -> None:
        without = await joined(lane, happened, asked, view)
        assert await joined(lane, mixed, asked, view) == without

    shared.run(check)


@slowly
@given(event_rows(moments), st.integers(-60, 60 * 12), ttls, delays)
def test_online_values_are_those_of_the_join_at_the_same_moment(
    shared: Shared, happened: list[Row], minute: int, ttl: str | None, delay: str
) -> None:
    now = START + timedelta(minutes=minute)
    view = FeatureView("v", "events", ("e",), FEATURES, event_time="t", ttl=ttl, delay=delay)

    async def check(lane: Lane) -> None:
        rows = await joined(lane, happened, [{"e": entity, "at": now} for entity in "abc"], view)
        source = await lane.snapshot("events", events(happened))
        [bound] = await lane.features.views(ME, [(await lane.features.define(ME, view)).revision.ref])
        await lane.features.materialize(ME, [bound.ref], micros(now), {"events": source.ref})
        names = [feature.name for feature in view.features]
        for entity, row in zip("abc", rows, strict=True):
            value = await lane.features.online(ME, bound.ref, {"e": entity})
            found = dict.fromkeys(names) if value is None else dict(zip(names, value.values, strict=True))
            assert {name: row[name] for name in names} == found

    shared.run(check)


async def test_of_rows_known_at_the_same_moment_the_last_one_counts_and_none_is_doubled(lane: Lane) -> None:
    happened = [{"e": "a", "t": hour(1), "v": float(n), "s": str(n), "b": None} for n in range(50)]
    view = FeatureView("v", "events", ("e",), (Column("v"), Count("n", window="1h")), event_time="t")
    found = await joined(lane, happened, [{"e": "a", "at": hour(1)}] * 3, view)
    assert [(row["v"], row["n"]) for row in found] == [(49.0, 50)] * 3


async def test_a_source_of_microseconds_over_centuries_still_orders_exactly(lane: Lane) -> None:
    happened = [
        {"e": "a", "t": datetime(1700, 1, 1, 0, 0, 0, 1), "v": 1.0, "s": None, "b": None},
        {"e": "a", "t": datetime(2200, 1, 1), "v": 2.0, "s": None, "b": None},
    ] + [{"e": "b", "t": hour(n), "v": float(n), "s": None, "b": None} for n in range(2000)]
    view = FeatureView("v", "events", ("e",), (Column("v"),), event_time="t")
    asked = [
        {"e": "a", "at": datetime(1700, 1, 1)},
        {"e": "a", "at": datetime(1700, 1, 1, 0, 0, 0, 1)},
        {"e": "a", "at": datetime(2199, 1, 1)},
        {"e": "a", "at": datetime(2250, 1, 1)},
    ]
    assert [row["v"] for row in await joined(lane, happened, asked, view)] == [None, 1.0, 1.0, 2.0]


async def test_a_static_view_takes_the_last_row_of_each_entity(lane: Lane) -> None:
    await lane.snapshot(
        "planes", [{"tail": "N1", "year": 1999}, {"tail": "N1", "year": 2001}, {"tail": "N2", "year": None}]
    )
    await lane.features.define(ME, FeatureView("planes", "planes", ("tail",), (Column("built", of="year"),)))
    frame = await lane.snapshot("frame", [{"tail": tail, "at": hour(0)} for tail in ("N2", "N1", "N9", "N1")])
    made = await lane.features.join(ME, "j", frame.ref, ["planes"], "at")
    assert [row["built"] for row in await lane.rows(made.revision.ref)] == [None, 2001.0, None, 2001.0]


async def test_a_view_may_take_its_keys_from_the_view_before_it(lane: Lane) -> None:
    await lane.snapshot("schedule", [{"flight": 7, "dest": "BOS"}])
    await lane.snapshot(
        "routes", [{"dest": "BOS", "t": hour(1), "late": True}, {"dest": "BOS", "t": hour(2), "late": False}]
    )
    await lane.features.define(
        ME, FeatureView("schedule", "schedule", ("flight:int64",), (Column("dest", type="string"),))
    )
    route = FeatureView("route", "routes", ("dest",), (Rate("late_1d", of="late", window="1d"),), event_time="t")
    await lane.features.define(ME, route)
    frame = await lane.snapshot(
        "frame", [{"flight": 7, "at": hour(1)}, {"flight": 7, "at": hour(3)}, {"flight": 8, "at": hour(3)}]
    )
    made = await lane.features.join(ME, "j", frame.ref, ["schedule", "route"], "at")
    assert [(row["dest"], row["late_1d"]) for row in await lane.rows(made.revision.ref)] == [
        ("BOS", 1.0),
        ("BOS", 0.5),
        (None, None),
    ]
    with pytest.raises(InvalidInput, match="needs the key 'dest'"):
        await lane.features.join(ME, "j", frame.ref, ["route", "schedule"], "at")


async def test_a_join_records_labels_views_and_sources_and_is_the_same_again(lane: Lane) -> None:
    view = FeatureView("v", "events", ("e",), (Column("v"),), event_time="t")
    happened = [{"e": "a", "t": hour(1), "v": 1.0, "s": None, "b": None}]
    await joined(lane, happened, [{"e": "a", "at": hour(2)}], view)
    made = await lane.registry.get(ME, "dataset/joined")
    again = await lane.features.join(ME, "joined", "labels", ["v"], "at")
    assert (again.created, again.revision.ref) == (False, made.ref)
    named = {
        role: (await lane.registry.get(ME, digest)).ref
        for role, digest in ((parent.role, parent.digest) for parent in made.parents)
    }
    assert named == {"labels": "dataset/labels@1", "view": "feature_view/v@1", "source": "dataset/events@1"}


async def test_new_rows_in_the_source_do_not_change_the_view(lane: Lane) -> None:
    view = FeatureView("v", "events", ("e",), (Column("v"),), event_time="t")
    first = await lane.features.define(ME, view)
    await joined(lane, [{"e": "a", "t": hour(1), "v": 1.0, "s": None, "b": None}], [{"e": "a", "at": hour(2)}], view)
    again = await lane.features.define(ME, view)
    assert (again.created, again.revision.ref) == (False, first.revision.ref)


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (FeatureView("v", "events", ("e",), (Column("nope"),), event_time="t"), "'nope'"),
        (FeatureView("v", "events", ("e",), (Rate("r", of="v", window="1h"),), event_time="t"), "as bool"),
        (FeatureView("v", "events", ("e",), (Column("v"),), event_time="s"), "as timestamp"),
        (FeatureView("v", "events", ("e:int64",), (Column("v"),), event_time="t"), "as int64"),
        (FeatureView("v", "events", ("e",), (Column("id", of="v"),), event_time="t"), "is a column already"),
    ],
)
async def test_a_view_that_does_not_fit_is_refused_by_name(lane: Lane, view: FeatureView, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        await joined(lane, [], [], view)


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (FeatureView("v", "d", (), (Column("x"),)), "at least one entity"),
        (FeatureView("v", "d", ("e",), (Column("x"), Column("x"))), "'x' twice"),
        (FeatureView("v", "d", ("e",), (Count("n", window="1h"),)), "needs an event_time"),
        (FeatureView("v", "d", ("e",), (Count("n", window="soon"),), event_time="t"), "not a duration"),
        (FeatureView("v", "d", ("e",), (Count("n", window="0h"),), event_time="t"), "is zero"),
        (FeatureView("v", "d", ('e"; DROP',), (Column("x"),)), "cannot be an entity"),
        (FeatureView("v", "d", ("e",), (Column("known_at"),)), "kept for Twinloop"),
    ],
)
async def test_a_declaration_that_makes_no_sense_is_refused(lane: Lane, view: FeatureView, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        await lane.features.define(ME, view)
