from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import twinloop.compose  # noqa: F401 - every table there is
from tests.toys import WordKind
from twinloop.backends.local_fs import LocalBlobs
from twinloop.backends.sqlite import SqliteStore, open_store
from twinloop.control.registry.model import revision_digest
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.control.store.schema import metadata
from twinloop.control.tracking.service import Tracking
from twinloop.control.transfer.model import Block, Outcome, Row, block_of
from twinloop.control.transfer.others import LEFT_OUT
from twinloop.control.transfer.service import SHAPES, Transfer
from twinloop.control.transfer.shape import sum_of
from twinloop.core.digests import digest_bytes
from twinloop.core.errors import Forbidden, InvalidInput
from twinloop.sdk.transfer import layout

RELEASER = Principal("r", "default", Role.releaser)
OTHER = Principal("o", "other", Role.admin)
RUN = "a" * 32


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = open_store(tmp_path / "twinloop.db")
    yield made
    await made.aclose()


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


@pytest.fixture
def tracking(store: SqliteStore) -> Tracking:
    return Tracking(store)


@pytest.fixture
def transfer(store: SqliteStore, blobs: LocalBlobs, tracking: Tracking) -> Transfer:
    return Transfer(store, blobs, tracking.experiments, {"word": WordKind()})


def experiment(number: int = 1, name: str = "flights", **more: Any) -> Row:
    times = {"created_ms": 5, "updated_ms": 6}
    return {"number": number, "name": name, "lifecycle": "active", "artifact_location": "x", **times, **more}


def run(id: str = RUN, **more: Any) -> Row:
    row = {"id": id, "experiment": 1, "name": "n", "user": "u", "status": "FINISHED", "started_ms": 1, "ended_ms": 2}
    return {**row, "lifecycle": "active", "deleted_ms": None, "artifact_uri": "mlflow-artifacts:/1/x/artifacts", **more}


def logged_model(**more: Any) -> Row:
    row = {"id": "m-1", "experiment": 1, "name": "m", "type": None, "run": None, "status": "READY", "updated_ms": 5}
    return {**row, "status_message": None, "artifact_uri": "x", "lifecycle": "active", "created_ms": 5, **more}


def revision(number: int = 1, text: str = "x", name: str = "hello", parents: tuple[str, ...] = ()) -> Row:
    manifest = {"text": text}
    edges = [{"role": "of", "digest": digest, "via": None} for digest in parents]
    digest = revision_digest("word", name, manifest, tuple(_parent(edge) for edge in edges))
    row = {"kind": "word", "name": name, "number": number, "digest": digest, "manifest": manifest, "parents": edges}
    return {
        **row,
        "created_ns": 7,
        "created_by": "ada",
        "run_id": None,
        "registered_ns": 7,
        "source": None,
        "origin": None,
    }


def _parent(edge: dict[str, Any]) -> Any:
    from twinloop.control.registry.model import Parent

    return Parent(edge["role"], edge["digest"])


async def put(transfer: Transfer, who: Principal = LOCAL_ADMIN, **tables: list[Row]) -> Outcome:
    return await transfer.put(who, [block_of(shape, rows) for shape, rows in tables.items()])


async def rows(transfer: Transfer, shape: str, who: Principal = LOCAL_ADMIN) -> list[Row]:
    return (await transfer.page(who, shape, None, None, None, 10_000)).block.items()


def test_every_table_is_carried_or_left_out_for_a_reason() -> None:
    carried = {shape.table.name for shape in SHAPES.values()}
    assert carried.isdisjoint(set(LEFT_OUT) - {"latest_metrics"})
    assert carried | set(LEFT_OUT) == set(metadata.tables) | (set(LEFT_OUT) - set(metadata.tables))
    assert set(metadata.tables) <= carried | set(LEFT_OUT)


def test_every_shape_has_its_place_in_an_exported_folder() -> None:
    placed = [*layout.TRACKING, *layout.CARD, *layout.REVISION, *layout.TRACES, *layout.RECORDS]
    assert sorted(placed) == sorted(SHAPES)


def test_owners_come_before_what_they_own() -> None:
    order = list(SHAPES)
    for shape in SHAPES.values():
        for need in shape.needs:
            assert order.index(need.owner) < order.index(shape.name)


