"""Runs through the SDK against a real server."""

from __future__ import annotations

import itertools
import math

import pytest

import twinloop
from tests.serving import ServerProcess
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.sdk.runs import Runs


@pytest.fixture
def runs(server: ServerProcess) -> Runs:
    return twinloop.connect(server.url).runs


def test_a_run_is_logged_finished_and_found(runs: Runs) -> None:
    with runs.start("sdk", name="one", tags={"team": "ops"}) as run:
        for step in range(5):
            run.log({"loss": 1.0 / (step + 1)}, step=step)
        run.log({"nan": math.nan}, params={"depth": 3}, tags={"done": True})
    found = runs.get(run.id)
    assert (found["name"], found["status"]) == ("one", "FINISHED")
    assert found["ended_at"] >= found["started_at"]
    assert found["params"] == {"depth": "3"}
    assert found["metrics"]["loss"]["step"] == 4
    assert found["metrics"]["nan"]["value"] is None
    assert [point["step"] for point in runs.history(run.id, "loss")] == [0, 1, 2, 3, 4]
    assert [item["id"] for item in runs.search("sdk", "metrics.loss < 0.3 AND tags.team = 'ops'")] == [run.id]


def test_a_run_that_raises_has_failed(runs: Runs) -> None:
    run = runs.start("sdk failures")
    with pytest.raises(ValueError, match="boom"), run:
        raise ValueError("boom")
    assert runs.get(run.id)["status"] == "FAILED"


def test_a_search_turns_every_page(runs: Runs) -> None:
    made = [runs.start("sdk pages").id for _ in range(25)]
    assert sorted(run["id"] for run in runs.search("sdk pages", limit=10)) == sorted(made)
    runs.delete(made[0])
    assert len(list(runs.search("sdk pages"))) == 24
    runs.restore(made[0])
    assert "sdk pages" in [experiment["name"] for experiment in runs.experiments()]
    assert list(runs.search("an experiment nobody made")) == []


def test_a_long_series_is_drawn_from_some_of_its_points(runs: Runs) -> None:
    run = runs.start("sdk samples")
    run.log({"loss": 0.5, "short": 1.0})
    for step in range(1, 1001):
        run.log({"loss": 1.0 / step}, step=step)
    found = [point["step"] for point in runs.history(run.id, "loss", most=50)]
    assert (len(found), found[0], found[-1]) == (50, 0, 1000)
    assert max(after - before for before, after in itertools.pairwise(found)) <= 40
    assert [point["value"] for point in runs.history(run.id, "short", most=50)] == [1.0]
    assert runs.history(run.id, "none", most=50) == []
    with pytest.raises(NotFound):
        runs.history("0" * 32, "loss", most=50)
    with pytest.raises(InvalidInput, match="most"):
        runs.history(run.id, "loss", most=1)


def test_an_experiment_is_found_by_its_id(runs: Runs) -> None:
    run = runs.get(runs.start("sdk by id").id)
    assert runs.experiment(run["experiment"])["name"] == "sdk by id"
    with pytest.raises(NotFound, match="No Experiment with id=987654321"):
        runs.experiment("987654321")


def test_errors_say_what_to_do(runs: Runs) -> None:
    with pytest.raises(NotFound, match="not found"):
        runs.get("0" * 32)
    with pytest.raises(InvalidInput, match="Invalid comparator"):
        list(runs.search(filter="metrics.loss LIKE 'a'"))
    run = runs.start("sdk errors")
    run.log(params={"depth": 3})
    with pytest.raises(InvalidInput, match="Changing param values is not allowed"):
        run.log(params={"depth": 4})
    with pytest.raises(NotFound):
        run.consumed(dataset="dataset/none@1")
