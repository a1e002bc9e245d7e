"""Journals that are replayed: every operation once and in order, whatever is sent twice, late, at once or wrong."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from twinloop.backends.local_fs import LocalBlobs
from twinloop.backends.sqlite import open_store
from twinloop.compose import digest_of
from twinloop.control.artifacts.service import Artifacts
from twinloop.control.lineage.model import Node
from twinloop.control.lineage.repository import add as add_node
from twinloop.control.lineage.repository import parents
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.control.store.ports import Store
from twinloop.control.tracking.errors import ReplayGap
from twinloop.control.tracking.model import Metric, Run
from twinloop.control.tracking.replay.operations import (
    Artifact,
    Damaged,
    Finish,
    Log,
    Model,
    ModelChange,
    Operation,
    Params,
    Produce,
    Read,
    Start,
    Tags,
    Use,
)
from twinloop.control.tracking.replay.service import LIMIT, Replayed, Replays
from twinloop.control.tracking.service import Tracking
from twinloop.core.clock import ManualClock
from twinloop.core.digests import Digest
from twinloop.core.errors import Forbidden, InvalidInput

WHO = LOCAL_ADMIN
AT = 1_700_000_000_000
RUN = "0" * 31 + "a"
FLIGHTS = Digest("sha256:" + "f" * 64)


class World:
    """A store with everything that a replay touches."""

    def __init__(self, store: Store, blobs: LocalBlobs) -> None:
        clock = ManualClock()
        self.store = store
        self.blobs = blobs
        self.replays = Replays(store, blobs, self._resolve, clock)
        self.tracking = Tracking(store, clock)
        self.artifacts = Artifacts(store, blobs, clock)

    def _resolve(self, connection: Any, tenant: str, ref: str) -> Digest | None:
        return FLIGHTS if ref == "dataset/flights@3" else digest_of(connection, tenant, ref)

    async def send(self, first: int, *operations: Operation, spool: str = "s") -> Replayed:
        return await self.replays.apply(WHO, spool, first, operations)

    async def run(self, id: str = RUN) -> Run:
        return await self.tracking.get(WHO, id)

    async def points(self, key: str = "loss", run: str = RUN) -> list[tuple[int, float]]:
        page = await self.tracking.history(WHO, run, key)
        return [(point.step, point.value) for point in page.items]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = open_store(tmp_path / "twinloop.db")
    yield World(store, LocalBlobs(tmp_path / "blobs"))
    await store.aclose()


def start(run: str = RUN, **facts: Any) -> Start:
    return Start(run, AT, **facts)


def log(step: int, value: float | None = 0.5, run: str = RUN, key: str = "loss") -> Log:
    return Log(run, AT + step, [(key, value, step)])


def messages(replayed: Replayed) -> list[tuple[int, str]]:
    return [(item.sequence, item.message) for item in replayed.rejected]


async def test_a_journal_becomes_a_run_as_it_was_logged(world: World) -> None:
    replayed = await world.send(
        1,
        start(experiment="sales", name="churn", user="ann", tags={"team": "a"}),
        Params(RUN, {"depth": "6"}),
        log(0, 0.9),
        Log(RUN, AT, [("loss", None, 1), ("acc", 0.5, 1)]),
        Tags(RUN, {"team": "b", "stage": "x"}),
        Finish(RUN, AT + 9),
    )
    assert replayed == Replayed(6)
    run = await world.run()
    assert (run.name, run.user, run.status, run.started_ms, run.ended_ms) == ("churn", "ann", "FINISHED", AT, AT + 9)
    assert run.params == {"depth": "6"}
    assert run.tags == {"team": "b", "stage": "x", "mlflow.runName": "churn"}
    assert {point.key: point.step for point in run.metrics} == {"loss": 1, "acc": 1}
    (first, second) = (await world.tracking.history(WHO, RUN, "loss")).items
    assert (first.value, first.at_ms) == (0.9, AT)
    assert math.isnan(second.value)
    experiment = await world.tracking.experiments.find(WHO, "sales")
    assert experiment is not None
    assert experiment.id == run.experiment_id


async def test_what_was_applied_is_skipped_when_the_answer_was_lost(world: World) -> None:
    batch = [start(), log(0), log(1), Params(RUN, {"a": "1"}), Params(RUN, {"a": "2"})]
    first = await world.send(1, *batch)
    again = await world.send(1, *batch)
    assert again == first, "the refusal is told again, since its telling was lost too"
    assert await world.send(3, log(1), *batch[3:], log(2)) == Replayed(6, first.rejected)
    assert await world.points() == [(0, 0.5), (1, 0.5), (2, 0.5)]
    assert await world.replays.last(WHO, "s") == 6


async def test_an_old_batch_that_arrives_late_changes_nothing(world: World) -> None:
    """A tag that is set again, and a run that is reopened again, would show it."""
    old = (start(resume=True), Tags(RUN, {"stage": "old"}))
    await world.send(1, *old)
    await world.send(3, Tags(RUN, {"stage": "new"}), Finish(RUN, AT))
    assert await world.send(1, *old) == Replayed(4)
    assert ((await world.run()).tags["stage"], (await world.run()).status) == ("new", "FINISHED")
    assert await world.send(
        2, old[1], Tags(RUN, {"stage": "new"}), Finish(RUN, AT), Tags(RUN, {"more": "x"})
    ) == Replayed(5)
    run = await world.run()
    assert (run.tags["stage"], run.tags["more"], run.status) == ("new", "x", "FINISHED")


async def test_a_gap_is_refused_and_nothing_of_the_batch_is_applied(world: World) -> None:
    await world.send(1, start(), log(0))
    with pytest.raises(ReplayGap, match="up to 2, and 4 is not the next"):
        await world.send(4, log(2))
    with pytest.raises(ReplayGap, match="up to 0"):
        await world.send(2, log(2), spool="new")
    assert await world.points() == [(0, 0.5)]
    assert (await world.replays.last(WHO, "s"), await world.replays.last(WHO, "new")) == (2, 0)


async def test_two_senders_at_once_apply_each_operation_once(world: World) -> None:
    operations = [start(), *(Tags(RUN, {"step": str(step)}) for step in range(300))]
    spans = [(1, 301), (1, 100), (1, 50), (1, 301), (1, 200)]
    await asyncio.gather(*(world.send(first, *operations[first - 1 : end]) for first, end in spans))
    assert (await world.run()).tags["step"] == "299"
    assert await world.replays.last(WHO, "s") == 301


async def test_one_poisoned_operation_does_not_hold_up_what_follows(world: World) -> None:
    replayed = await world.send(
        1,
        start(),
        log(0),
        Log(RUN, AT, [("bad\nkey", 1.0, 0)]),
        Log(RUN, -5, [("loss", 1.0, 7)]),
        Log(RUN, AT, [("loss", 1.0, 2**70)]),
        Damaged(why="The operation cannot be read: nonsense."),
        Params("f" * 32, {"a": "b"}),
        Log("f" * 32, AT, [("loss", 1.0, 0)]),
        log(1),
        Start("no id!", AT),
        Finish(RUN, AT),
    )
    assert [sequence for sequence, _ in messages(replayed)] == [3, 4, 5, 6, 7, 8, 10]
    assert replayed.last == 11
    assert await world.points() == [(0, 0.5), (1, 0.5)]
    assert (await world.run()).status == "FINISHED"


async def test_a_text_that_a_database_cannot_hold_is_the_fault_of_its_operation_only(world: World) -> None:
    replayed = await world.send(1, start(), Tags(RUN, {"a": "\ud800"}), log(0))
    assert [sequence for sequence, _ in messages(replayed)] == [2]
    assert await world.points() == [(0, 0.5)]


async def test_a_param_that_changes_is_refused_and_those_beside_it_are_kept(world: World) -> None:
    replayed = await world.send(1, start(), Params(RUN, {"a": "1"}), Params(RUN, {"b": "2", "a": "9", "c": "3"}))
    assert [sequence for sequence, _ in messages(replayed)] == [3]
    assert "Changing param values is not allowed" in messages(replayed)[0][1]
    assert (await world.run()).params == {"a": "1", "b": "2", "c": "3"}


async def test_a_run_that_is_there_already_is_joined_and_only_resuming_reopens_it(world: World) -> None:
    await world.send(1, start(name="first"), Finish(RUN, AT + 5))
    await world.send(1, start(name="other", joined=True), log(0), spool="worker")
    assert ((await world.run()).name, (await world.run()).status) == ("first", "FINISHED")
    await world.send(1, start(resume=True, tags={"try": "2"}), log(1), spool="again")
    run = await world.run()
    assert (run.name, run.status, run.ended_ms, run.tags["try"]) == ("first", "RUNNING", None, "2")
    assert len(await world.points()) == 2


async def test_the_end_of_a_program_that_arrives_after_another_resumed_its_run_does_not_end_it(world: World) -> None:
    """The first program was killed on a machine that was away; the run went on elsewhere meanwhile."""
    await world.send(1, start(), log(0), spool="first")
    await world.send(1, Start(RUN, AT + 100, resume=True), log(101), spool="second")
    await world.send(1, Finish(RUN, AT + 50, "KILLED"), spool="first-end")
    assert ((await world.run()).status, (await world.run()).ended_ms) == ("RUNNING", None)
    await world.send(3, Finish(RUN, AT + 200), spool="second")
    assert ((await world.run()).status, (await world.run()).ended_ms) == ("FINISHED", AT + 200)


async def test_a_journal_whose_run_was_resumed_before_it_arrived_does_not_end_it(world: World) -> None:
    """Nor does it reopen a run that ended since, when it resumed that run itself."""
    await world.send(1, Start(RUN, AT + 100, resume=True), log(101), spool="second")
    await world.send(1, start(resume=True), log(0), Finish(RUN, AT + 50, "KILLED"), spool="first")
    assert (await world.run()).status == "RUNNING"
    await world.send(3, Finish(RUN, AT + 200), spool="second")
    await world.send(1, Start(RUN, AT + 60, resume=True), log(2), spool="third")
    assert ((await world.run()).status, (await world.run()).ended_ms) == ("FINISHED", AT + 200)
    assert [step for step, _ in await world.points()] == [0, 2, 101]


async def test_resuming_a_run_that_never_was_begins_it(world: World) -> None:
    await world.send(1, Start("job-17", AT, experiment="jobs", resume=True))
    assert (await world.run("job-17")).status == "RUNNING"


async def test_a_deleted_run_takes_nothing_and_says_so(world: World) -> None:
    await world.send(1, start())
    await world.tracking.delete(WHO, RUN)
    replayed = await world.send(2, log(0), Params(RUN, {"a": "1"}), start(resume=True))
    assert [sequence for sequence, _ in messages(replayed)] == [2, 3, 4]
    assert all("active" in message for _, message in messages(replayed))


async def test_a_child_names_its_parent_and_both_orders_of_metrics_are_kept(world: World) -> None:
    child = "0" * 31 + "b"
    await world.send(1, start(), start(child, parent=RUN), log(0), log(0, run=child), log(1), log(1, run=child))
    assert (await world.run(child)).tags["mlflow.parentRunId"] == RUN
    assert await world.points() == await world.points(run=child) == [(0, 0.5), (1, 0.5)]


async def test_a_deleted_experiment_refuses_runs(world: World) -> None:
    made = await world.tracking.experiments.create(WHO, "old")
    await world.tracking.experiments.delete(WHO, made.id)
    replayed = await world.send(1, start(experiment="old"), log(0), start(experiment="new"), log(1))
    assert [sequence for sequence, _ in messages(replayed)] == [1, 2]
    assert await world.points() == [(1, 0.5)]


async def test_an_artifact_is_attached_in_the_same_transaction(world: World) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"hello"

    kept = await world.blobs.put(content())
    replayed = await world.send(
        1,
        start(experiment="files"),
        Artifact(RUN, "a/b.txt", kept.digest, kept.size),
        Artifact(RUN, "gone.txt", "sha256:" + "0" * 64, 5),
        Artifact(RUN, "../../other/artifacts/x", kept.digest, kept.size),
        Artifact(RUN, "m.pkl", kept.digest, kept.size),
    )
    assert [sequence for sequence, _ in messages(replayed)] == [3, 4]
    place = (await world.run()).artifact_uri.removeprefix("mlflow-artifacts:/")
    found = await world.artifacts.tree(WHO, place)
    assert [(item.path.removeprefix(place), item.size, item.flag) for item in found] == [
        ("/a/b.txt", 5, None),
        ("/m.pkl", 5, "pickle"),
    ]


async def test_what_a_run_used_and_produced_is_in_the_lineage(world: World) -> None:
    await world.store.write(lambda c: add_node(c, WHO.tenant, Node(FLIGHTS, "dataset", "flights", "3", FLIGHTS), ()))
    replayed = await world.send(
        1,
        start(within="p" * 32),
        Use(RUN, "training", "dataset/flights@3"),
        Use(RUN, "training", "dataset/flights@3"),
        Use(RUN, "training", "dataset/none@1"),
        Use(RUN, "training", "not a reference"),
        Produce(RUN, "dataset/flights@3"),
        Read(RUN, "validation", "rows", "sha256:abc", profile='{"num_rows":3}'),
    )
    assert [sequence for sequence, _ in messages(replayed)] == [4, 5]
    (given,) = (await world.run()).inputs
    assert (given.name, given.digest, given.tags) == ("rows", "sha256:abc", {"mlflow.data.context": "validation"})
    found = await world.store.read(lambda c: parents(c, WHO.tenant, [f"run:{RUN}", FLIGHTS]))
    edges = [(edge.child, edge.parent, edge.role) for edge in found if edge.role != "validation"]
    assert sorted(edges) == sorted(
        [
            (f"run:{RUN}", FLIGHTS, "training"),
            (f"run:{RUN}", f"run:{'p' * 32}", "part_of"),
            (FLIGHTS, f"run:{RUN}", "produced_by"),
        ]
    )


async def test_a_logged_model_arrives_with_its_files_whichever_comes_first(world: World) -> None:
    """Files have a journal of their own, so they may be there before the model is."""

    async def content() -> AsyncIterator[bytes]:
        yield b"flavors: {}"

    model = "m-" + "c" * 32
    kept = await world.blobs.put(content())
    opening = start(experiment="models")
    files = await world.send(1, opening, Artifact(RUN, "MLmodel", kept.digest, kept.size, model=model), spool="s-files")
    records = await world.send(
        1,
        opening,
        Model(RUN, AT, model, "forest", "sklearn", {"depth": "3"}, {"a": "1"}),
        ModelChange(RUN, AT, model, params={"eta": "1"}, tags={"a": None, "b": "2"}, step=4),
        Log(RUN, AT, [("loss", 0.5, 4)], model=model, dataset=("train", "abc")),
        ModelChange(RUN, AT + 5, model, status="READY"),
        Model(RUN, AT, "no model id", "forest"),
        Model(RUN, AT, "m-" + "d" * 32, "a/b"),
        ModelChange(RUN, AT, "m-" + "e" * 32, status="READY"),
    )
    assert files.rejected == ()
    assert [sequence for sequence, _ in messages(records)] == [6, 7, 8]
    made = await world.tracking.models.get(WHO, model)
    assert (made.name, made.type, made.run_id, made.status) == ("forest", "sklearn", RUN, "READY")
    assert (made.params, made.tags) == ({"depth": "3", "eta": "1"}, {"b": "2"})
    assert [(point.key, point.value, point.dataset_name) for point in made.metrics] == [("loss", 0.5, "train")]
    folder = made.artifact_uri.removeprefix("mlflow-artifacts:/")
    assert [item.path for item in await world.artifacts.tree(WHO, folder)] == [f"{folder}/MLmodel"]
    edges = await world.store.read(lambda c: parents(c, WHO.tenant, [made.node]))
    assert [(edge.parent, edge.role) for edge in edges] == [(f"run:{RUN}", "produced_by")]


async def test_tags_can_be_taken_away_twice(world: World) -> None:
    replayed = await world.send(1, start(tags={"a": "1", "b": "2"}), Tags(RUN, {"a": None}), Tags(RUN, {"a": None}))
    assert replayed.rejected == ()
    assert (await world.run()).tags == {"b": "2", "mlflow.runName": (await world.run()).name}


async def test_tenants_do_not_see_each_others_journals(world: World) -> None:
    other = Principal("eve", "other", Role.developer)
    await world.send(1, start(), log(0))
    assert await world.replays.last(other, "s") == 0
    found = await world.replays.apply(other, "s", 1, [log(7)])
    assert [item.sequence for item in found.rejected] == [1]
    assert await world.points() == [(0, 0.5)]


@pytest.mark.parametrize(
    ("spool", "first"), [("", 1), ("a b", 1), ("x" * 65, 1), ("../x", 1), ("s", 0), ("s", -3), ("s", 2**63)]
)
async def test_names_and_numbers_that_cannot_be_are_refused(world: World, spool: str, first: int) -> None:
    with pytest.raises(InvalidInput):
        await world.replays.apply(WHO, spool, first, [start()])


async def test_a_viewer_replays_nothing_and_a_batch_has_a_limit(world: World) -> None:
    with pytest.raises(Forbidden):
        await world.replays.apply(Principal("v", WHO.tenant, Role.viewer), "s", 1, [start()])
    with pytest.raises(InvalidInput, match="the most at once"):
        await world.send(1, *([start()] * (LIMIT + 1)))
    assert await world.send(1) == Replayed(0)


async def test_points_of_many_calls_are_added_together_and_in_order(world: World) -> None:
    """The last value is the one logged last, also when steps and times are equal within a batch."""
    at: Sequence[Log] = [Log(RUN, AT, [("loss", float(n), 0)]) for n in range(500)]
    await world.send(1, start(), *at)
    page = await world.tracking.history(WHO, RUN, "loss")
    assert len(page.items) == 500
    assert (await world.run()).metrics[0] == Metric("loss", 499.0, AT, 0)