async def test_rows_keep_their_ids_numbers_and_times(transfer: Transfer, tracking: Tracking) -> None:
    params = [{"run": RUN, "key": "lr", "value": "0.1"}]
    done = await put(transfer, params=params, runs=[run()], experiments=[experiment(created_ms=123)])
    assert done.refused == []
    assert (await tracking.experiments.get(LOCAL_ADMIN, "1")).created_ms == 123
    found = await tracking.get(LOCAL_ADMIN, RUN)
    assert (found.started_ms, found.ended_ms, found.params) == (1, 2, {"lr": "0.1"})


async def test_points_move_the_last_one_and_keep_nan(transfer: Transfer, tracking: Tracking) -> None:
    def point(at_ms: int, step: int, value: float, is_nan: bool = False) -> Row:
        return {"run": RUN, "key": "loss", "at_ms": at_ms, "step": step, "value": value, "is_nan": is_nan}

    await put(transfer, experiments=[experiment()], runs=[run()])
    points = [point(3, 9, 0.5), point(1, 0, 0.0), point(1, 0, 0.0, True)]
    done = await put(transfer, metrics=points)
    assert done.added == {"metrics": 3}
    again = await put(transfer, metrics=[*points, point(4, 10, 0.25)])
    assert (again.added, again.kept) == ({"metrics": 1}, {"metrics": 3})
    (last,) = (await tracking.get(LOCAL_ADMIN, RUN)).metrics
    assert (last.value, last.step) == (0.25, 10)
    assert [row["is_nan"] for row in await rows(transfer, "metrics")] == [False, True, False, False]


async def test_what_is_there_is_never_overwritten(transfer: Transfer) -> None:
    await put(transfer, experiments=[experiment()], runs=[run()], tags=[{"run": RUN, "key": "a", "value": "first"}])
    done = await put(
        transfer,
        experiments=[experiment()],
        runs=[run(name="other")],
        tags=[{"run": RUN, "key": "a", "value": "second"}],
    )
    assert done.added == {"experiments": 0, "runs": 0, "tags": 0}
    assert done.kept == {"experiments": 1, "runs": 1, "tags": 1}
    assert [row["value"] for row in await rows(transfer, "tags")] == ["first"]
    assert [row["name"] for row in await rows(transfer, "runs")] == ["n"]


async def test_a_run_that_was_under_way_is_told_its_end(transfer: Transfer) -> None:
    await put(transfer, experiments=[experiment()], runs=[run(status="RUNNING", ended_ms=None)])
    await put(transfer, runs=[run(status="FAILED", ended_ms=99)])
    (found,) = await rows(transfer, "runs")
    assert (found["status"], found["ended_ms"]) == ("FAILED", 99)
    await put(transfer, runs=[run(status="FINISHED", ended_ms=100)])
    assert (await rows(transfer, "runs"))[0]["status"] == "FAILED"


async def test_a_logged_model_that_was_pending_is_told_that_it_is_ready(transfer: Transfer) -> None:
    """It was imported while its files were on their way, and is imported again."""
    await put(transfer, experiments=[experiment()], logged_models=[logged_model(status="PENDING")])
    await put(transfer, logged_models=[logged_model(status="READY", updated_ms=9)])
    (found,) = await rows(transfer, "logged_models")
    assert (found["status"], found["updated_ms"]) == ("READY", 9)
    outcome = await put(transfer, logged_models=[logged_model(status="FAILED", updated_ms=10)])
    assert (outcome.added["logged_models"], outcome.kept["logged_models"]) == (0, 1)
    assert (await rows(transfer, "logged_models"))[0]["status"] == "READY"


async def test_bad_rows_are_refused_one_by_one(transfer: Transfer) -> None:
    tags = [
        {"run": RUN, "key": "../up", "value": "x"},
        {"run": RUN, "key": "fine", "value": "x"},
        {"run": RUN, "key": "nul", "value": "a\0b"},
        {"run": RUN, "key": "number", "value": 3},
        {"run": RUN, "key": "half", "value": "\ud800"},
        {"run": "b" * 32, "key": "orphan", "value": "x"},
    ]
    bad_runs = [
        run("../../etc"),
        run("c" * 32, status="DONE"),
        run("d" * 32, started_ms=2**70),
        run("e" * 32, experiment=77),
    ]
    done = await put(transfer, experiments=[experiment()], runs=[run(), *bad_runs], tags=tags)
    assert done.added == {"experiments": 1, "runs": 1, "tags": 1}
    assert [refusal.key for refusal in done.refused if refusal.shape == "tags"] == [
        [RUN, "../up"], [RUN, "nul"], [RUN, "number"], [RUN, "half"], ["b" * 32, "orphan"],
    ]  # fmt: skip
    whys = [refusal.why for refusal in done.refused if refusal.shape == "runs"]
    assert len(whys) == 4
    assert "its experiment 77 is not here" in whys


