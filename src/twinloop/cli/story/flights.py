"""Chapter one: a classifier of late flights, from tables to a canary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from twinloop.cli.story.teller import Teller, example

ENDPOINT = "flight-delay"
_ASKED = 40


class Flights:
    """What later chapters need of this one: a flight to ask about, a trace, and the two releases."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._client = teller.client
        self.flight: dict[str, Any] = {}
        self.trace = ""
        self.first = ""
        self.second = ""

    def tell(self) -> None:
        self._first_model()
        self._predict()
        self._second_model()

    def ask(self) -> str:
        """One online prediction; returns the release that answered."""
        return str(self._client.endpoints.predict(ENDPOINT, [self.flight])["release"])

    def _first_model(self) -> None:
        teller = self._teller
        teller.chapter("Flights: snapshot tables, define features, join, train on January to June, evaluate on July")
        project = example("flights")
        self._project = project
        teller.apply(project)
        self._made = teller.run(project, "first_model")
        teller.say(evidence_lines(self._made["evidence"]))
        teller.chapter(f"Flights: pass the gate and release to {ENDPOINT}")
        self.first = teller.release(ENDPOINT, pins={"model": self._made["model"]}, stage="live", reason="first model")
        teller.remember(
            f"model {self._made['model']} with evidence on {self._made['evidence']['rows']} flights of July"
        )

    def _predict(self) -> None:
        teller = self._teller
        teller.chapter("Flights: predict online by a flight's identity, and a month in batch")
        self.flight = upcoming_flight(self._client)
        answer = self._client.endpoints.predict(ENDPOINT, [self.flight])
        self.trace = answer["trace"]
        asked = ", ".join(f"{name} {value}" for name, value in self.flight.items())
        probability = answer["outputs"][0]["probability"]
        teller.say(f"{asked}: {probability:.0%} likely to be late (release {answer['release']}, trace {self.trace})")
        batch = self._client.models.batch(
            self._made["model"], "dataset/labels-july", "flight-predictions", at="at", prefix="predicted_"
        )
        teller.say(f"batch: {batch['ref']} with {batch['manifest']['rows']} predictions for July")
        teller.remember(f"dataset {batch['ref']} of batch predictions")

    def _second_model(self) -> None:
        teller = self._teller
        teller.chapter(
            "Flights: add August, compare both models on September, and send a tenth of the requests to the second"
        )
        made = teller.run(self._project, "second_model", first=self._made["model"], base=self._made["base"])
        teller.say(evidence_lines(made["pairwise"]))
        self.second = teller.release(
            ENDPOINT, pins={"model": made["model"]}, stage="canary", weight=0.1, reason="adds July and August"
        )
        answered = Counter(
            self._client.endpoints.predict(ENDPOINT, [self.flight], sticky=f"passenger-{number}")["release"]
            for number in range(_ASKED)
        )
        teller.say(
            f"{_ASKED} passengers: " + ", ".join(f"{count} by {release}" for release, count in sorted(answered.items()))
        )
        self._client.endpoints.promote(ENDPOINT, reason="no worse on September, and trained on more")
        teller.say(f"promoted {self.second}")
        now = self._client.endpoints.rollback(ENDPOINT, reason="to show that it works")
        teller.say(f"rolled back to {now['live']}")
        teller.remember(f"endpoint {ENDPOINT} with the releases {self.first} and {self.second}")


def evidence_lines(evidence: Mapping[str, Any]) -> list[str]:
    """Metrics with their intervals, and the slices with the lowest and the highest value."""
    lines = [
        f"{metric:<18} {value:+.4f}  [{low:+.4f}, {high:+.4f}]"
        for metric, (value, low, high) in evidence["estimates"].items()
    ]
    slices = sorted(evidence.get("slices", {}).items(), key=lambda pair: pair[1])
    if len(slices) > 1:
        (worst, low), (best, high) = slices[0], slices[-1]
        lines.append(f"{len(slices)} slices, from {worst} {low:.4f} to {best} {high:.4f}")
    return [f"on {evidence['rows']} flights, with 95 % intervals:", *lines]


def upcoming_flight(client: Any) -> dict[str, Any]:
    """A flight of the afternoon of 1 August 2013, the moment at which the online features stand."""
    from datetime import UTC, datetime

    import pyarrow.compute as compute

    labels = client.data.arrow("dataset/labels-august")
    zone = labels.schema.field("at").type.tz
    moment = datetime(2013, 8, 1, 13, 0, tzinfo=UTC)
    later = compute.greater(labels["at"], moment if zone else moment.replace(tzinfo=None))
    row = labels.filter(later).slice(0, 1).to_pylist()[0]
    return {name: str(row[name]) if name == "date" else row[name] for name in ("carrier", "flight", "origin", "date")}
