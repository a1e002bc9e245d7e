from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from twinloop.backends.sqlite import SqliteStore, open_store
from twinloop.control.evaluation.issues.model import Change, Draft, Wish
from twinloop.control.evaluation.issues.service import Issues
from twinloop.control.evaluation.labels.model import Categorical, Numeric, PassFail, Text
from twinloop.control.evaluation.labels.model import Change as LabelChange
from twinloop.control.evaluation.labels.service import LabelSchemas
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.control.tracking.service import Tracking
from twinloop.core.clock import ManualClock
from twinloop.core.errors import Conflict, Forbidden, InvalidInput, NotFound

OTHER = Principal("o", "other", Role.admin)
VIEWER = Principal("v", "default", Role.viewer)
YES_NO = PassFail("Yes", "No")


class Place(NamedTuple):
    store: SqliteStore
    tracking: Tracking
    issues: Issues
    labels: LabelSchemas
    clock: ManualClock


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    store, clock = open_store(tmp_path / "x.db"), ManualClock()
    tracking = Tracking(store, clock)
    experiments = tracking.experiments
    yield Place(store, tracking, Issues(store, experiments, clock), LabelSchemas(store, experiments, clock), clock)
    await store.aclose()


def issue(name: str, **more: Any) -> Draft:
    return Draft("0", name, "what is wrong", **more)


async def names(place: Place, **wish: Any) -> list[str]:
    found, _ = await place.issues.search(LOCAL_ADMIN, Wish(**wish))
    return [one.name for one in found]


async def test_an_issue_keeps_what_was_said_of_it(place: Place) -> None:
    run = await place.tracking.create(LOCAL_ADMIN)
    made = await place.issues.create(
        LOCAL_ADMIN,
        issue(
            "slow", severity="high", root_causes=("x", "y"), categories=("c",), source_run_id=run.id, created_by="me"
        ),
    )
    assert await place.issues.get(LOCAL_ADMIN, made.id) == made
    assert (made.status, made.created_ms, made.traces) == ("pending", made.updated_ms, None)
    changed = await place.issues.update(LOCAL_ADMIN, made.id, Change(status="resolved", name="fast"))
    assert (changed.status, changed.name, changed.severity) == ("resolved", "fast", "high")
    assert changed.updated_ms > made.updated_ms
    assert await place.issues.get(LOCAL_ADMIN, made.id) == changed


async def test_issues_come_by_severity_and_then_the_newest_first(place: Place) -> None:
    for name, severity in (("a", "low"), ("b", "high"), ("c", None), ("d", "not_an_issue"), ("e", "high"), ("f", None)):
        await place.issues.create(LOCAL_ADMIN, issue(name, severity=severity))
    assert await names(place) == ["e", "b", "a", "d", "f", "c"]
    first, following = await place.issues.search(LOCAL_ADMIN, Wish(limit=4))
    second, end = await place.issues.search(LOCAL_ADMIN, Wish(limit=4, offset=following or 0))
    assert [one.name for one in (*first, *second)] == ["e", "b", "a", "d", "f", "c"]
    assert (following, end) == (4, None)


async def test_issues_are_found_by_status_run_and_experiment(place: Place) -> None:
    run = await place.tracking.create(LOCAL_ADMIN)
    other = (await place.tracking.experiments.create(LOCAL_ADMIN, "other")).id
    await place.issues.create(LOCAL_ADMIN, issue("a", status="resolved", source_run_id=run.id))
    await place.issues.create(LOCAL_ADMIN, issue("b"))
    await place.issues.create(LOCAL_ADMIN, Draft(other, "c", "d", status="resolved"))
    assert await names(place, filter="status = 'resolved'") == ["c", "a"]
    assert await names(place, filter="status != 'resolved'") == ["b"]
    assert await names(place, filter=f"status = 'resolved' AND source_run_id = '{run.id}'") == ["a"]
    assert await names(place, experiment_id=other) == ["c"]
    with pytest.raises(InvalidInput, match="Invalid filter field 'nothing'"):
        await names(place, filter="nothing = 'x'")
    with pytest.raises(InvalidInput, match="Invalid value 0 for parameter 'max_results'"):
        await names(place, limit=0)


async def test_what_an_issue_is_about_must_be_there(place: Place) -> None:
    gone = (await place.tracking.experiments.create(LOCAL_ADMIN, "gone")).id
    await place.tracking.experiments.delete(LOCAL_ADMIN, gone)
    for experiment in ("777", gone):
        with pytest.raises(NotFound, match="No Experiment with id="):
            await place.issues.create(LOCAL_ADMIN, Draft(experiment, "a", "b"))
    with pytest.raises(InvalidInput, match="FOREIGN KEY constraint failed"):
        await place.issues.create(LOCAL_ADMIN, issue("a", source_run_id="none"))
    for name, description in (("", "x"), ("x", " "), ("x" * 251, "x")):
        with pytest.raises(InvalidInput):
            await place.issues.create(LOCAL_ADMIN, Draft("0", name, description))