async def test_a_run_that_is_refused_takes_what_belongs_to_it_along(transfer: Transfer) -> None:
    params = [{"run": "f" * 32, "key": "a", "value": "b"}]
    done = await put(transfer, experiments=[experiment()], runs=[run("f" * 32, status="DONE")], params=params)
    assert [refusal.shape for refusal in done.refused] == ["runs", "params"]
    assert await rows(transfer, "params") == []


async def test_numbers_and_names_of_experiments_go_together(transfer: Transfer) -> None:
    await put(transfer, experiments=[experiment(1, "a"), experiment(2, "b")])
    done = await put(transfer, experiments=[experiment(1, "c"), experiment(3, "b"), experiment(4, "d")])
    assert [refusal.key for refusal in done.refused] == [[1], [3]]
    assert [row["name"] for row in await rows(transfer, "experiments")] == ["Default", "a", "b", "d"]


async def test_experiment_0_becomes_the_one_that_comes_while_it_holds_nothing(transfer: Transfer) -> None:
    await put(transfer, experiments=[experiment(0, "Default", created_ms=42)])
    assert (await rows(transfer, "experiments"))[0]["created_ms"] == 42
    await put(transfer, runs=[run(experiment=0)])
    await put(transfer, experiments=[experiment(0, "Default", created_ms=43)])
    assert (await rows(transfer, "experiments"))[0]["created_ms"] == 42


async def test_a_revision_must_have_the_digest_of_its_content(transfer: Transfer) -> None:
    forged = {**revision(), "manifest": {"text": "other"}}
    unknown = {**revision(), "kind": "spell"}
    done = await put(transfer, revisions=[forged, unknown])
    assert len(done.refused) == 2
    assert "it was changed" in done.refused[0].why
    assert await rows(transfer, "revisions") == []


async def test_a_manifest_its_kind_refuses_does_not_come_in(transfer: Transfer) -> None:
    bad = revision()
    bad["manifest"] = {"text": 3}
    bad["digest"] = revision_digest("word", "hello", bad["manifest"], ())
    done = await put(transfer, revisions=[bad])
    assert "The field text must be text." in done.refused[0].why


async def test_a_number_that_is_taken_is_refused_and_parents_must_come_first(transfer: Transfer) -> None:
    first = revision(3, "x")
    child = revision(1, "child", "made", (first["digest"],))
    assert (await put(transfer, revisions=[child])).refused[
        0
    ].why == f"it was made from {first['digest']}, which is not here"
    assert (await put(transfer, revisions=[first, child])).added == {"revisions": 2}
    done = await put(transfer, revisions=[revision(3, "another"), revision(4, "x")])
    assert [refusal.key for refusal in done.refused] == [["word", "hello", 3], ["word", "hello", 4]]
    assert "the number is taken" in done.refused[0].why
    assert "the same content is here as word/hello@3" in done.refused[1].why
    assert (await put(transfer, revisions=[first, child])).kept == {"revisions": 2}


async def test_two_cards_are_not_called_the_same(transfer: Transfer) -> None:
    def card(name: str, title: str, deleted: bool = False) -> Row:
        row = {"kind": "word", "name": name, "shelf": "word", "title": title, "description": None, "approvals": 0}
        return {**row, "created_ms": 1, "created_by": "a", "updated_ms": 1, "deleted": deleted}

    done = await put(transfer, cards=[card("a", "T"), card("b", "T"), card("c", "T", True), card("d", "U")])
    assert [refusal.key for refusal in done.refused] == [["word", "b"]]
    assert done.added == {"cards": 3}


async def test_a_history_is_added_to_and_equal_events_stay_two(transfer: Transfer) -> None:
    def event(position: int, action: str) -> Row:
        row = {"kind": "word", "name": "a", "position": position, "title": "a", "number": None, "at_ns": 1, "by": "x"}
        return {**row, "action": action, "detail": {"a": 1}}

    events = [event(0, "card.created"), event(1, "card.tagged"), event(2, "card.tagged")]
    assert (await put(transfer, registry_events=events)).added == {"registry_events": 3}
    assert (await put(transfer, registry_events=events)).added == {"registry_events": 0}
    assert (await put(transfer, registry_events=[*events, event(3, "card.deleted")])).added == {"registry_events": 1}
    found = await rows(transfer, "registry_events")
    assert [row["position"] for row in found] == [0, 1, 2, 3]
    assert [row["action"] for row in found][-1] == "card.deleted"


