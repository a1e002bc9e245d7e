from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.backends.sqlite import SqliteStore, open_store
from twinloop.control.evaluation.datasets import merging
from twinloop.control.evaluation.datasets.model import Draft
from twinloop.control.evaluation.datasets.service import EvaluationDatasets
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.control.tracking.experiments import Experiments
from twinloop.control.tracking.model import Query
from twinloop.core.clock import ManualClock
from twinloop.core.errors import Forbidden, InvalidInput, NotFound

VIEWER = Principal("v", "default", Role.viewer)
OTHER = Principal("o", "other", Role.admin)


class Place(NamedTuple):
    store: SqliteStore
    experiments: Experiments
    datasets: EvaluationDatasets
    clock: ManualClock


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    store, clock = open_store(tmp_path / "x.db"), ManualClock()
    experiments = Experiments(store, clock)
    yield Place(store, experiments, EvaluationDatasets(store, experiments, clock), clock)
    await store.aclose()


def record(question: Any, **more: Any) -> Draft:
    return Draft({"question": question}, given=frozenset({"inputs", *more}), **more)


async def test_records_with_the_same_inputs_are_one(place: Place) -> None:
    made = await place.datasets.create(LOCAL_ADMIN, "handbook")
    first = record("a", expectations={"answer": "x", "score": 1}, tags={"k": "1"}, source_type="TRACE",
                   source_data={"trace_id": "tr-1"})  # fmt: skip
    again = record("a", expectations={"answer": "y"}, tags={"l": "2"}, source_type="HUMAN", source_data={})

    done = await place.datasets.merge(LOCAL_ADMIN, made.id, [first, record("b"), again])

    assert (done.inserted, done.updated) == (2, 1)
    found, following = await place.datasets.records(LOCAL_ADMIN, made.id)
    assert following is None
    assert [item.inputs for item in found] == [{"question": "a"}, {"question": "b"}]
    assert found[0].expectations == {"answer": "y", "score": 1}
    assert found[0].tags == {"k": "1", "l": "2"}
    assert (found[0].source_type, found[0].source_id) == ("TRACE", "tr-1")


async def test_a_merge_keeps_who_made_a_record_and_says_who_changed_it(place: Place) -> None:
    made = await place.datasets.create(LOCAL_ADMIN, "handbook", {"mlflow.user": "ann"})
    await place.datasets.merge(LOCAL_ADMIN, made.id, [record("a", tags={"mlflow.user": "ann"})])
    place.clock.advance(5)
    await place.datasets.merge(LOCAL_ADMIN, made.id, [record("a", tags={"mlflow.user": "bob"})])
    place.clock.advance(5)
    await place.datasets.merge(LOCAL_ADMIN, made.id, [record("a", outputs="o")])

    ((found,), _) = await place.datasets.records(LOCAL_ADMIN, made.id)
    assert (found.created_by, found.updated_by) == ("ann", "bob")
    assert found.updated_ms - found.created_ms == 10_000
    dataset = await place.datasets.get(LOCAL_ADMIN, made.id)
    assert (dataset.created_by, dataset.updated_by) == ("ann", None)


async def test_outputs_are_replaced_only_where_they_are_given(place: Place) -> None:
    made = await place.datasets.create(LOCAL_ADMIN, "handbook")
    await place.datasets.merge(LOCAL_ADMIN, made.id, [record("a", outputs=[1, 2])])
    await place.datasets.merge(LOCAL_ADMIN, made.id, [record("a", expectations={"x": 1})])
    ((kept,), _) = await place.datasets.records(LOCAL_ADMIN, made.id)
    await place.datasets.merge(LOCAL_ADMIN, made.id, [record("a", outputs=None)])
    ((emptied,), _) = await place.datasets.records(LOCAL_ADMIN, made.id)
    assert kept.outputs == [1, 2]
    assert emptied.outputs is None


async def test_equal_records_give_an_equal_digest_whatever_the_way_to_them(place: Place) -> None:
    one = await place.datasets.create(LOCAL_ADMIN, "same")
    two = await place.datasets.create(LOCAL_ADMIN, "same")
    assert one.digest == two.digest
    seen = {one.digest}

    await place.datasets.merge(LOCAL_ADMIN, one.id, [record("a", expectations={"x": 1}), record("b")])
    await place.datasets.merge(LOCAL_ADMIN, two.id, [record("b"), record("c")])
    seen |= {(await place.datasets.get(LOCAL_ADMIN, id)).digest for id in (one.id, two.id)}
    assert len(seen) == 3

    found, _ = await place.datasets.records(LOCAL_ADMIN, two.id)
    await place.datasets.delete_records(
        LOCAL_ADMIN, two.id, [item.id for item in found if item.inputs["question"] == "c"]
    )
    await place.datasets.merge(LOCAL_ADMIN, two.id, [record("a", tags={"who": "me"})])
    await place.datasets.merge(LOCAL_ADMIN, two.id, [record("a", expectations={"x": 1})])
    assert (await place.datasets.get(LOCAL_ADMIN, one.id)).digest == (
        await place.datasets.get(LOCAL_ADMIN, two.id)
    ).digest

    await place.datasets.set_tags(LOCAL_ADMIN, one.id, {"env": "test"})
    assert (await place.datasets.get(LOCAL_ADMIN, one.id)).digest in seen | {
        (await place.datasets.get(LOCAL_ADMIN, two.id)).digest
    }


