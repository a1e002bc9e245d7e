"""Logged models: what runs made, before anybody registers it."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from twinloop.backends.sqlite import open_store
from twinloop.control.lineage.service import Lineage
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.control.store.ports import Store
from twinloop.control.tracking.errors import NotActive, ParamChanged
from twinloop.control.tracking.model import LoggedModel, Metric, ModelMetric
from twinloop.control.tracking.model_search import ModelOrder, ModelQuery, OnDataset
from twinloop.control.tracking.service import Tracking
from twinloop.core.clock import ManualClock
from twinloop.core.errors import Forbidden, InvalidInput, NotFound

WHO = LOCAL_ADMIN


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(tmp_path / "twinloop.db")
    yield opened
    await opened.aclose()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def tracking(store: Store, clock: ManualClock) -> Tracking:
    return Tracking(store, clock)


async def test_a_model_keeps_what_is_said_of_it(tracking: Tracking, store: Store, clock: ManualClock) -> None:
    run = await tracking.create(WHO, name="train")
    made = await tracking.models.create(
        WHO, "0", name="späte Flüge", type="Agent", run_id=run.id, params={"depth": "3"}, tags={"a": "b"}
    )
    assert made.id.startswith("m-")
    assert (made.status, made.lifecycle) == ("PENDING", "active")
    assert made.artifact_uri == f"mlflow-artifacts:/0/models/{made.id}/artifacts"
    clock.advance(1)
    await tracking.models.add_params(WHO, made.id, {"rate": "0.1", "depth": "3"})
    await tracking.models.set_tags(WHO, made.id, {"a": "c", "long": "x" * 8000})
    await tracking.models.delete_tag(WHO, made.id, "long")
    done = await tracking.models.finalize(WHO, made.id, "READY")
    assert done == await tracking.models.get(WHO, made.id)
    assert (done.name, done.type, done.run_id, done.status) == ("späte Flüge", "Agent", run.id, "READY")
    assert (done.params, done.tags) == ({"depth": "3", "rate": "0.1"}, {"a": "c"})
    assert done.created_ms == made.created_ms < done.updated_ms
    graph = await Lineage(store).why(WHO, done.node)
    assert [(edge.role, edge.parent) for edge in graph.edges] == [("produced_by", run.node)]


async def test_points_that_name_a_model_are_the_models_too(tracking: Tracking) -> None:
    first, second = [await tracking.create(WHO) for _ in range(2)]
    model = await tracking.models.create(WHO, "0")
    acc = Metric("acc", 0.9, 5, 1, model.id, "test", "d1")
    await tracking.log(
        WHO, first.id, metrics=[acc, acc, Metric("acc", math.nan, 6, 1, model.id), Metric("other", 1, 1)]
    )
    await tracking.log(WHO, second.id, metrics=[acc])
    found = (await tracking.models.get(WHO, model.id)).metrics
    assert {(p.run_id, p.dataset_name) for p in found if p.value == 0.9} == {(first.id, "test"), (second.id, "test")}
    assert sum(p.value == 0.9 for p in found) == 2
    assert {(p.key, p.at_ms, p.run_id) for p in found if math.isnan(p.value)} == {("acc", 6, first.id)}
    assert ModelMetric("acc", 0.9, 5, 1, first.id, "test", "d1") in found
    shown = {point.key: point.model_id for point in (await tracking.get(WHO, first.id)).metrics}
    assert shown == {"acc": model.id, "other": None}


async def test_a_param_of_a_model_never_changes(tracking: Tracking) -> None:
    model = await tracking.models.create(WHO, "0", params={"depth": "3"})
    with pytest.raises(ParamChanged):
        await tracking.models.add_params(WHO, model.id, {"new": "1", "depth": "4"})
    assert (await tracking.models.get(WHO, model.id)).params == {"depth": "3"}


async def test_a_deleted_model_is_found_by_nobody_who_does_not_ask_for_it(tracking: Tracking) -> None:
    kept, gone = [await tracking.models.create(WHO, "0", name=name) for name in ("kept", "gone")]
    await tracking.models.delete(WHO, gone.id)
    with pytest.raises(NotFound, match=gone.id):
        await tracking.models.get(WHO, gone.id)
    assert (await tracking.models.get(WHO, gone.id, deleted=True)).lifecycle == "deleted"
    assert [model.id for model in (await tracking.models.search(WHO, ["0"], ModelQuery())).items] == [kept.id]


async def test_what_is_not_there_is_said_so_by_every_verb(tracking: Tracking) -> None:
    models, other = tracking.models, Principal("ann", "other", Role.admin)
    mine = await models.create(WHO, "0")
    for who, id in ((WHO, "m-nope"), (other, mine.id)):
        for verb in (
            models.get(who, id),
            models.finalize(who, id, "READY"),
            models.delete(who, id),
            models.add_params(who, id, {"a": "b"}),
            models.set_tags(who, id, {"a": "b"}),
            models.delete_tag(who, id, "a"),
            models.note_version(who, id, "m", 1),
        ):
            with pytest.raises(NotFound):
                await verb
    with pytest.raises(NotFound, match="No tag with key"):
        await models.delete_tag(WHO, mine.id, "a")
    with pytest.raises(NotFound):
        await models.create(WHO, "4711")


async def test_a_viewer_changes_no_model_and_a_deleted_experiment_takes_none(tracking: Tracking) -> None:
    viewer = Principal("eve", WHO.tenant, Role.viewer)
    with pytest.raises(Forbidden):
        await tracking.models.create(viewer, "0")
    experiment = await tracking.experiments.create(WHO, "gone")
    await tracking.experiments.delete(WHO, experiment.id)
    with pytest.raises(NotActive):
        await tracking.models.create(WHO, experiment.id)


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a.b", "a%b", 'a"b', "a'b", "x" * 501])
async def test_a_name_that_cannot_be_in_a_uri_is_refused(tracking: Tracking, name: str) -> None:
    with pytest.raises(InvalidInput, match="Invalid model name"):
        await tracking.models.create(WHO, "0", name=name)


async def test_registered_versions_are_listed_in_a_tag_for_clients_that_look_there(tracking: Tracking) -> None:
    model = await tracking.models.create(WHO, "0")
    await tracking.models.note_version(WHO, model.id, "flights", 1)
    await tracking.models.note_version(WHO, model.id, "flights", 2)
    tag = (await tracking.models.get(WHO, model.id)).tags["mlflow.modelVersions"]
    assert json.loads(tag) == [{"name": "flights", "version": 1}, {"name": "flights", "version": 2}]


async def four(tracking: Tracking, clock: ManualClock) -> list[LoggedModel]:
    """Models m0 … m3, a millisecond apart: m1 to m3 measured on dataset a, m2 and m3 also on b; m3 has NaN at last."""
    run = await tracking.create(WHO)
    made = []
    for number in range(4):
        clock.advance(0.001)
        type = None if number == 0 else "even" if number % 2 == 0 else "odd"
        made.append(
            await tracking.models.create(
                WHO, "0", name=f"m{number}", type=type, params={"n": str(number)}, tags={"it's": f'"{number}" ü'}
            )
        )
        points = [Metric("acc", number / 10, 1, 0, made[-1].id, "a", "1")] if number else []
        if number > 1:
            points.append(Metric("acc", 1 - number / 10, 2, 0, made[-1].id, "b", "2"))
        if number == 3:
            points.append(Metric("acc", math.nan, 3, 0, made[-1].id, "b", "2"))
        await tracking.log(WHO, run.id, metrics=points)
    return made


async def names(tracking: Tracking, query: ModelQuery, within: tuple[str, ...] = ("0",)) -> list[str]:
    return [model.name for model in (await tracking.models.search(WHO, within, query)).items]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("", ["m3", "m2", "m1", "m0"]),
        ("name = 'm2'", ["m2"]),
        ("attributes.name LIKE 'm%' AND params.n != '1'", ["m3", "m2", "m0"]),
        ("tags.`it's` = '\"3\" ü'", ["m3"]),
        ("metrics.acc >= 0.7", ["m3", "m2"]),
        ("metrics.acc < 0.2", ["m1"]),
        ("metrics.acc != 0.3", ["m3", "m2", "m1"]),
        ("metrics.none > 0", []),
        ("model_type = 'odd'", ["m3", "m1"]),
        ("model_type != 'odd'", ["m2", "m0"]),
        ("name IN ('m0', 'm1',)", ["m1", "m0"]),
        ("name NOT IN ('m0')", ["m3", "m2", "m1"]),
        ("params.n IN ('0', '2', 'none')", ["m2", "m0"]),
        ("params.n NOT IN ('0', '2')", ["m3", "m1"]),
        ("tags.`it's` IN ('\"1\" ü')", ["m1"]),
        ("tags.none NOT IN ('x')", []),
        ("status = 'PENDING' AND creation_timestamp > 0", ["m3", "m2", "m1", "m0"]),
        ("name = '''; DROP TABLE logged_models; --'", []),
    ],
)
async def test_models_are_found(tracking: Tracking, clock: ManualClock, filter: str, expected: list[str]) -> None:
    await four(tracking, clock)
    assert await names(tracking, ModelQuery(filter)) == expected


@pytest.mark.parametrize(
    ("datasets", "filter", "expected"),
    [
        ([OnDataset("a")], "", ["m3", "m2", "m1"]),
        ([OnDataset("b", "2")], "", ["m3", "m2"]),
        ([OnDataset("b", "other")], "", []),
        ([OnDataset("a")], "metrics.acc > 0.25", ["m3"]),
        ([OnDataset("b")], "metrics.acc > 0.75", ["m2"]),
        ([OnDataset("a"), OnDataset("b")], "metrics.acc > 0.25", ["m3", "m2"]),
    ],
)
async def test_only_points_measured_on_the_datasets_count(
    tracking: Tracking, clock: ManualClock, datasets: list[OnDataset], filter: str, expected: list[str]
) -> None:
    await four(tracking, clock)
    assert await names(tracking, ModelQuery(filter, tuple(datasets))) == expected


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ([ModelOrder("name", False)], ["m3", "m2", "m1", "m0"]),
        ([ModelOrder("creation_timestamp")], ["m0", "m1", "m2", "m3"]),
        ([ModelOrder("model_type"), ModelOrder("name")], ["m0", "m2", "m1", "m3"]),
        # The newest point that is a number: 0.1, 0.8 and 0.7; m0 has none.
        ([ModelOrder("metrics.acc")], ["m1", "m3", "m2", "m0"]),
        ([ModelOrder("metrics.acc", False)], ["m2", "m3", "m1", "m0"]),
        ([ModelOrder("metrics.acc", True, OnDataset("a"))], ["m1", "m2", "m3", "m0"]),
        ([ModelOrder("metrics.acc", False, OnDataset("b", "2"))], ["m2", "m3", "m1", "m0"]),
    ],
)
async def test_models_are_ordered_and_their_pages_are_whole(
    tracking: Tracking, clock: ManualClock, order: list[ModelOrder], expected: list[str]
) -> None:
    await four(tracking, clock)
    found: list[str] = []
    token = None
    while True:
        query = ModelQuery(order=tuple(order), limit=1, token=token)
        page = await tracking.models.search(WHO, ["0"], query)
        found += [model.name for model in page.items]
        token = page.next
        if token is None:
            break
        if len(found) < 3:
            await tracking.models.create(WHO, "0", name="newest", type="zzz")
    assert [name for name in found if name != "newest"] == expected


async def test_a_token_goes_on_in_its_own_search_only(tracking: Tracking, clock: ManualClock) -> None:
    await four(tracking, clock)
    other = await tracking.experiments.create(WHO, "other")
    token = (await tracking.models.search(WHO, ["0"], ModelQuery(limit=1))).next
    assert await names(tracking, ModelQuery(token=token)) == ["m2", "m1", "m0"]
    for within, query, message in (
        ([other.id], ModelQuery(token=token), "Experiment IDs in the page token do not match"),
        (["0"], ModelQuery("name = 'x'", token=token), "Filter string in the page token does not match"),
        (["0"], ModelQuery(order=(ModelOrder("name"),), token=token), "Order by in the page token does not match"),
        (["0"], ModelQuery(token="bogus"), "Invalid page token"),
    ):
        with pytest.raises(InvalidInput, match=message):
            await tracking.models.search(WHO, within, query)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (ModelQuery("Foo"), "Invalid filter string"),
        (ModelQuery("name = 'a' OR name = 'b'"), "Invalid filter string"),
        (ModelQuery("foo.bar = 'a'"), "Invalid entity type"),
        (ModelQuery("name > 'a'"), "Invalid comparison operator"),
        (ModelQuery("metrics.m LIKE 'a'"), "Invalid comparison operator"),
        (ModelQuery("metrics.m = 'a'"), "Invalid filter string"),
        (ModelQuery(order=(ModelOrder("nonsense"),)), "Invalid order by field name"),
        (ModelQuery(order=(ModelOrder("params.n"),)), "Only metrics are supported"),
        (ModelQuery(order=(ModelOrder("name"),) * 21), "order_by has 21 items"),
        (ModelQuery(datasets=(OnDataset(""),)), "`dataset_name` in the `datasets` clause must be specified"),
        (ModelQuery(limit=0), "max_results"),
    ],
)
async def test_a_search_that_makes_no_sense_is_refused(tracking: Tracking, query: ModelQuery, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        await tracking.models.search(WHO, ["0"], query)
