"""The search grammar: what it reads, what it refuses, and that SQL answers as a naive evaluation in memory does."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinloop.backends.sqlite import open_store
from twinloop.control.search.grammar import parse_filter, parse_order
from twinloop.control.search.reader import Clause, Order
from twinloop.control.security.model import LOCAL_ADMIN
from twinloop.control.store.ports import Store
from twinloop.control.tracking.model import DatasetInput, Metric, Query, Run, RunChange
from twinloop.control.tracking.search import RUNS
from twinloop.control.tracking.service import Tracking
from twinloop.core.clock import ManualClock
from twinloop.core.errors import InvalidInput

WHO = LOCAL_ADMIN


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(tmp_path / "twinloop.db")
    yield opened
    await opened.aclose()


@pytest.fixture
def tracking(store: Store) -> Tracking:
    return Tracking(store, ManualClock())


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("metrics.m > 1", Clause("metric", "m", ">", 1)),
        ("metric.`a b`<=-1.5e-3", Clause("metric", "a b", "<=", -0.0015)),
        ("params.a.b = 'x'", Clause("param", "a.b", "=", "x")),
        ('params."my key" != "it\'s"', Clause("param", "my key", "!=", "it's")),
        ("tags.`mlflow.user` like '%a''b%'", Clause("tag", "mlflow.user", "LIKE", "%a'b%")),
        ("tags.t is  not  null", Clause("tag", "t", "IS NOT NULL", None)),
        ("`tags`.t IS NULL", Clause("tag", "t", "IS NULL", None)),
        ("status = 'FINISHED'", Clause("attribute", "status", "=", "FINISHED")),
        ("attributes.`Run name` ILIKE 'A%'", Clause("attribute", "run_name", "ILIKE", "A%")),
        ("attributes.Created >= 12", Clause("attribute", "start_time", ">=", 12)),
        ("run_id NOT IN ('a', \"b\",)", Clause("attribute", "run_id", "NOT IN", ("a", "b"))),
        ("datasets.context in ('train')", Clause("dataset", "context", "IN", ("train",))),
        ("params.naïve = '日本; DROP TABLE runs --'", Clause("param", "naïve", "=", "日本; DROP TABLE runs --")),
    ],
)
def test_a_clause_is_read(text: str, clause: Clause) -> None:
    assert parse_filter(text, RUNS) == (clause,)


def test_clauses_are_joined_by_and_in_any_case() -> None:
    assert len(parse_filter("metrics.a = 1 AND metrics.b=2 and tags.c = 'AND'", RUNS)) == 3
    assert parse_filter("  ", RUNS) == ()


@pytest.mark.parametrize(
    "text",
    [
        "metrics.m > 1 OR metrics.m < 0",
        "(metrics.m > 1)",
        "metrics.m > '1'",
        "metrics.m LIKE 'a'",
        "metrics.m > 1 metrics.n > 2",
        "metrics.m",
        "metrics.m >",
        "metrics.m == 1",
        "params.a = 1",
        "params.a > 'x'",
        "params.a IN ('x')",
        "params.a-b = 'x'",
        "params.a = x",
        "params.a = 'x",
        "attributes.nonsense = 'x'",
        "nonsense.m = 1",
        "run_id IN ()",
        "run_id IN ('a'",
        "run_id IN (a)",
        "start_time = '1'",
        "datasets.schema = 'x'",
        "metrics.m > 1; DROP TABLE runs",
        "metrics.m > 1 AND",
        "AND metrics.m > 1",
        "metrics.m IS NULL",
        "metrics.m > 1e",
        "= 1",
        "\x00",
    ],
)
def test_what_is_not_of_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_filter(text, RUNS)


def test_a_filter_of_absurd_size_is_refused() -> None:
    with pytest.raises(InvalidInput, match="200 clauses"):
        parse_filter(" AND ".join(["metrics.m > 1"] * 201), RUNS)
    with pytest.raises(InvalidInput, match="characters"):
        parse_filter("x" * 300_000, RUNS)


def test_an_order_is_read_or_refused() -> None:
    assert parse_order(["metrics.`a b` desc", "params.x", "created ASC"], RUNS) == (
        Order("metric", "a b", False),
        Order("param", "x", True),
        Order("attribute", "start_time", True),
    )
    for bad in (
        ["metrics.m SIDEWAYS"],
        ["metrics.m ASC, metrics.n"],
        ["datasets.name"],
        ["start_time", "Created"],
        [""],
    ):
        with pytest.raises(InvalidInput):
            parse_order(bad, RUNS)


async def test_a_filter_of_a_hundred_clauses_with_quotes_and_sql_is_answered(tracking: Tracking) -> None:
    run = await tracking.create(WHO)
    await tracking.create(WHO)
    params = {f"p{n}": f"it's \"{n}\" ü %_ '; DROP TABLE runs; --" for n in range(100)}
    await tracking.log(WHO, run.id, params=params)
    quoted = {key: value.replace("'", "''") for key, value in params.items()}
    filter = " AND ".join(f"params.{key} = '{value}'" for key, value in quoted.items())
    found = await tracking.search(WHO, ["0"], Query(filter))
    assert [item.id for item in found.items] == [run.id]
    assert len((await tracking.search(WHO, ["0"], Query())).items) == 2


async def test_pages_do_not_shift_when_runs_are_added_while_turning_them(tracking: Tracking) -> None:
    ids = [(await tracking.create(WHO, started_ms=n // 3)).id for n in range(30)]
    found: list[str] = []
    token = None
    while True:
        page = await tracking.search(WHO, ["0"], Query(limit=7, token=token))
        found += [run.id for run in page.items]
        await tracking.create(WHO, started_ms=1000)
        if page.next is None:
            break
        token = page.next
    assert sorted(found) == sorted(ids)
    with pytest.raises(InvalidInput, match="another order_by"):
        await tracking.search(WHO, ["0"], Query(order=("status DESC",), token=token))
    with pytest.raises(InvalidInput, match="page token"):
        await tracking.search(WHO, ["0"], Query(token="é"))


KEYS = ("m", "a b", "x/y")
TEXTS = ("", "a", "A", "ab", "a%b", "a_b", "[a]*?", "it's", "\\", "aB")
NUMBERS = (0.0, -1.0, 1.0, 0.5, 1e300, math.nan)
PATTERNS = ("%", "a%", "_", "%b", "a_b", "[a]%", "A%", "%'%", "%\\%", "", "*", "a?b")

run_values = st.fixed_dictionaries(
    {
        "metrics": st.dictionaries(st.sampled_from(KEYS), st.sampled_from(NUMBERS)),
        "params": st.dictionaries(st.sampled_from(KEYS), st.sampled_from(TEXTS)),
        "tags": st.dictionaries(st.sampled_from(KEYS), st.sampled_from(TEXTS)),
        "name": st.sampled_from([text for text in TEXTS if text]),
        "started": st.integers(0, 3),
        "ended": st.none() | st.integers(0, 3),
        "dataset": st.none() | st.sampled_from(("train", "eval")),
    }
)
texts = st.sampled_from(TEXTS)
patterns = st.sampled_from(PATTERNS)
text_comparison = st.tuples(st.sampled_from(("=", "!=")), texts) | st.tuples(
    st.sampled_from(("LIKE", "ILIKE")), patterns
)
number_comparison = st.tuples(st.sampled_from(("=", "!=", "<", "<=", ">", ">=")), st.sampled_from((0, 1, -1, 0.5, 2)))
presence = st.tuples(st.sampled_from(("IS NULL", "IS NOT NULL")), st.none())


def _clauses(
    entity: str, keys: Sequence[str], compared: st.SearchStrategy[tuple[str, Any]]
) -> st.SearchStrategy[Clause]:
    return st.builds(lambda key, pair: Clause(entity, key, *pair), st.sampled_from(keys), compared)  # type: ignore[arg-type]


clauses = st.lists(
    _clauses("metric", KEYS, number_comparison)
    | _clauses("param", KEYS, text_comparison | presence)
    | _clauses("tag", KEYS, text_comparison | presence)
    | _clauses("attribute", ("run_name", "status"), text_comparison)
    | _clauses("attribute", ("start_time", "end_time"), number_comparison)
    | _clauses("dataset", ("context",), text_comparison | st.tuples(st.just("IN"), st.just(("train", "x")))),
    max_size=3,
)
orders = st.lists(
    st.builds(Order, st.sampled_from(("metric", "param", "tag")), st.sampled_from(KEYS), st.booleans())
    | st.builds(
        Order, st.just("attribute"), st.sampled_from(("run_name", "start_time", "end_time", "run_id")), st.booleans()
    ),
    max_size=3,
    unique_by=lambda order: order[:2],
)


def _written(clause: Clause) -> str:
    left = f"{clause.entity}s.`{clause.key}` {clause.comparator}"
    if clause.value is None:
        return left
    if isinstance(clause.value, tuple):
        return f"{left} ({', '.join(map(_quoted, clause.value))})"
    return f"{left} {_quoted(clause.value) if isinstance(clause.value, str) else clause.value}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _value(run: Run, entity: str, key: str) -> Any:
    match entity:
        case "metric":
            return next((metric.value for metric in run.metrics if metric.key == key), None)
        case "param":
            return run.params.get(key)
        case "tag":
            return run.tags.get(key)
        case "dataset":
            return run.inputs[0].tags.get("mlflow.data.context") if run.inputs else None
        case _:
            names = {"run_name": run.name, "status": run.status, "start_time": run.started_ms, "end_time": run.ended_ms}
            return {**names, "run_id": run.id}[key]


def _matches(run: Run, clause: Clause) -> bool:
    left, right = _value(run, clause.entity, clause.key), clause.value
    match clause.comparator:
        case "IS NULL":
            return left is None
        case "IS NOT NULL":
            return left is not None
    if left is None:
        return False
    match clause.comparator:
        case "LIKE" | "ILIKE":
            fold = re.IGNORECASE if clause.comparator == "ILIKE" else 0
            regex = "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in str(right))
            return re.fullmatch(regex, left, fold | re.DOTALL) is not None
        case "IN":
            return left in right  # type: ignore[operator]
    compared = {
        "=": lambda: left == right,
        "!=": lambda: left != right,
        "<": lambda: left < right,
        "<=": lambda: left <= right,
        ">": lambda: left > right,
        ">=": lambda: left >= right,
    }
    return bool(compared[clause.comparator]())


def _ordered(runs: list[Run], wanted: Sequence[Order]) -> list[str]:
    result = sorted(runs, key=lambda run: run.id)
    if not any(order.key == "start_time" for order in wanted):
        result.sort(key=lambda run: run.started_ms, reverse=True)
    for order in reversed(wanted):
        present, nan, absent = [], [], []
        for run in result:
            value = _value(run, order.entity, order.key)
            if value is None:
                absent.append(run)
            elif value != value:
                nan.append(run)
            else:
                present.append(run)
        present.sort(key=lambda run: _value(run, order.entity, order.key), reverse=not order.ascending)
        result = present + nan + absent
    return [run.id for run in result]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(run_values, max_size=6),
    st.lists(st.tuples(clauses, orders, st.integers(1, 4)), min_size=1, max_size=6),
)
async def test_sql_answers_as_a_naive_evaluation_does(
    tracking: Tracking, made: list[dict[str, Any]], searches: list[tuple[list[Clause], list[Order], int]]
) -> None:
    experiment = await tracking.experiments.create(
        WHO, f"e{len((await tracking.experiments.search(WHO, Query())).items)}"
    )
    runs = [await _make(tracking, experiment.id, values) for values in made]
    for wanted, order, limit in searches:
        filter = " AND ".join(map(_written, wanted))
        items = tuple(f"{item.entity}s.`{item.key}` {'ASC' if item.ascending else 'DESC'}" for item in order)
        expected = _ordered([run for run in runs if all(_matches(run, clause) for clause in wanted)], order)
        found: list[str] = []
        token = None
        while True:
            page = await tracking.search(WHO, [experiment.id], Query(filter, items, limit=limit, token=token))
            found += [run.id for run in page.items]
            token = page.next
            if token is None:
                break
        assert found == expected, (filter, items)


async def _make(tracking: Tracking, experiment: str, values: dict[str, Any]) -> Run:
    run = await tracking.create(WHO, experiment, name=values["name"], tags=values["tags"], started_ms=values["started"])
    points = [Metric(key, value, 1) for key, value in values["metrics"].items()]
    await tracking.log(WHO, run.id, metrics=points, params=values["params"])
    if values["dataset"]:
        tags = {"mlflow.data.context": values["dataset"]}
        await tracking.add_inputs(WHO, run.id, [DatasetInput("d", "1", "code", "{}", tags=tags)])
    if values["ended"] is not None:
        await tracking.update(WHO, run.id, RunChange(ended_ms=values["ended"]))
    return await tracking.get(WHO, run.id)