CONTENT = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2), max_size=2)
CHANGES = st.lists(st.tuples(st.sampled_from("xyz"), CONTENT, st.booleans()), max_size=12)


@given(CHANGES)
def test_the_digest_kept_up_to_date_is_that_of_the_records_there_are(changes: list[Any]) -> None:
    records: dict[str, Any] = {}
    total = 0
    for name, expectations, dropped in changes:
        before = records.pop(name, None)
        less = [] if before is None else [merging.weight(before)]
        if dropped:
            total = merging.added(total, less=less)
            continue
        draft = record(name, expectations=expectations)
        records[name] = merging.made("dr-1", "d", draft, 0) if before is None else merging.merged(before, draft, 1)
        total = merging.added(total, more=[merging.weight(records[name])], less=less)
    fresh = merging.added(0, more=[merging.weight(item) for item in records.values()])
    assert merging.digest("n", total) == merging.digest("n", fresh)


async def test_the_schema_gains_fields_and_keeps_their_first_type(place: Place) -> None:
    made = await place.datasets.create(LOCAL_ADMIN, "handbook")
    assert made.schema is None
    drafts = [
        Draft({"q": "a", "t": 0.5, "n": 1, "b": True, "l": [], "o": {}, "z": None}, outputs="text"),
        Draft({"q": 3}, expectations={"ok": False}),
    ]
    await place.datasets.merge(LOCAL_ADMIN, made.id, drafts)
    found = await place.datasets.get(LOCAL_ADMIN, made.id)
    assert found.records == 2
    assert found.schema == {
        "inputs": {
            "q": "string", "t": "float", "n": "integer", "b": "boolean", "l": "array", "o": "object", "z": "null",
        },
        "outputs": "string",
        "expectations": {"ok": "boolean"},
        "version": "1.0",
    }  # fmt: skip


async def test_numbers_that_json_has_no_word_for_come_back_as_they_were(place: Place) -> None:
    made = await place.datasets.create(LOCAL_ADMIN, "handbook")
    await place.datasets.merge(LOCAL_ADMIN, made.id, [record(float("inf"), outputs=float("nan"))])
    ((found,), _) = await place.datasets.records(LOCAL_ADMIN, made.id)
    assert found.inputs == {"question": float("inf")}
    assert found.outputs != found.outputs


async def test_pages_of_records_neither_repeat_nor_skip(place: Place) -> None:
    made = await place.datasets.create(LOCAL_ADMIN, "handbook")
    await place.datasets.merge(LOCAL_ADMIN, made.id, [record(number) for number in range(25)])
    found: list[int] = []
    after: int | None = None
    while True:
        part, after = await place.datasets.records(LOCAL_ADMIN, made.id, 10, after)
        found += [item.inputs["question"] for item in part]
        if after is None:
            break
    assert found == list(range(25))


async def test_deleted_records_are_gone_and_counted(place: Place) -> None:
    made = await place.datasets.create(LOCAL_ADMIN, "handbook")
    await place.datasets.merge(LOCAL_ADMIN, made.id, [record(number) for number in range(3)])
    found, _ = await place.datasets.records(LOCAL_ADMIN, made.id)
    gone = await place.datasets.delete_records(LOCAL_ADMIN, made.id, [found[0].id, found[0].id, "dr-none"])
    assert gone == 1
    assert (await place.datasets.get(LOCAL_ADMIN, made.id)).records == 2
    assert await place.datasets.delete_records(LOCAL_ADMIN, made.id, ["dr-none"]) == 0


