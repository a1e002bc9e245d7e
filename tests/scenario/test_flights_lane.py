"""The flights project from tables to a canary and back, on the real data, through the SDK alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import twinloop as tl
from twinloop.core.errors import GateFailed
from twinloop.sdk.project import Project, load_project

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2] / "examples" / "flights"
ENDPOINT = "flight-delay"
FLIGHT = {"carrier": "B6", "flight": 677, "origin": "JFK", "date": "2013-08-01"}


class Story(NamedTuple):
    client: tl.Client
    project: Project
    first: dict[str, Any]

    def run(self, name: str, **params: Any) -> Any:
        return self.client.pipelines.run(self.project.pipeline(name), params)

    @property
    def gate(self) -> tuple[tl.Condition, ...]:
        [endpoint] = [item for item in self.project.declarations if isinstance(item, tl.Endpoint)]
        return tuple(endpoint.gate)

    def release(self, model: str, **options: Any) -> dict[str, Any]:
        return self.client.endpoints.release(ENDPOINT, "predict", {"model": model}, gate=self.gate, **options)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with tl.connect(home=tmp_path_factory.mktemp("flights") / "home") as client:
        project = load_project(PROJECT)
        report = client.pipelines.run(project.pipeline("first_model"), {})
        yield Story(client, project, report.value)


@pytest.fixture(scope="module")
def live(story: Story) -> dict[str, Any]:
    """The first model's release, live."""
    return story.release(story.first["model"])


def test_july_is_predicted_better_than_by_the_base_rate(story: Story) -> None:
    found = story.first["evidence"]
    value, low, _ = found["estimates"]["auc"]
    assert found["rows"] > 28_000
    assert low > 0.7
    # Far better would mean that a feature knows how the flight ended.
    assert value < 0.85
    assert found["estimates"]["delta_log_loss"][2] < 0
    assert len(found["slices"]) >= 10


def test_running_the_pipeline_again_runs_no_step(story: Story) -> None:
    again = story.run("first_model")
    assert again.value == story.first
    assert {step.fate for step in again.steps} == {"cached"}


def test_the_base_rate_does_not_pass_the_gate(story: Story) -> None:
    with pytest.raises(GateFailed):
        story.release(story.first["base"])


def test_a_released_model_answers_to_an_identity_and_says_why(story: Story, live: dict[str, Any]) -> None:
    assert (live["state"], live["gate"]["verdict"]) == ("live", "pass")
    answer = story.client.endpoints.predict(ENDPOINT, [FLIGHT])
    [output] = answer["outputs"]
    assert 0 < output["probability"] < 1
    assert output["late"] == (output["probability"] >= 0.5)
    names = {(node["kind"], node["name"]) for node in story.client.lineage.why(answer["trace"])["nodes"]}
    assert {
        ("release", ENDPOINT),
        ("model", ENDPOINT),
        ("dataset", "flights-train"),
        ("dataset", "flights"),
        ("dataset", "weather"),
        ("feature_view", "weather"),
        ("feature_values", "weather"),
        ("dataset", "features/weather"),
    } <= names
    touched = story.client.lineage.impact("dataset/weather")
    assert answer["trace"] in {node["version"] for node in touched["nodes"] if node["kind"] == "trace"}
    assert {("release", ENDPOINT), ("model", ENDPOINT)} <= {(node["kind"], node["name"]) for node in touched["nodes"]}


def test_online_and_batch_give_the_same_probability_at_the_same_moment(story: Story, live: dict[str, Any]) -> None:
    client = story.client
    rows = [
        row for row in client.data.rows("labels-august", 1000)["rows"] if row["at"] == "2013-08-01T12:00:00.000000Z"
    ]
    assert len(rows) >= 5
    flights = [{name: row[name] for name in FLIGHT} for row in rows]
    online = [output["probability"] for output in client.endpoints.predict(ENDPOINT, flights)["outputs"]]
    labels = client.data.arrow("labels-august").slice(0, 1000)
    asked = client.data.snapshot("august-morning", labels.drop_columns(["late"]))["ref"]
    made = client.models.batch(story.first["model"], asked, "august-morning-answers", at="at")
    batch = {
        (row["carrier"], row["flight"], row["origin"]): row["probability"]
        for row in client.data.rows(made["ref"], 1000)["rows"]
        if row["at"] == "2013-08-01T12:00:00.000000Z"
    }
    assert online == pytest.approx([batch[row["carrier"], row["flight"], row["origin"]] for row in rows])


def test_a_second_model_is_compared_pairwise_and_goes_by_canary_to_live_and_back(
    story: Story, live: dict[str, Any]
) -> None:
    second = story.run("second_model", first=story.first["model"], base=story.first["base"]).value
    assert {"delta_auc", "delta_log_loss", "delta_brier", "delta_accuracy"} <= set(second["pairwise"]["estimates"])
    canary = story.release(second["model"], stage="canary", weight=0.1)
    assert canary["state"] == "canary"
    answered = [story.client.endpoints.predict(ENDPOINT, [FLIGHT], sticky=f"person-{n}")["release"] for n in range(200)]
    assert 2 <= answered.count(canary["ref"]) <= 50
    assert story.client.endpoints.promote(ENDPOINT)["live"] == canary["ref"]
    assert story.client.endpoints.predict(ENDPOINT, [FLIGHT])["release"] == canary["ref"]
    back = story.client.endpoints.rollback(ENDPOINT)
    assert back["live"] == live["ref"]
    assert story.client.endpoints.predict(ENDPOINT, [FLIGHT])["release"] == live["ref"]