async def test_issues_are_their_tenants_alone(place: Place) -> None:
    made = await place.issues.create(LOCAL_ADMIN, issue("a"))
    with pytest.raises(NotFound, match="Issue with ID"):
        await place.issues.get(OTHER, made.id)
    assert (await place.issues.search(OTHER, Wish()))[0] == []
    with pytest.raises(Forbidden):
        await place.issues.update(VIEWER, made.id, Change(name="b"))


@pytest.mark.parametrize(
    "input", [YES_NO, Categorical(["a", "b"], True), Numeric(1, 5), Numeric(), Text(), Text(5)], ids=str
)
async def test_a_label_schema_keeps_what_it_asks(place: Place, input: Any) -> None:
    made = await place.labels.create(LOCAL_ADMIN, "0", "Is it right?", "FEEDBACK", input, "Look.", True)
    assert await place.labels.get(LOCAL_ADMIN, made.id) == made
    assert await place.labels.by_name(LOCAL_ADMIN, "0", "Is it right?") == made
    assert made.input == input


@pytest.mark.parametrize(
    ("name", "input", "says"),
    [
        ("", YES_NO, "non-empty string"),
        ("a" * 251, YES_NO, "at most 250"),
        ("feedback ", YES_NO, "reserved"),
        ("a", PassFail("same", "same"), "must be distinct"),
        ("a", PassFail("", "b"), "non-empty string"),
        ("a", PassFail("a" * 65, "b"), "at most 64"),
        ("a", Numeric(5, 5), "strictly less than"),
        ("a", Categorical([]), "non-empty list"),
        ("a", Categorical(["d", "d"]), "deduplicated"),
        ("a", Categorical(["", "d"]), "non-empty strings"),
        ("a", Categorical(["a" * 65]), "at most 64 characters"),
        ("a", Categorical([str(n) for n in range(11)]), "at most 10"),
        ("a", Text(0), "at least 1"),
        ("a", Text(2**70), "at most"),
    ],
)
async def test_what_cannot_be_asked_is_refused(place: Place, name: str, input: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        await place.labels.create(LOCAL_ADMIN, "0", name, "FEEDBACK", input)


async def test_every_experiment_has_one_question_by_itself(place: Place) -> None:
    await place.labels.create(LOCAL_ADMIN, "0", "mine", "EXPECTATION", Text())
    found, following = await place.labels.schemas(LOCAL_ADMIN, "0")
    assert [(schema.name, schema.default) for schema in found] == [("Feedback", True), ("mine", False)]
    assert following is None
    again, _ = await place.labels.schemas(VIEWER, "0")
    assert again == found
    with pytest.raises(InvalidInput, match="cannot be edited"):
        await place.labels.update(LOCAL_ADMIN, found[0].id, LabelChange(name="x"))
    with pytest.raises(InvalidInput, match="cannot be deleted"):
        await place.labels.delete(LOCAL_ADMIN, found[0].id)


async def test_a_label_schema_changes_without_changing_what_labels_mean(place: Place) -> None:
    made = await place.labels.create(LOCAL_ADMIN, "0", "q", "FEEDBACK", Categorical(["a"]))
    await place.labels.create(LOCAL_ADMIN, "0", "taken", "FEEDBACK", YES_NO)
    changed = await place.labels.update(LOCAL_ADMIN, made.id, LabelChange(name="r", input=Categorical(["a", "b"])))
    assert (changed.name, changed.input) == ("r", Categorical(["a", "b"]))
    assert changed.updated_ms > made.updated_ms
    for change, kind in (
        (LabelChange(name="taken"), Conflict),
        (LabelChange(name="Feedback"), InvalidInput),
        (LabelChange(input=YES_NO), InvalidInput),
        (LabelChange(input=Categorical(["a"], True)), InvalidInput),
        (LabelChange(instruction="x" * 1001), InvalidInput),
    ):
        with pytest.raises(kind):
            await place.labels.update(LOCAL_ADMIN, made.id, change)
    with pytest.raises(Conflict, match="already exists"):
        await place.labels.create(LOCAL_ADMIN, "0", "taken", "FEEDBACK", YES_NO)


async def test_a_deleted_label_schema_is_gone_and_a_deleted_experiment_takes_none(place: Place) -> None:
    experiment = (await place.tracking.experiments.create(LOCAL_ADMIN, "e")).id
    made = await place.labels.create(LOCAL_ADMIN, experiment, "q", "FEEDBACK", YES_NO)
    kept = await place.labels.create(LOCAL_ADMIN, experiment, "kept", "FEEDBACK", YES_NO)
    await place.labels.delete(LOCAL_ADMIN, made.id)
    await place.labels.delete(LOCAL_ADMIN, made.id)
    with pytest.raises(NotFound, match="not found"):
        await place.labels.get(LOCAL_ADMIN, made.id)
    with pytest.raises(NotFound):
        await place.labels.get(OTHER, kept.id)
    await place.tracking.experiments.delete(LOCAL_ADMIN, experiment)
    with pytest.raises(NotFound, match="No Experiment with id="):
        await place.labels.create(LOCAL_ADMIN, experiment, "later", "FEEDBACK", YES_NO)
    assert await place.labels.get(LOCAL_ADMIN, kept.id) == kept