async def test_experiments_use_a_dataset_in_the_order_they_were_named(place: Place) -> None:
    first, second, third = [(await place.experiments.create(LOCAL_ADMIN, name)).id for name in "abc"]
    made = await place.datasets.create(LOCAL_ADMIN, "handbook", experiment_ids=[third, first])
    _, after = await place.datasets.link(LOCAL_ADMIN, made.id, [first, second])
    assert after == [third, first, second]
    _, after = await place.datasets.unlink(LOCAL_ADMIN, made.id, [third, "0"])
    assert after == [first, second] == await place.datasets.experiment_ids(LOCAL_ADMIN, made.id)
    assert await place.datasets.experiment_ids(LOCAL_ADMIN, "d-none") == []
    page = await place.datasets.search(LOCAL_ADMIN, Query(view="all"), [second])
    assert [item.id for item in page.items] == [made.id]
    assert (await place.datasets.search(LOCAL_ADMIN, Query(view="all"), [third])).items == ()
    with pytest.raises(NotFound, match="No Experiment with id=99999"):
        await place.datasets.link(LOCAL_ADMIN, made.id, ["99999"])
    with pytest.raises(NotFound, match="not found"):
        await place.datasets.link(LOCAL_ADMIN, "d-none", [first])
    with pytest.raises(NotFound):
        await place.datasets.create(LOCAL_ADMIN, "x", experiment_ids=["99999"])


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ("name = 'd1'", [1]),
        ("name LIKE 'd%' AND tags.parity = 'even'", [4, 2, 0]),
        ("tags.parity != 'even'", [3, 1]),
        ("name ILIKE 'D3'", [3]),
        ("name IN ('d0', 'd4')", [4, 0]),
        ("created_by = 'user 1'", [3, 1]),
        ("created_time > 1700000002000", [4, 3]),
        ("tags.`a key` = 'it''s'", [2]),
        ("tags.parity = 'x'' OR 1=1 --'", []),
    ],
)
async def test_datasets_are_found_by_the_grammar_of_every_search(place: Place, filter: str, found: list[int]) -> None:
    for number in range(5):
        tags = {"parity": ("even", "odd")[number % 2], "mlflow.user": f"user {number % 2}"}
        await place.datasets.create(LOCAL_ADMIN, f"d{number}", tags | ({"a key": "it's"} if number == 2 else {}))
        place.clock.advance(1)
    page = await place.datasets.search(LOCAL_ADMIN, Query(filter, view="all"))
    assert [item.name for item in page.items] == [f"d{number}" for number in found]


async def test_datasets_are_ordered_and_paged(place: Place) -> None:
    for name in ("b", "a", "c"):
        await place.datasets.create(LOCAL_ADMIN, name)
    names: list[str] = []
    token = None
    while True:
        page = await place.datasets.search(LOCAL_ADMIN, Query(order=("name DESC",), view="all", limit=2, token=token))
        names += [item.name for item in page.items]
        if (token := page.next) is None:
            break
    assert names == ["c", "b", "a"]


@pytest.mark.parametrize(
    "filter", ["invalid_field = 'value'", "metrics.x > 1", "name", "name IN ()", "created_time = 'x'"]
)
async def test_a_filter_of_another_grammar_is_refused(place: Place, filter: str) -> None:
    with pytest.raises(InvalidInput):
        await place.datasets.search(LOCAL_ADMIN, Query(filter, view="all"))


async def test_tags_are_set_one_by_one_and_nothing_deletes_by_none(place: Place) -> None:
    made = await place.datasets.create(LOCAL_ADMIN, "handbook", {"a": "1", "b": "2"})
    await place.datasets.set_tags(LOCAL_ADMIN, made.id, {"a": "3", "b": None, "c": 4})
    await place.datasets.delete_tag(LOCAL_ADMIN, made.id, "none")
    assert (await place.datasets.get(LOCAL_ADMIN, made.id)).tags == {"a": "3", "b": "2", "c": "4"}
    await place.datasets.delete_tag(LOCAL_ADMIN, made.id, "a")
    assert (await place.datasets.get(LOCAL_ADMIN, made.id)).tags == {"b": "2", "c": "4"}
    with pytest.raises(NotFound, match="Could not find evaluation dataset with ID d-none"):
        await place.datasets.set_tags(LOCAL_ADMIN, "d-none", {"a": "1"})


async def test_a_deleted_dataset_is_gone_with_its_records(place: Place) -> None:
    made = await place.datasets.create(LOCAL_ADMIN, "handbook")
    await place.datasets.merge(LOCAL_ADMIN, made.id, [record("a")])
    await place.datasets.delete(LOCAL_ADMIN, made.id)
    await place.datasets.delete(LOCAL_ADMIN, made.id)
    with pytest.raises(NotFound, match="Evaluation dataset with id"):
        await place.datasets.records(LOCAL_ADMIN, made.id)


async def test_a_dataset_is_its_tenants_alone_and_a_viewer_changes_nothing(place: Place) -> None:
    made = await place.datasets.create(LOCAL_ADMIN, "handbook")
    for verb in (place.datasets.get, place.datasets.records):
        with pytest.raises(NotFound):
            await verb(OTHER, made.id)
    await place.datasets.delete(OTHER, made.id)
    assert (await place.datasets.get(VIEWER, made.id)).name == "handbook"
    with pytest.raises(Forbidden):
        await place.datasets.merge(VIEWER, made.id, [record("a")])
    with pytest.raises(Forbidden):
        await place.datasets.delete(VIEWER, made.id)
