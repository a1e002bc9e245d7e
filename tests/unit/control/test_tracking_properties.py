"""Searches over generated experiments answer as a naive evaluation in memory does, whatever is asked and while runs come."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.naive_search import fits, like, ordered, quoted, values_of, written
from twinloop.backends.sqlite import open_store
from twinloop.control.search.reader import Clause, Order
from twinloop.control.security.model import LOCAL_ADMIN
from twinloop.control.store.ports import Store
from twinloop.control.tracking.model import DatasetInput, LoggedModel, Metric, Query, Run, RunChange, View
from twinloop.control.tracking.model_search import ModelOrder, ModelQuery, OnDataset
from twinloop.control.tracking.service import Tracking
from twinloop.core.clock import ManualClock
from twinloop.core.errors import InvalidInput

WHO = LOCAL_ADMIN
CHECKED = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(tmp_path / "twinloop.db")
    yield opened
    await opened.aclose()


@pytest.fixture
def tracking(store: Store) -> Tracking:
    return Tracking(store, ManualClock())


KEYS = ("m", "a b", "x/y.z", "läng")
TEXTS = ("", "a", "A", "ab", "aB", "a%b", "a_b", "[a]*?", "it's", '"', "\\", "ä", "Ä", "日本", "'; DROP TABLE runs; --")
PATTERNS = ("%", "a%", "_", "%b", "a_b", "[a]%", "A%", "%'%", "%\\%", "", "*", "a?b", "ä%", "Ä", "_本", "%DROP%")
NUMBERS = (0.0, -1.0, 1.0, 0.5, 1e300, 5e-324, math.nan, 1_700_000_000_000.0)

datasets = st.builds(
    lambda name, digest, context: DatasetInput(
        name, digest, "code", "{}", tags={} if context is None else {"mlflow.data.context": context}
    ),
    st.sampled_from(("d", "it's")),
    st.sampled_from(("1", "2")),
    st.none() | st.sampled_from(("train", "eval")),
)
made_runs = st.fixed_dictionaries(
    {
        "experiment": st.integers(0, 2),
        "metrics": st.dictionaries(st.sampled_from(KEYS), st.sampled_from(NUMBERS)),
        "params": st.dictionaries(st.sampled_from(KEYS[:3]), st.sampled_from(TEXTS)),
        "tags": st.dictionaries(st.sampled_from(KEYS[:3]), st.sampled_from(TEXTS)),
        "name": st.sampled_from([text for text in TEXTS if text]),
        "started": st.integers(0, 3),
        "ended": st.none() | st.integers(0, 3),
        "inputs": st.lists(datasets, max_size=2),
        "deleted": st.booleans(),
    }
)
text_comparisons = st.tuples(st.sampled_from(("=", "!=")), st.sampled_from(TEXTS)) | st.tuples(
    st.sampled_from(("LIKE", "ILIKE")), st.sampled_from(PATTERNS)
)
number_comparisons = st.tuples(
    st.sampled_from(("=", "!=", "<", "<=", ">", ">=")), st.sampled_from((0, 1, -1, 0.5, 2, 1e300, 1_700_000_000_000))
)
presences = st.tuples(st.sampled_from(("IS NULL", "IS NOT NULL")), st.none())
lists = st.tuples(
    st.sampled_from(("IN", "NOT IN")), st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3).map(tuple)
)


def clauses_on(entity: str, keys: Sequence[str], compared: st.SearchStrategy[Any]) -> st.SearchStrategy[Clause]:
    return st.builds(lambda key, pair: Clause(entity, key, *pair), st.sampled_from(keys), compared)  # type: ignore[arg-type]


clauses = (
    clauses_on("metric", KEYS, number_comparisons)
    | clauses_on("param", KEYS, text_comparisons | presences)
    | clauses_on("tag", KEYS, text_comparisons | presences)
    | clauses_on("attribute", ("run_name", "status", "user_id", "artifact_uri"), text_comparisons)
    | clauses_on("attribute", ("start_time", "end_time"), number_comparisons)
    | clauses_on("attribute", ("run_id",), text_comparisons | lists)
    | clauses_on("dataset", ("name", "digest", "context"), text_comparisons | lists)
)
orders = st.lists(
    st.builds(Order, st.sampled_from(("metric", "param", "tag")), st.sampled_from(KEYS), st.booleans())
    | st.builds(
        Order,
        st.just("attribute"),
        st.sampled_from(("run_name", "start_time", "end_time", "run_id", "status")),
        st.booleans(),
    ),
    max_size=3,
    unique_by=lambda order: order[:2],
)
questions = st.tuples(
    st.lists(clauses, max_size=4),
    orders,
    st.sampled_from(("active", "deleted", "all")),
    st.sets(st.integers(0, 2), min_size=1),
    st.integers(1, 9),
    st.randoms(use_true_random=False),
)


_numbers = itertools.count()


async def experiments(tracking: Tracking) -> list[str]:
    return [(await tracking.experiments.create(WHO, f"e{next(_numbers)}")).id for _ in range(3)]


async def make(tracking: Tracking, experiment: str, values: dict[str, Any]) -> Run:
    run = await tracking.create(WHO, experiment, name=values["name"], tags=values["tags"], started_ms=values["started"])
    points = [Metric(key, value, 1) for key, value in values["metrics"].items() if key != "läng"]
    await tracking.log(WHO, run.id, metrics=points, params=values["params"])
    await tracking.add_inputs(WHO, run.id, values["inputs"])
    if values["ended"] is not None:
        await tracking.update(WHO, run.id, RunChange(ended_ms=values["ended"]))
    if values["deleted"]:
        await tracking.delete(WHO, run.id)
    return await tracking.get(WHO, run.id)


async def every_page(tracking: Tracking, within: Sequence[str], query: Query, limit: int) -> list[str]:
    found: list[str] = []
    token: str | None = None
    while True:
        asked = Query(query.filter, query.order, query.view, limit, token)
        page = await tracking.search(WHO, within, asked)
        assert len(page.items) <= limit
        found += [run.id for run in page.items]
        token = page.next
        if token is None:
            return found


@settings(CHECKED, max_examples=40)
@given(st.lists(made_runs, max_size=12), st.lists(questions, min_size=1, max_size=8))
async def test_a_search_answers_as_a_naive_evaluation_does(
    tracking: Tracking, made: list[dict[str, Any]], asked: list[Any]
) -> None:
    ids = await experiments(tracking)
    runs = [await make(tracking, ids[values["experiment"]], values) for values in made]
    for wanted, order, view, among, limit, pick in asked:
        within = [ids[number] for number in among]
        filter = pick.choice((" AND ", " and ", "\tAnd ")).join(written(clause, pick) for clause in wanted)
        items = tuple(f"{item.entity}s.`{item.key}` {'ASC' if item.ascending else 'DESC'}" for item in order)
        expected = [
            run
            for run in runs
            if run.experiment_id in within
            and view in ("all", run.lifecycle)
            and all(fits(values_of(run, c.entity, c.key), c.comparator, c.value) for c in wanted)
        ]
        found = await every_page(tracking, within, Query(filter, items, view), limit)
        assert found == ordered(expected, order), (filter, items, view)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


@settings(CHECKED, max_examples=60)
@given(st.lists(texts, min_size=1, max_size=6, unique=True), texts, st.sampled_from("'\""))
async def test_any_text_is_found_by_itself_and_by_nothing_else(
    tracking: Tracking, values: list[str], tag: str, quote: str
) -> None:
    experiment = (await experiments(tracking))[0]
    runs = [(await tracking.create(WHO, experiment)).id for _ in values]
    for run, value in zip(runs, values, strict=True):
        await tracking.log(WHO, run, params={"p": value}, tags={"t": tag})
    for run, value in zip(runs, values, strict=True):
        same = f"params.p = {quoted(value, quote)} AND tags.t = {quoted(tag, quote)}"
        assert await every_page(tracking, [experiment], Query(same), 10) == [run]
        other = f"params.p != {quoted(value, quote)}"
        assert set(await every_page(tracking, [experiment], Query(other), 10)) == set(runs) - {run}
        pattern = f"params.p LIKE {quoted(value, quote)}"
        matching = {run for run, held in zip(runs, values, strict=True) if like(held, value)}
        assert set(await every_page(tracking, [experiment], Query(pattern), 10)) == matching


NOISE = st.lists(
    st.sampled_from(
        [
            *(
                "metrics",
                ".",
                "m",
                "params",
                "`",
                "'",
                '"',
                "=",
                "!=",
                "<",
                " ",
                "AND",
                "OR",
                "IN",
                "(",
                ")",
                ",",
                "LIKE",
            ),
            *(
                "IS NULL",
                "NOT",
                "1",
                "-",
                "e5",
                ";",
                "--",
                "/*",
                "DROP TABLE runs",
                "%",
                "\\",
                "\n",
                "ü",
                "\x00",
                "run_id",
            ),
        ]
    ),
    max_size=14,
).map("".join)


@settings(CHECKED, max_examples=150)
@given(NOISE | st.text(max_size=40), NOISE | st.just("metrics.m DESC"), NOISE | st.none())
async def test_no_filter_order_or_token_fails_otherwise_than_by_being_refused(
    tracking: Tracking, filter: str, order: str, token: str | None
) -> None:
    run = await tracking.create(WHO)
    for query in (Query(filter), Query(order=(order,)), Query(filter, (order,), token=token)):
        with suppress(InvalidInput):
            await tracking.search(WHO, ["0"], query)
    assert (await tracking.get(WHO, run.id)).lifecycle == "active"


@settings(CHECKED, max_examples=5)
@given(
    st.lists(clauses, min_size=100, max_size=100), st.lists(made_runs, max_size=4), st.randoms(use_true_random=False)
)
async def test_a_hundred_clauses_are_answered_as_one_is(
    tracking: Tracking, wanted: list[Clause], made: list[dict[str, Any]], pick: random.Random
) -> None:
    ids = await experiments(tracking)
    runs = [await make(tracking, ids[values["experiment"]], values) for values in made]
    for chosen in (wanted, [clause for clause in wanted if runs and _holds(runs[0], clause)]):
        filter = " AND ".join(written(clause, pick) for clause in chosen)
        expected = {run.id for run in runs if all(_holds(run, clause) for clause in chosen)}
        assert set(await every_page(tracking, ids, Query(filter, view="all"), 100)) == expected


def _holds(run: Run, clause: Clause) -> bool:
    return fits(values_of(run, clause.entity, clause.key), clause.comparator, clause.value)


changes = st.lists(
    st.sampled_from(("new run", "old run", "other metric", "rename", "delete new", "nothing")), max_size=4
)


@settings(CHECKED, max_examples=25)
@given(
    st.lists(made_runs, min_size=1, max_size=14),
    orders,
    st.sampled_from(("active", "all")),
    st.integers(1, 4),
    st.lists(changes, min_size=1, max_size=20),
)
async def test_pages_show_every_run_exactly_once_while_others_come_and_go(
    tracking: Tracking,
    made: list[dict[str, Any]],
    order: list[Order],
    view: View,
    limit: int,
    between: list[list[str]],
) -> None:
    ids = await experiments(tracking)
    runs = [await make(tracking, ids[values["experiment"]], values) for values in made]
    there = [run for run in runs if view == "all" or run.lifecycle == "active"]
    items = tuple(f"{item.entity}s.`{item.key}` {'ASC' if item.ascending else 'DESC'}" for item in order)
    fresh: list[str] = []
    found: list[str] = []
    moved: set[str] = set()
    token: str | None = None
    for step in range(200):
        page = await tracking.search(WHO, ids, Query(order=items, view=view, limit=limit, token=token))
        found += [run.id for run in page.items]
        token = page.next
        if token is None:
            break
        for number, change in enumerate(between[step] if step < len(between) else ()):
            moved.update({await _change(tracking, change, ids[number % 3], fresh)}.intersection(found))
    old = {run.id for run in there}
    assert [id for id in found if id in old] == ordered(there, order)
    # One that was shown and then changed what it is ordered by may come again, at its new place.
    assert {id for id in found if found.count(id) > 1} <= moved


async def _change(tracking: Tracking, change: str, experiment: str, fresh: list[str]) -> str | None:
    """Something happens to a run that was not there when the search began; returns its id."""
    if change in ("new run", "old run") or not fresh:
        run = await tracking.create(WHO, experiment, started_ms=9 if change == "new run" else 1)
        fresh.append(run.id)
        await tracking.log(WHO, run.id, metrics=[Metric("m", 0.5, 1)], params={"m": "ab"})
    elif change == "other metric":
        await tracking.log(WHO, fresh[-1], metrics=[Metric("m", float(len(fresh)), 2, len(fresh))])
    elif change == "rename":
        await tracking.update(WHO, fresh[-1], RunChange(name="z"))
    elif change == "delete new":
        await tracking.delete(WHO, fresh[-1])
        return fresh.pop()
    return fresh[-1] if fresh else None


# --- logged models ---

model_points = st.lists(
    st.tuples(
        st.sampled_from(("acc", "a b")),
        st.sampled_from((0.0, 0.5, 1.0, -1.0, math.nan)),
        st.integers(0, 3),
        st.sampled_from((None, "d", "e")),
    ),
    max_size=4,
)
made_models = st.fixed_dictionaries(
    {
        "experiment": st.integers(0, 1),
        "name": st.sampled_from(("a", "A", "it_s", "b c", "ä", "日本")),
        "type": st.none() | st.sampled_from(("Agent", "tree")),
        "params": st.dictionaries(st.sampled_from(("p", "a b")), st.sampled_from(TEXTS)),
        "points": model_points,
        "deleted": st.booleans(),
    }
)
model_clauses = (
    clauses_on("attribute", ("name", "model_type", "status"), text_comparisons)
    | clauses_on("metric", ("acc", "a b"), number_comparisons)
    | clauses_on("param", ("p", "a b"), text_comparisons)
)
on_datasets = st.lists(
    st.builds(OnDataset, st.sampled_from(("d", "e", "none"))), max_size=2, unique_by=lambda on: on.name
)


def model_fits(model: LoggedModel, clause: Clause, on: Sequence[OnDataset]) -> bool:
    if clause.entity == "metric":
        return fits(
            [point.value for point in measured(model, on) if point.key == clause.key], clause.comparator, clause.value
        )
    if clause.entity == "param":
        return fits([model.params[clause.key]] if clause.key in model.params else [], clause.comparator, clause.value)
    held = {"name": model.name, "model_type": model.type or "", "status": model.status}
    return fits([held[clause.key]], clause.comparator, clause.value)


def measured(model: LoggedModel, on: Sequence[OnDataset]) -> list[Any]:
    names = {one.name for one in on}
    return [point for point in model.metrics if not on or point.dataset_name in names]


def models_ordered(models: Sequence[LoggedModel], order: ModelOrder | None) -> list[str]:
    result = sorted(sorted(models, key=lambda model: model.id), key=lambda model: model.created_ms, reverse=True)
    if order is None:
        return [model.id for model in result]
    if order.field == "name":
        return [model.id for model in sorted(result, key=lambda model: model.name, reverse=not order.ascending)]
    newest: dict[str, float] = {}
    for model in result:
        points = [
            point
            for point in model.metrics
            if point.key == "acc" and point.value == point.value and order.on.name in (None, point.dataset_name)
        ]
        if points:
            newest[model.id] = max(points, key=lambda point: (point.at_ms, point.step)).value
    present = sorted(
        (model for model in result if model.id in newest), key=lambda m: newest[m.id], reverse=not order.ascending
    )
    return [model.id for model in present] + [model.id for model in result if model.id not in newest]


@settings(CHECKED, max_examples=30)
@given(
    st.lists(made_models, max_size=8),
    st.lists(
        st.tuples(
            st.lists(model_clauses, max_size=3),
            on_datasets,
            st.none()
            | st.builds(
                ModelOrder,
                st.sampled_from(("name", "metrics.acc")),
                st.booleans(),
                st.sampled_from((OnDataset(), OnDataset("d"))),
            ),
            st.integers(1, 3),
            st.randoms(use_true_random=False),
        ),
        min_size=1,
        max_size=6,
    ),
)
async def test_a_search_for_models_answers_as_a_naive_evaluation_does(
    tracking: Tracking, made: list[dict[str, Any]], asked: list[Any]
) -> None:
    ids = await experiments(tracking)
    run = await tracking.create(WHO, ids[0])
    models = [await make_model(tracking, run.id, ids[values["experiment"]], values) for values in made]
    there = [model for model in models if model.lifecycle == "active"]
    for wanted, on, order, limit, pick in asked:
        filter = " AND ".join(
            written(clause, pick).replace("metric.", "metrics.").replace("param.", "params.") for clause in wanted
        )
        filter = filter.replace("attribute.", "attributes.")
        by_metric = any(clause.entity == "metric" for clause in wanted)
        expected = [
            model
            for model in there
            if all(model_fits(model, clause, on) for clause in wanted) and (by_metric or not on or measured(model, on))
        ]
        found: list[str] = []
        token: str | None = None
        while True:
            query = ModelQuery(filter, tuple(on), () if order is None else (order,), limit, token)
            page = await tracking.models.search(WHO, ids, query)
            found += [model.id for model in page.items]
            token = page.next
            if token is None:
                break
        assert found == models_ordered(expected, order), (filter, on, order)


async def make_model(tracking: Tracking, run: str, experiment: str, values: dict[str, Any]) -> LoggedModel:
    made = await tracking.models.create(
        WHO, experiment, name=values["name"], type=values["type"], params=values["params"]
    )
    # One point a moment, so that the newest one is never a tie.
    points = {(key, at): (key, value, at, dataset) for key, value, at, dataset in values["points"]}
    await tracking.log(
        WHO,
        run,
        metrics=[
            Metric(key, value, at, 0, made.id, dataset, dataset and f"{dataset}1")
            for key, value, at, dataset in points.values()
        ],
    )
    if values["deleted"]:
        await tracking.models.delete(WHO, made.id)
    return await tracking.models.get(WHO, made.id, deleted=True)
