from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from twinloop.backends.sqlite import SqliteStore, open_store
from twinloop.control.evaluation.scorers.service import Scorers
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.control.tracking.experiments import Experiments
from twinloop.core.clock import ManualClock
from twinloop.core.errors import Forbidden, InvalidInput, NotFound

OTHER = Principal("o", "other", Role.admin)
PLAIN = '{"data": 1}'


class Place(NamedTuple):
    store: SqliteStore
    experiments: Experiments
    scorers: Scorers


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    store, clock = open_store(tmp_path / "x.db"), ManualClock()
    experiments = Experiments(store, clock)
    yield Place(store, experiments, Scorers(store, experiments, clock))
    await store.aclose()


def judge(model: Any, instructions: str = "Is {{ outputs }} good?") -> str:
    return json.dumps({"instructions_judge_pydantic_data": {"model": model, "instructions": instructions}})


async def test_each_registration_is_the_next_version(place: Place) -> None:
    made = [await place.scorers.register(LOCAL_ADMIN, "0", "tone", json.dumps({"n": n})) for n in range(3)]
    assert [scorer.version for scorer in made] == [1, 2, 3]
    assert len({scorer.id for scorer in made}) == 1
    assert (await place.scorers.get(LOCAL_ADMIN, "0", "tone")).body == '{"n": 2}'
    assert (await place.scorers.get(LOCAL_ADMIN, "0", "tone", 1)).body == '{"n": 0}'
    assert [scorer.version for scorer in await place.scorers.versions(LOCAL_ADMIN, "0", "tone")] == [1, 2, 3]


async def test_a_deleted_version_is_not_given_again(place: Place) -> None:
    for _ in range(2):
        await place.scorers.register(LOCAL_ADMIN, "0", "tone", PLAIN)
    await place.scorers.delete(LOCAL_ADMIN, "0", "tone", 2)
    assert (await place.scorers.get(LOCAL_ADMIN, "0", "tone")).version == 1
    assert (await place.scorers.register(LOCAL_ADMIN, "0", "tone", PLAIN)).version == 3


async def test_a_scorer_deleted_as_a_whole_begins_anew(place: Place) -> None:
    first = await place.scorers.register(LOCAL_ADMIN, "0", "tone", judge("gateway:/x"))
    schedule = await place.scorers.schedule(LOCAL_ADMIN, "0", "tone", 0.5)
    await place.scorers.delete(LOCAL_ADMIN, "0", "tone")
    again = await place.scorers.register(LOCAL_ADMIN, "0", "tone", PLAIN)
    assert again.version == 1
    assert again.id != first.id
    assert await place.scorers.schedules(LOCAL_ADMIN, [schedule.scorer_id]) == []


async def test_the_newest_of_each_name_are_listed_by_name(place: Place) -> None:
    other = (await place.experiments.create(LOCAL_ADMIN, "other")).id
    gone = (await place.experiments.create(LOCAL_ADMIN, "gone")).id
    for experiment, name in (("0", "b"), ("0", "a"), ("0", "b"), (other, "c"), (gone, "d")):
        await place.scorers.register(LOCAL_ADMIN, experiment, name, PLAIN)
    await place.experiments.delete(LOCAL_ADMIN, gone)

    found = await place.scorers.newest(LOCAL_ADMIN, "0")
    assert [(scorer.name, scorer.version) for scorer in found] == [("a", 1), ("b", 2)]
    assert [scorer.name for scorer in await place.scorers.everywhere(LOCAL_ADMIN)] == ["a", "b", "c"]
    assert [scorer.name for scorer in await place.scorers.everywhere(LOCAL_ADMIN, [other, gone])] == ["c"]
    assert await place.scorers.everywhere(LOCAL_ADMIN, []) == []


@pytest.mark.parametrize("verb", ["get", "delete", "versions"])
async def test_what_is_not_there_is_said_by_name(place: Place, verb: str) -> None:
    await place.experiments.ready("default")
    with pytest.raises(NotFound, match="Scorer with name 'none' not found for experiment 0"):
        await getattr(place.scorers, verb)(LOCAL_ADMIN, "0", "none")
    with pytest.raises(NotFound, match="No Experiment with id=77"):
        await getattr(place.scorers, verb)(LOCAL_ADMIN, "77", "none")


