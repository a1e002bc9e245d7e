"""What runs read and made stands in the lineage graph without a further call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from twinloop.backends.sqlite import open_store
from twinloop.control.lineage.model import Node
from twinloop.control.lineage.repository import add as add_node
from twinloop.control.lineage.service import Lineage
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.control.store.ports import Store
from twinloop.control.tracking.errors import NotActive
from twinloop.control.tracking.model import DatasetInput, Query
from twinloop.control.tracking.service import Tracking
from twinloop.core.clock import ManualClock
from twinloop.core.errors import NotFound

WHO = LOCAL_ADMIN
HEX = "0123456789abcdef" * 4
TRAIN = {"mlflow.data.context": "train"}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(tmp_path / "twinloop.db")
    yield opened
    await opened.aclose()


@pytest.fixture
def tracking(store: Store) -> Tracking:
    return Tracking(store, ManualClock())


def external(name: str = "flights", digest: str = "a1b2c3d4", tags: dict[str, str] | None = None) -> DatasetInput:
    return DatasetInput(name, digest, "http", '{"url": "https://example.org/flights.csv"}', tags=tags or {})


async def edges_of(store: Store, run_id: str) -> set[tuple[str, str]]:
    """Role and name of what a run came from directly."""
    graph = await Lineage(store).why(WHO, f"run:{run_id}")
    names = {node.key: node.name for node in graph.nodes}
    return {(edge.role, names.get(edge.parent, edge.parent)) for edge in graph.edges if edge.child == f"run:{run_id}"}


async def test_a_dataset_kept_elsewhere_is_one_node_for_all_runs_that_read_it(tracking: Tracking, store: Store) -> None:
    first, second = [await tracking.create(WHO) for _ in range(2)]
    for run in (first, second):
        await tracking.add_inputs(WHO, run.id, [external(tags=TRAIN)])
    await tracking.add_inputs(WHO, second.id, [external(digest="other")])
    assert await edges_of(store, first.id) == {("train", "flights")}
    assert await edges_of(store, second.id) == {("train", "flights"), ("dataset", "flights")}
    [node] = [node for node in (await Lineage(store).why(WHO, first.node)).nodes if node.kind == "dataset"]
    assert (node.version, node.detail) == (
        "a1b2c3d4",
        {"source_type": "http", "source": '{"url": "https://example.org/flights.csv"}'},
    )
    touched = await Lineage(store).impact(WHO, node.key)
    assert {one.key for one in touched.nodes if one.kind == "run"} == {first.node, second.node}


async def test_the_same_input_twice_is_one_input_and_one_edge(tracking: Tracking, store: Store) -> None:
    run = await tracking.create(WHO)
    for _ in range(3):
        await tracking.add_inputs(WHO, run.id, [external(tags=TRAIN), external(tags=TRAIN)])
    assert len((await tracking.get(WHO, run.id)).inputs) == 1
    assert len((await Lineage(store).why(WHO, run.node)).edges) == 1


@pytest.mark.parametrize("digest", [HEX[:8], HEX[:36], f"sha256:{HEX[:29]}"])
async def test_a_dataset_registered_here_is_linked_as_the_revision_it_is(
    tracking: Tracking, store: Store, digest: str
) -> None:
    revision = Node(f"sha256:{HEX}", "dataset", "flights", "3", digest=f"sha256:{HEX}")
    await store.write(lambda c: add_node(c, WHO.tenant, revision, ()))
    run = await tracking.create(WHO)
    await tracking.add_inputs(WHO, run.id, [external(digest=digest)])
    graph = await Lineage(store).why(WHO, run.node)
    assert {(edge.role, edge.parent) for edge in graph.edges} == {("dataset", revision.key)}


@pytest.mark.parametrize(
    ("name", "digest", "kind", "tenant"),
    [
        ("other", HEX[:8], "dataset", WHO.tenant),
        ("flights", "ffffffff", "dataset", WHO.tenant),
        ("flights", HEX[:7], "dataset", WHO.tenant),
        ("flights", HEX[:8], "model", WHO.tenant),
        ("flights", HEX[:8], "dataset", "another tenant"),
    ],
)
async def test_a_revision_that_may_be_something_else_is_not_linked(
    tracking: Tracking, store: Store, name: str, digest: str, kind: str, tenant: str
) -> None:
    revision = Node(f"sha256:{HEX}", kind, "flights", "3")
    await store.write(lambda c: add_node(c, tenant, revision, ()))
    run = await tracking.create(WHO)
    await tracking.add_inputs(WHO, run.id, [external(name, digest)])
    [edge] = (await Lineage(store).why(WHO, run.node)).edges
    assert edge.parent.startswith("dataset:")


async def test_a_nested_run_is_part_of_its_parent_however_that_is_said(tracking: Tracking, store: Store) -> None:
    parent = await tracking.create(WHO, name="parent")
    at_birth = await tracking.create(WHO, tags={"mlflow.parentRunId": parent.id})
    later = await tracking.create(WHO)
    await tracking.log(WHO, later.id, tags={"mlflow.parentRunId": parent.id})
    native = await tracking.start(WHO, "Default", parent=parent.id)
    for run in (at_birth, later, native):
        assert await edges_of(store, run.id) == {("part_of", "parent")}
    assert native.tags["mlflow.parentRunId"] == parent.id


async def test_a_run_cannot_be_started_below_one_that_is_not_there(tracking: Tracking) -> None:
    with pytest.raises(NotFound):
        await tracking.start(WHO, "children", parent="0" * 32)
    gone = await tracking.create(WHO)
    await tracking.delete(WHO, gone.id)
    with pytest.raises(NotActive):
        await tracking.start(WHO, "children", parent=gone.id)
    assert await tracking.experiments.find(WHO, "children") is None


async def test_from_a_model_to_the_data_it_was_trained_on_no_call_was_made_for_lineage(
    tracking: Tracking, store: Store
) -> None:
    pretraining, training = await tracking.create(WHO, name="pretraining"), await tracking.create(WHO, name="training")
    await tracking.add_inputs(WHO, pretraining.id, [external("corpus")])
    base = await tracking.models.create(WHO, "0", name="base", run_id=pretraining.id)
    await tracking.add_inputs(WHO, training.id, [external("flights")], models=[base.id])
    tuned = await tracking.models.create(WHO, "0", name="tuned")
    await tracking.add_outputs(WHO, training.id, [(tuned.id, 7)])
    graph = await Lineage(store).why(WHO, tuned.node)
    assert {(node.kind, node.name) for node in graph.nodes} == {
        ("logged_model", "tuned"),
        ("run", "training"),
        ("dataset", "flights"),
        ("logged_model", "base"),
        ("run", "pretraining"),
        ("dataset", "corpus"),
    }
    roles = {(edge.child, edge.role, edge.parent) for edge in graph.edges}
    assert (tuned.node, "produced_by", training.node) in roles
    assert (training.node, "model", base.node) in roles
    found = await tracking.get(WHO, training.id)
    assert (found.models_read, found.models_made) == ((base.id,), ((tuned.id, 7),))


async def test_what_a_deleted_run_reads_is_refused_and_leaves_no_edge(tracking: Tracking, store: Store) -> None:
    run = await tracking.create(WHO)
    await tracking.delete(WHO, run.id)
    with pytest.raises(NotActive):
        await tracking.add_inputs(WHO, run.id, [external()], models=["m-1"])
    with pytest.raises(NotActive):
        await tracking.add_outputs(WHO, run.id, [("m-1", 0)])
    assert (await Lineage(store).why(WHO, run.node)).edges == ()


async def test_the_datasets_of_experiments_are_listed_once_each(tracking: Tracking) -> None:
    one, two, three = [(await tracking.experiments.create(WHO, name)).id for name in ("one", "two", "three")]
    for experiment in (one, one, two, three):
        run = await tracking.create(WHO, experiment)
        await tracking.add_inputs(WHO, run.id, [external(tags=TRAIN), external("plain")])
    found = await tracking.datasets(WHO, [one, two])
    assert [(item.experiment_id, item.name, item.context) for item in found] == [
        (one, "flights", "train"),
        (one, "plain", None),
        (two, "flights", "train"),
        (two, "plain", None),
    ]
    assert await tracking.datasets(Principal("ann", "other", Role.viewer), [one]) == []


@pytest.mark.parametrize(
    ("filter", "names"),
    [
        ("datasets.name = 'flights'", {"both", "first"}),
        ("dataset.digest = 'b'", {"both"}),
        ("datasets.name = 'flights' AND datasets.name = 'plain'", {"both"}),
        ("datasets.context IN ('train')", {"both", "first"}),
        ("datasets.name NOT IN ('flights')", {"both"}),
        ("datasets.name ILIKE 'FL%'", {"both", "first"}),
    ],
)
async def test_runs_are_found_by_the_datasets_they_read(tracking: Tracking, filter: str, names: set[str]) -> None:
    given = {"first": [external(tags=TRAIN)], "both": [external(tags=TRAIN), external("plain", "b")], "none": []}
    for name, inputs in given.items():
        await tracking.add_inputs(WHO, (await tracking.create(WHO, name=name)).id, inputs)
    assert {run.name for run in (await tracking.search(WHO, ["0"], Query(filter))).items} == names