async def test_an_artifact_needs_its_bytes_and_its_flag_is_our_own(transfer: Transfer, blobs: LocalBlobs) -> None:
    content = b"\x80\x04N."

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    await blobs.put(chunks())
    good = {
        "folder": "1/r/artifacts",
        "name": "m.pkl",
        "size": 4,
        "digest": digest_bytes(content),
        "at_ms": 5,
        "flag": None,
    }
    bad = [
        {**good, "folder": "1/../2"},
        {**good, "name": "a/b"},
        {**good, "name": "gone", "digest": digest_bytes(b"gone")},
        {**good, "name": "longer", "size": 5},
    ]
    done = await put(transfer, artifacts=[good, *bad])
    assert done.added == {"artifacts": 1}
    assert len(done.refused) == 4
    (row,) = await rows(transfer, "artifacts")
    assert row["flag"]
    assert (await put(transfer, artifacts=[{**good, "at_ms": 9}])).kept == {"artifacts": 1}
    in_the_way = await put(transfer, artifacts=[{**good, "folder": "1/r/artifacts/m.pkl", "name": "x"}])
    assert len(in_the_way.refused) == 1


async def test_sums_are_those_of_the_rows(transfer: Transfer) -> None:
    other = "b" * 32
    params = [{"run": r, "key": k, "value": f"{r[0]}{k}"} for r in (RUN, other) for k in ("z", "ä", "a")]
    await put(transfer, experiments=[experiment()], runs=[run(), run(other)], params=params)
    mine = [row for row in params if row["run"] == RUN]
    found = await transfer.sums(LOCAL_ADMIN, "params", [(RUN,), ("c" * 32,)])
    assert found[0] == sum_of(SHAPES["params"], mine)
    assert found[1].count == 0
    without = await transfer.sums(LOCAL_ADMIN, "params", [(RUN,)], ["value"])
    assert without[0] != found[0]


async def test_pages_go_on_behind_a_key_and_narrow_to_scopes(transfer: Transfer) -> None:
    ids = [f"{n:032d}" for n in range(7)]
    params = [{"run": id, "key": str(k), "value": ""} for id in ids for k in range(3)]
    await put(transfer, experiments=[experiment()], runs=[run(id) for id in ids], params=params)
    found: list[Row] = []
    after = None
    while True:
        page = await transfer.page(LOCAL_ADMIN, "params", None, None, after, 4)
        found += page.block.items()
        if (after := page.after) is None:
            break
    assert found == params
    few = await transfer.page(LOCAL_ADMIN, "params", None, [(ids[2],), (ids[5],)], None, 100)
    assert {row["run"] for row in few.block.items()} == {ids[2], ids[5]}
    assert len((await transfer.page(LOCAL_ADMIN, "runs", ["experiment"], [(1,)], None, 100)).block.rows) == 7


async def test_only_an_admin_carries_rows_and_of_one_tenant(transfer: Transfer) -> None:
    await put(transfer, experiments=[experiment()], runs=[run()])
    with pytest.raises(Forbidden):
        await put(transfer, RELEASER, runs=[run()])
    with pytest.raises(Forbidden):
        await transfer.page(RELEASER, "runs", None, None, None, 1)
    with pytest.raises(Forbidden):
        await transfer.sums(RELEASER, "runs", [(RUN,)])
    assert await rows(transfer, "runs", OTHER) == []
    assert (await transfer.sums(OTHER, "runs", [(RUN,)]))[0].count == 0


@pytest.mark.parametrize(
    "block",
    [
        Block("keys", ["id"], [["x"]]),
        Block("runs", ["id", "nope"], [["x", 1]]),
        Block("runs", ["id"], [["x", 1]]),
        Block("params", ["run", "key", "value"], [["r", "k", "v"]] * 50_001),
    ],
)
async def test_what_is_no_block_is_refused_whole(transfer: Transfer, block: Block) -> None:
    with pytest.raises(InvalidInput):
        await transfer.put(LOCAL_ADMIN, [block])
