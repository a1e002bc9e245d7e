"""Aggregates over traces, spans and assessments, and how strongly two filters go together."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.toys import Toy
from tests.tracing import BEGAN_MS, key, span, told, trace
from twinloop.control.security.model import LOCAL_ADMIN
from twinloop.control.tracing.correlation import Counts, correlation
from twinloop.control.tracing.info import Assessment
from twinloop.control.tracing.measures import Aggregation, Point, Question, percentile
from twinloop.core.errors import InvalidInput

WHO = LOCAL_ADMIN


def question(view: Any, metric: str, *kinds: str, **more: Any) -> Question:
    aggregations = tuple(
        Aggregation("PERCENTILE", float(kind[1:])) if kind[0] == "P" else Aggregation(kind) for kind in kinds
    )
    return Question((0,), view, metric, aggregations, **more)


async def measured(toy: Toy, *asked: Any, **more: Any) -> list[tuple[dict[str, str], dict[str, float]]]:
    points: list[Point] = await toy.tracing.measure(WHO, question(*asked, **more))
    return [(point.dimensions, point.values) for point in points]


async def test_traces_are_counted_by_state_and_by_name(toy: Toy) -> None:
    for number, (title, state) in enumerate([("a", "OK"), ("a", "ERROR"), ("b", "OK"), (None, "OK")]):
        tags = {} if title is None else {"mlflow.traceName": title}
        await toy.tracing.infos.start(WHO, told(number, state=state, tags=tags))
    assert await measured(toy, "TRACES", "trace_count", "COUNT") == [({}, {"COUNT": 4})]
    assert await measured(toy, "TRACES", "trace_count", "COUNT", dimensions=("trace_status",)) == [
        ({"trace_status": "ERROR"}, {"COUNT": 1}),
        ({"trace_status": "OK"}, {"COUNT": 3}),
    ]
    assert await measured(toy, "TRACES", "trace_count", "COUNT", dimensions=("trace_name", "trace_status")) == [
        ({"trace_name": "a", "trace_status": "ERROR"}, {"COUNT": 1}),
        ({"trace_name": "a", "trace_status": "OK"}, {"COUNT": 1}),
        ({"trace_name": "b", "trace_status": "OK"}, {"COUNT": 1}),
    ]


async def test_latency_is_spread_over_the_traces_of_a_time_bucket(toy: Toy) -> None:
    random = Random(5)
    hour = 3_600_000
    first = BEGAN_MS // hour * hour
    made: dict[int, list[int]] = defaultdict(list)
    for number in range(60):
        at_ms, ms = first + random.randrange(3 * hour), random.randrange(1000)
        await toy.tracing.infos.start(WHO, told(number, request_ms=at_ms, duration_ms=ms))
        made[at_ms // hour].append(ms)
    more = {"interval_s": 3600, "from_ms": first, "until_ms": first + 3 * hour}
    found = await measured(toy, "TRACES", "latency", "AVG", "MIN", "MAX", "P50", "P90.5", **more)
    assert [point[0]["time_bucket"] for point in found] == [
        "2023-11-14T22:00:00+00:00",
        "2023-11-14T23:00:00+00:00",
        "2023-11-15T00:00:00+00:00",
    ]
    for (_, values), bucket in zip(found, sorted(made), strict=True):
        of_bucket = sorted(made[bucket])
        assert values["AVG"] == pytest.approx(statistics.fmean(of_bucket))
        assert (values["MIN"], values["MAX"]) == (of_bucket[0], of_bucket[-1])
        assert values["P50.0"] == statistics.median(of_bucket)
        assert values["P90.5"] == pytest.approx(statistics.quantiles(of_bucket, n=200, method="inclusive")[180])


async def test_an_interval_longer_than_any_time_puts_all_in_one_bucket(toy: Toy) -> None:
    for number in range(2):
        await toy.tracing.infos.start(WHO, told(number, request_ms=BEGAN_MS + number))
    more = {"interval_s": 10**18, "from_ms": 0, "until_ms": 10**18}
    found = await measured(toy, "TRACES", "trace_count", "COUNT", **more)
    assert found == [({"time_bucket": "1970-01-01T00:00:00+00:00"}, {"COUNT": 2})]


async def test_a_range_includes_both_its_ends(toy: Toy) -> None:
    for number in range(5):
        await toy.tracing.infos.start(WHO, told(number, request_ms=BEGAN_MS + number))
    more = {"from_ms": BEGAN_MS + 1, "until_ms": BEGAN_MS + 3}
    assert await measured(toy, "TRACES", "trace_count", "COUNT", **more) == [({}, {"COUNT": 3})]


async def test_tokens_and_sessions_are_summed(toy: Toy) -> None:
    for number, (session, tokens) in enumerate([("s", 1), ("s", 2), ("t", 4), (None, None)]):
        usage = {} if tokens is None else {"mlflow.chat.tokenUsage": {"input_tokens": tokens, "total_tokens": tokens}}
        more = {} if session is None else {"session.id": session}
        one = span(number)
        one.attributes.update(usage | more)
        await toy.tracing.record(WHO, [trace(one)])
    assert await measured(toy, "TRACES", "session_count", "COUNT") == [({}, {"COUNT": 2})]
    assert await measured(toy, "TRACES", "total_tokens", "SUM", "AVG") == [
        ({}, {"SUM": 7, "AVG": pytest.approx(7 / 3)})
    ]
    assert await measured(toy, "TRACES", "cache_read_input_tokens", "SUM") == []


async def test_spans_are_counted_by_name_type_and_status(toy: Toy) -> None:
    spans = [
        span(1, 1, "root", ms=30),
        span(1, 2, "call", parent=1, ms=10, mlflow__spanType="LLM", mlflow__llm__model="m", mlflow__llm__provider="p"),
        span(
            1, 3, "call", parent=1, ms=20, status="error", mlflow__spanType="LLM", mlflow__llm__cost={"total_cost": 2}
        ),
    ]
    await toy.tracing.record(WHO, [trace(*spans)])
    assert await measured(toy, "SPANS", "span_count", "COUNT", dimensions=("span_name", "span_status")) == [
        ({"span_name": "call", "span_status": "ERROR"}, {"COUNT": 1}),
        ({"span_name": "call", "span_status": "OK"}, {"COUNT": 1}),
        ({"span_name": "root", "span_status": "OK"}, {"COUNT": 1}),
    ]
    dimensions = ("span_model_name", "span_model_provider")
    assert await measured(toy, "SPANS", "span_count", "COUNT", dimensions=dimensions) == [
        ({"span_model_name": "m", "span_model_provider": "p"}, {"COUNT": 1})
    ]
    for filter, expected in (
        ("span.type = 'LLM'", 15),
        ("span.name = 'root'", 30),
        ("span.status = 'ERROR'", 20),
        ("trace.status = 'OK'", 20),
    ):
        assert await measured(toy, "SPANS", "latency", "AVG", filters=(filter,)) == [({}, {"AVG": expected})]
    assert await measured(toy, "SPANS", "total_cost", "SUM") == [({}, {"SUM": 2})]


async def test_only_valid_assessments_are_measured(toy: Toy) -> None:
    await toy.tracing.infos.start(WHO, told(1, tags={"team": "blue"}))
    for number, (name, value, valid) in enumerate(
        [("q", 1, True), ("q", "yes", True), ("q", False, True), ("q", 7, False), ("r", "text", True)]
    ):
        said = Assessment(f"a-{number}", key(1), "feedback", name, value, "HUMAN", None, 1, 1, valid=valid)
        await toy.tracing.assessments.create(WHO, said)
    assert await measured(toy, "ASSESSMENTS", "assessment_count", "COUNT", dimensions=("assessment_name",)) == [
        ({"assessment_name": "q"}, {"COUNT": 3}),
        ({"assessment_name": "r"}, {"COUNT": 1}),
    ]
    filters = ("assessment.type = 'feedback'", "trace.tag.team = 'blue'")
    assert await measured(toy, "ASSESSMENTS", "assessment_value", "AVG", filters=filters) == [
        ({}, {"AVG": pytest.approx(2 / 3)})
    ]
    filters = ("assessment.name = 'r'",)
    by_value = await measured(
        toy, "ASSESSMENTS", "assessment_count", "COUNT", filters=filters, dimensions=("assessment_value",)
    )
    assert by_value == [({"assessment_value": '"text"'}, {"COUNT": 1})]


@pytest.mark.parametrize(
    ("asked", "more", "said"),
    [
        (("TRACES", "span_count", "COUNT"), {}, "metric_name must be one of"),
        (("TRACES", "trace_count", "SUM"), {}, r"invalid aggregation_type\(s\)"),
        (("TRACES", "latency", "COUNT"), {}, r"invalid aggregation_type\(s\)"),
        (("TRACES", "latency", "PERCENTILE"), {}, "Percentile value is required"),
        (("TRACES", "latency", "P101"), {}, "between 0 and 100"),
        (("TRACES", "latency", "AVG"), {"dimensions": ("trace_status",)}, r"invalid dimension\(s\)"),
        (("TRACES", "latency", "AVG"), {"interval_s": 60}, "are required if time_interval_seconds"),
        (("TRACES", "latency", "AVG"), {"interval_s": -1}, "above 0"),
        (("TRACES", "latency", "AVG"), {"limit": 0}, "at least 1"),
        (("TRACES", "latency", "AVG"), {"filters": ("span.name = 'x'",)}, "only supported for SPANS"),
        (("TRACES", "latency", "AVG"), {"filters": ("trace.tag = 'x'",)}, "requires a key"),
        (("TRACES", "latency", "AVG"), {"filters": ("trace.status.x = 'x'",)}, "does not require a key"),
        (("TRACES", "latency", "AVG"), {"filters": ("trace.color = 'x'",)}, "Invalid entity"),
        (("TRACES", "latency", "AVG"), {"filters": ("moon.color = 'x'",)}, "Invalid view type"),
    ],
)
async def test_what_a_metric_cannot_do_is_refused(toy: Toy, asked: Any, more: dict[str, Any], said: str) -> None:
    if asked[2] == "PERCENTILE":
        wanted = Question((0,), asked[0], asked[1], (Aggregation("PERCENTILE"),))
    else:
        wanted = question(*asked, **more)
    with pytest.raises(InvalidInput, match=said):
        await toy.tracing.measure(WHO, wanted)
    with pytest.raises(InvalidInput, match="only allowed for PERCENTILE"):
        await toy.tracing.measure(WHO, Question((0,), "TRACES", "latency", (Aggregation("AVG", 50.0),)))


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30), st.integers(1, 99))
def test_percentiles_are_those_of_the_inclusive_method(values: list[float], percent: int) -> None:
    expected = statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
    assert percentile(sorted(values), percent) == pytest.approx(expected, abs=1e-6)


def test_percentiles_at_the_ends_and_of_one_value() -> None:
    assert [percentile([1, 2, 9], p) for p in (0, 50, 100)] == [1, 2, 9]
    assert percentile([4], 37) == 4


async def test_filters_are_counted_alone_and_together(toy: Toy) -> None:
    for number in range(10):
        spans = [span(number, 1, "root"), *([span(number, 2, "tool", parent=1)] if number < 4 else [])]
        await toy.tracing.record(WHO, [trace(*spans)])
        await toy.tracing.infos.set_tag(WHO, key(number), "k", "v" if number in (2, 3, 9) else "w")
    infos = toy.tracing.infos
    found = await infos.correlate(WHO, [0], "span.name = 'tool'", "tag.k = 'v'")
    assert found.counts == Counts(10, 4, 3, 2)
    assert found.npmi == pytest.approx(math.log(2 * 10 / (4 * 3)) / -math.log(2 / 10))
    # Each filter's clauses on spans must fit one span; two filters may fit two spans.
    assert (await infos.correlate(WHO, [0], "span.name = 'tool'", "span.name = 'root'")).counts == Counts(10, 4, 10, 4)
    narrowed = await infos.correlate(WHO, [0], "span.name = 'tool'", "tag.k = 'v'", "span.name = 'tool'")
    assert narrowed.counts == Counts(4, 4, 2, 2)
    never = await infos.correlate(WHO, [0], "tag.k = 'v'", "tag.k = 'w'")
    assert never.npmi == -1
    assert math.isnan((await infos.correlate(WHO, [0], "tag.k = 'v'", "tag.k = 'x'")).npmi)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_a_correlation_lies_between_minus_one_and_one(both: int, first: int, second: int, neither: int) -> None:
    found = correlation(Counts(both + first + second + neither, both + first, both + second, both))
    for value in (found.npmi, found.smoothed):
        assert math.isnan(value) or -1 <= value <= 1
    swapped = correlation(Counts(both + first + second + neither, both + second, both + first, both))
    assert (math.isnan(found.npmi) and math.isnan(swapped.npmi)) or found.npmi == pytest.approx(swapped.npmi)
