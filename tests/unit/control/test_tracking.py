"""Runs, params, tags, metrics and experiments over a real store."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from twinloop.backends.sqlite import open_store
from twinloop.control.lineage.model import Link, Node
from twinloop.control.lineage.repository import add as add_node
from twinloop.control.lineage.service import Lineage
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.control.store.ports import Store
from twinloop.control.tracking.errors import NotActive, ParamChanged
from twinloop.control.tracking.model import DatasetInput, Metric, Query, RunChange
from twinloop.control.tracking.service import Tracking
from twinloop.core.clock import ManualClock
from twinloop.core.errors import Conflict, Forbidden, InvalidInput, NotFound

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


async def test_a_run_starts_in_an_experiment_that_is_made_for_it(tracking: Tracking) -> None:
    run = await tracking.start(WHO, "delays", name="first", tags={"a": "b"})
    assert (run.name, run.tags["a"]) == ("first", "b")
    assert (await tracking.start(WHO, "delays")).experiment_id == run.experiment_id


async def test_a_run_that_is_refused_leaves_no_experiment_behind(tracking: Tracking) -> None:
    with pytest.raises(InvalidInput, match="tag"):
        await tracking.start(WHO, "delays", tags={"a": "x" * 9000})
    assert await tracking.experiments.find(WHO, "delays") is None


async def test_every_tenant_has_the_default_experiment(tracking: Tracking) -> None:
    other = Principal("ann", "other", Role.developer)
    assert (await tracking.experiments.get(WHO, "0")).name == "Default"
    assert (await tracking.experiments.get(other, "0")).name == "Default"
    run = await tracking.create(other)
    with pytest.raises(NotFound):
        await tracking.get(WHO, run.id)


async def test_the_default_experiment_is_older_than_one_that_is_made_at_the_same_moment(tracking: Tracking) -> None:
    await tracking.experiments.create(WHO, "made at once")
    found = await tracking.experiments.search(WHO, Query())
    assert [item.name for item in found.items] == ["made at once", "Default"]


async def test_the_default_experiment_is_older_than_the_first_request_that_needs_it(
    tracking: Tracking, clock: ManualClock
) -> None:
    begun_ms = clock.now_ns() // 1_000_000
    clock.advance(60)
    assert (await tracking.experiments.get(WHO, "0")).created_ms < begun_ms


async def test_a_deleted_experiment_is_not_renamed(tracking: Tracking) -> None:
    made = await tracking.experiments.create(WHO, "gone")
    await tracking.experiments.delete(WHO, made.id)
    with pytest.raises(NotActive, match="Cannot rename a non-active experiment"):
        await tracking.experiments.rename(WHO, made.id, "back")


async def test_a_metric_names_a_dataset_with_its_digest_or_not_at_all(tracking: Tracking) -> None:
    run = await tracking.create(WHO)
    for name, digest in (("d", None), (None, "1f"), ("d", "")):
        with pytest.raises(InvalidInput, match="Both dataset_name and dataset_digest"):
            await tracking.log(WHO, run.id, metrics=[Metric("m", 1.0, 1, 1, None, name, digest)])
    await tracking.log(WHO, run.id, metrics=[Metric("m", 1.0, 1, 1, None, "d", "1f")])


async def test_a_run_keeps_what_is_logged_on_it(tracking: Tracking) -> None:
    experiment = await tracking.experiments.create(WHO, "späte Flüge", {"team": "ops"})
    run = await tracking.create(WHO, experiment.id, name="first", tags={"a": "b"}, started_ms=5)
    await tracking.log(WHO, run.id, metrics=[Metric("loss", 0.5, 10, 1)], params={"depth": "3"}, tags={"c": "d"})
    await tracking.add_inputs(
        WHO, run.id, [DatasetInput("ds", "1f", "code", "{}", tags={"mlflow.data.context": "train"})]
    )
    done = await tracking.update(WHO, run.id, RunChange(status="FINISHED", ended_ms=20))
    assert done == await tracking.get(WHO, run.id)
    assert (done.name, done.status, done.started_ms, done.ended_ms) == ("first", "FINISHED", 5, 20)
    assert done.metrics == (Metric("loss", 0.5, 10, 1),)
    assert done.params == {"depth": "3"}
    assert done.tags == {"a": "b", "c": "d", "mlflow.runName": "first"}
    assert done.inputs[0].name == "ds"
    assert done.artifact_uri == f"mlflow-artifacts:/{experiment.id}/{run.id}/artifacts"


async def test_the_last_point_has_the_highest_step_whatever_order_points_come_in(tracking: Tracking) -> None:
    run = await tracking.create(WHO)
    for step in (3, 1, 2):
        await tracking.log(WHO, run.id, metrics=[Metric("m", float(step), 100 - step, step)])
    await tracking.log(WHO, run.id, metrics=[Metric("m", 9.0, 1, 3), Metric("n", 1.0, 1, 5), Metric("n", 2.0, 1, 4)])
    last = {metric.key: metric.value for metric in (await tracking.get(WHO, run.id)).metrics}
    assert last == {"m": 3.0, "n": 1.0}
    history = await tracking.history(WHO, run.id, "m")
    assert [point.at_ms for point in history.items] == [1, 97, 98, 99]


async def test_the_same_point_twice_is_one_point(tracking: Tracking) -> None:
    run = await tracking.create(WHO)
    for _ in range(2):
        await tracking.log(WHO, run.id, metrics=[Metric("m", 1.0, 1, 1), Metric("m", 1.0, 1, 1)])
    assert len((await tracking.history(WHO, run.id, "m")).items) == 1


async def test_nan_stays_nan_and_infinities_become_the_largest_number(tracking: Tracking) -> None:
    run = await tracking.create(WHO)
    values = [Metric("nan", math.nan, 1), Metric("up", math.inf, 1), Metric("down", -math.inf, 1)]
    await tracking.log(WHO, run.id, metrics=values)
    last = {metric.key: metric.value for metric in (await tracking.get(WHO, run.id)).metrics}
    assert math.isnan(last["nan"])
    assert last["up"] == -last["down"] == 1.7976931348623157e308
    assert math.isnan((await tracking.history(WHO, run.id, "nan")).items[0].value)


async def test_history_is_paged_without_gap_or_repeat(tracking: Tracking) -> None:
    run = await tracking.create(WHO)
    points = [Metric("m", float(n % 7), 1000 + n // 3, n) for n in range(250)]
    await tracking.log(WHO, run.id, metrics=points)
    found: list[Metric] = []
    token = None
    while True:
        page = await tracking.history(WHO, run.id, "m", 100, token)
        found.extend(page.items)
        token = page.next
        if token is None:
            break
    assert [point.step for point in found] == list(range(250))
    with pytest.raises(InvalidInput, match="page token"):
        await tracking.history(WHO, run.id, "m", 100, "bogus")
    assert (await tracking.history(WHO, run.id, "no such metric")).items == ()


async def test_a_param_never_changes_but_may_be_logged_again(tracking: Tracking) -> None:
    run = await tracking.create(WHO)
    await tracking.log(WHO, run.id, params={"depth": "3"})
    await tracking.log(WHO, run.id, params={"depth": "3"})
    with pytest.raises(ParamChanged, match="Changing param values is not allowed"):
        await tracking.log(WHO, run.id, params={"depth": "5"}, tags={"t": "1"}, metrics=[Metric("m", 1.0, 1)])
    after = await tracking.get(WHO, run.id)
    assert after.params == {"depth": "3"}
    assert "t" not in after.tags
    assert after.metrics == ()


async def test_a_name_and_its_tag_stay_equal(tracking: Tracking) -> None:
    run = await tracking.create(WHO)
    assert run.tags["mlflow.runName"] == run.name
    await tracking.log(WHO, run.id, tags={"mlflow.runName": "tagged"})
    assert (await tracking.get(WHO, run.id)).name == "tagged"
    renamed = await tracking.update(WHO, run.id, RunChange(name="renamed"))
    assert renamed.tags["mlflow.runName"] == "renamed"
    with pytest.raises(InvalidInput, match="different values"):
        await tracking.create(WHO, name="a", tags={"mlflow.runName": "b"})


async def test_a_deleted_run_takes_nothing_until_it_is_restored(tracking: Tracking) -> None:
    run = await tracking.create(WHO)
    await tracking.delete(WHO, run.id)
    with pytest.raises(NotActive, match="must be in the 'active' state"):
        await tracking.log(WHO, run.id, tags={"a": "b"})
    assert (await tracking.search(WHO, ["0"], Query())).items == ()
    assert len((await tracking.search(WHO, ["0"], Query(view="deleted"))).items) == 1
    await tracking.restore(WHO, run.id)
    await tracking.log(WHO, run.id, tags={"a": "b"})


async def test_a_deleted_experiment_takes_its_runs_along_and_brings_all_of_them_back(
    tracking: Tracking, clock: ManualClock
) -> None:
    experiment = await tracking.experiments.create(WHO, "x")
    kept, gone = [await tracking.create(WHO, experiment.id) for _ in range(2)]
    await tracking.delete(WHO, gone.id)
    clock.advance(1)
    await tracking.experiments.delete(WHO, experiment.id)
    with pytest.raises(NotActive):
        await tracking.create(WHO, experiment.id)
    with pytest.raises(Conflict, match=r"Experiment\(name=x\) already exists in deleted state"):
        await tracking.experiments.create(WHO, "x")
    clock.advance(1)
    await tracking.experiments.restore(WHO, experiment.id)
    page = await tracking.search(WHO, [experiment.id], Query())
    assert {run.id for run in page.items} == {kept.id, gone.id}


async def test_experiments_are_found_by_name_tag_and_number(tracking: Tracking, clock: ManualClock) -> None:
    await tracking.experiments.get(WHO, "0")
    for name in ("alpha", "beta", "Alps"):
        clock.advance(1)
        await tracking.experiments.create(WHO, name, {"team": name[0]})

    async def names(filter: str, *order: str) -> list[str]:
        page = await tracking.experiments.search(WHO, Query(filter, order))
        return [experiment.name for experiment in page.items]

    assert await names("") == ["Alps", "beta", "alpha", "Default"]
    assert await names("name LIKE 'al%'") == ["alpha"]
    assert await names("name ILIKE 'al%'", "name ASC") == ["Alps", "alpha"]
    assert await names("tags.team = 'b'") == ["beta"]
    assert await names("experiment_id IN ('0', '2')", "experiment_id DESC") == ["beta", "Default"]
    with pytest.raises(InvalidInput, match="Invalid entity type"):
        await names("metrics.m > 1")
    with pytest.raises(Conflict):
        await tracking.experiments.rename(WHO, "1", "beta")
    await tracking.experiments.set_tags(WHO, "1", {"team": "z"})
    await tracking.experiments.delete_tag(WHO, "1", "team")
    with pytest.raises(NotFound):
        await tracking.experiments.delete_tag(WHO, "1", "team")


async def test_an_id_that_is_a_number_names_no_experiment_and_one_that_is_none_is_refused(tracking: Tracking) -> None:
    for absent in ("-1", "7", "9" * 18):
        with pytest.raises(NotFound, match=f"No Experiment with id={absent} exists"):
            await tracking.experiments.get(WHO, absent)
        with pytest.raises(NotFound):
            await tracking.create(WHO, absent)
        assert (await tracking.search(WHO, [absent], Query())).items == ()
    for wrong in ("", "-", "--1", "1-", "1.5", "x", "٣", "9" * 30):
        with pytest.raises(InvalidInput, match="Experiment ID must be a valid integer"):
            await tracking.experiments.get(WHO, wrong)
        with pytest.raises(InvalidInput, match="Experiment ID must be a valid integer"):
            await tracking.search(WHO, [wrong], Query())


@pytest.mark.parametrize("key", ["", ".", "..", "a/../b", "/a", "a\x00", "a;b", "k" * 251, "a\n"])
async def test_keys_that_could_be_other_paths_are_refused(tracking: Tracking, key: str) -> None:
    run = await tracking.create(WHO)
    with pytest.raises(InvalidInput):
        await tracking.log(WHO, run.id, metrics=[Metric(key, 1.0, 1)])
    with pytest.raises(InvalidInput):
        await tracking.log(WHO, run.id, params={key: "x"})
    with pytest.raises(InvalidInput):
        await tracking.log(WHO, run.id, tags={key: "x"})


async def test_numbers_that_no_column_holds_are_refused(tracking: Tracking) -> None:
    run = await tracking.create(WHO)
    for point in (Metric("m", 1.0, -1), Metric("m", 1.0, 2**63), Metric("m", 1.0, 1, 2**63)):
        with pytest.raises(InvalidInput):
            await tracking.log(WHO, run.id, metrics=[point])
    with pytest.raises(InvalidInput):
        await tracking.create(WHO, started_ms=2**63)


async def test_a_viewer_reads_and_changes_nothing(tracking: Tracking) -> None:
    run = await tracking.create(WHO)
    viewer = Principal("eve", WHO.tenant, Role.viewer)
    assert (await tracking.get(viewer, run.id)).id == run.id
    with pytest.raises(Forbidden):
        await tracking.log(viewer, run.id, tags={"a": "b"})
    with pytest.raises(Forbidden):
        await tracking.experiments.create(viewer, "x")


async def test_a_run_stands_in_the_lineage_with_what_it_consumed(tracking: Tracking, store: Store) -> None:
    run = await tracking.create(WHO, name="train")
    dataset = Node("sha256:" + "0" * 64, "dataset", "flights", "1")
    await store.write(lambda c: add_node(c, WHO.tenant, dataset, ()))
    await tracking.consume(WHO, run.id, [Link("dataset", dataset.key)])
    graph = await Lineage(store).why(WHO, f"run:{run.id}")
    assert {node.name for node in graph.nodes} == {"train", "flights"}


async def test_fifty_writers_at_once_lose_nothing(tracking: Tracking) -> None:
    run = await tracking.create(WHO)
    await asyncio.gather(
        *(tracking.log(WHO, run.id, metrics=[Metric("m", float(n), 1, n)], tags={f"t{n}": "x"}) for n in range(50))
    )
    after = await tracking.get(WHO, run.id)
    assert after.metrics[0].step == 49
    assert len(after.tags) == 51
    assert len((await tracking.history(WHO, run.id, "m")).items) == 50