async def test_a_version_that_is_not_there_is_said_with_its_number(place: Place) -> None:
    await place.scorers.register(LOCAL_ADMIN, "0", "tone", PLAIN)
    with pytest.raises(NotFound, match="Scorer with name 'tone' and version 9 not found"):
        await place.scorers.delete(LOCAL_ADMIN, "0", "tone", 9)


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("", PLAIN, "cannot be empty"),
        ("  ", PLAIN, "cannot be empty"),
        ("a", "", "must be valid JSON"),
        ("a", "nonsense", "must be valid JSON"),
        ("a", "[1]", "must be valid JSON"),
        ("a", "[" * 100_000, "must be valid JSON"),
        ("a", judge(""), "model cannot be empty"),
        ("a", judge("  "), "model cannot be empty"),
        ("a", judge(3), "model must be a string"),
        ("a", json.dumps({"builtin_scorer_pydantic_data": {"model": " "}}), "model cannot be empty"),
        (
            "a",
            json.dumps({"memory_augmented_judge_data": {"base_judge": {"third_party_scorer_data": {"model": " "}}}}),
            "model cannot be empty",
        ),
    ],
)
async def test_what_is_no_scorer_is_refused(place: Place, name: str, body: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        await place.scorers.register(LOCAL_ADMIN, "0", name, body)


@pytest.mark.parametrize("nested", [False, True])
async def test_a_scorer_that_holds_source_code_is_refused(place: Place, nested: bool) -> None:
    code: Any = {"call_source": "import os", "name": "x"}
    body = {"ensemble_scorer_data": {"scorers": [PLAIN, code]}} if nested else code
    with pytest.raises(InvalidInput, match="source code"):
        await place.scorers.register(LOCAL_ADMIN, "0", "x", json.dumps(body))
    await place.scorers.register(LOCAL_ADMIN, "0", "x", json.dumps({"call_source": None}))


async def test_a_schedule_takes_the_place_of_the_one_before(place: Place) -> None:
    made = await place.scorers.register(LOCAL_ADMIN, "0", "tone", judge("gateway:/chat"))
    await place.scorers.schedule(LOCAL_ADMIN, "0", "tone", 0.1, "status = 'OK'")
    second = await place.scorers.schedule(LOCAL_ADMIN, "0", "tone", 0.5)
    (found,) = await place.scorers.schedules(LOCAL_ADMIN, [made.id, made.id, "none"])
    assert found == second
    assert (found.sample_rate, found.filter, found.experiment_id) == (0.5, None, "0")


async def test_only_what_a_server_could_ask_is_scheduled(place: Place) -> None:
    await place.scorers.register(LOCAL_ADMIN, "0", "direct", judge("openai:/gpt-4o"))
    await place.scorers.register(
        LOCAL_ADMIN, "0", "expecting", judge("gateway:/x", "{{ outputs }} {{  expectations }}")
    )
    with pytest.raises(InvalidInput, match="does not use a gateway model"):
        await place.scorers.schedule(LOCAL_ADMIN, "0", "direct", 0.1)
    with pytest.raises(InvalidInput, match="requires expectations"):
        await place.scorers.schedule(LOCAL_ADMIN, "0", "expecting", 0.1)
    assert (await place.scorers.schedule(LOCAL_ADMIN, "0", "expecting", 0.0)).sample_rate == 0
    for rate in (-0.1, 1.1, float("nan")):
        with pytest.raises(InvalidInput, match=r"between 0\.0 and 1\.0"):
            await place.scorers.schedule(LOCAL_ADMIN, "0", "expecting", rate)


async def test_scorers_are_their_tenants_alone(place: Place) -> None:
    made = await place.scorers.register(LOCAL_ADMIN, "0", "tone", judge("gateway:/x"))
    await place.scorers.schedule(LOCAL_ADMIN, "0", "tone", 0.1)
    assert await place.scorers.newest(OTHER, "0") == []
    assert await place.scorers.schedules(OTHER, [made.id]) == []
    with pytest.raises(Forbidden):
        await place.scorers.register(Principal("v", "default", Role.viewer), "0", "x", PLAIN)
