"""A small trained model and the views it reads, for tests of training, deployment and prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import xgboost

from tests.unit.ml.lane import ME, Lane, hour, micros
from twinloop.control.registry.model import Revision
from twinloop.ml.features.model import Column, FeatureView, Rate
from twinloop.ml.training.encoding import Encoder, fit
from twinloop.ml.training.model import Draft, Input

ROUTES = FeatureView(
    "routes", "schedule", ("flight:int64",), (Column("dest", type="string"), Column("distance")), required=True
)
DELAYS = FeatureView(
    "delays", "landings", ("dest",), (Rate("late_6h", of="late", window="6h"),), event_time="t", ttl="12h"
)
NUMBERS = ("distance", "late_6h")
CATEGORIES = ("dest", "carrier")


def booster(inputs: tuple[Input, ...], columns: dict[str, list[Any]], labels: list[bool], rounds: int = 12) -> Any:
    matrix = Encoder(inputs).matrix(columns, len(labels))
    kinds = ["c" if item.type == "category" else "float" for item in inputs]
    data = xgboost.DMatrix(matrix, np.asarray(labels, dtype=np.float32), feature_types=kinds)
    return xgboost.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, data, rounds)


def columns(rows: int, seed: int = 1) -> tuple[dict[str, list[Any]], list[bool]]:
    random = np.random.default_rng(seed)
    found: dict[str, list[Any]] = {
        "distance": random.integers(100, 3000, rows).astype(float).tolist(),
        "late_6h": random.random(rows).tolist(),
        "dest": random.choice(["BOS", "LAX", "SFO"], rows).tolist(),
        "carrier": random.choice(["AA", "UA"], rows).tolist(),
    }
    chance = 0.1 + 0.6 * np.asarray(found["late_6h"]) + 0.2 * (np.asarray(found["dest"]) == "LAX")
    labels = (random.random(rows) < chance).tolist()
    # Missing must mean something else than any value, so that tests can tell the two apart.
    for row in range(0, rows, 7):
        found["late_6h"][row], labels[row] = None, row % 49 != 0
    return found, labels


async def online(lane: Lane, until: float = 10) -> list[str]:
    """Sources, views and online values as of hour ``until``; the views' references."""
    await lane.snapshot(
        "schedule",
        [{"flight": 1, "dest": "BOS", "distance": 187.0}, {"flight": 2, "dest": "LAX", "distance": 2475.0}],
    )
    await lane.snapshot(
        "landings",
        [
            {"dest": "BOS", "t": hour(8), "late": True},
            {"dest": "BOS", "t": hour(9), "late": False},
            {"dest": "LAX", "t": hour(1), "late": True},
        ],
    )
    refs = [(await lane.features.define(ME, view)).revision.ref for view in (ROUTES, DELAYS)]
    await lane.features.materialize(ME, refs, micros(hour(until)))
    return refs


async def trained(lane: Lane, name: str = "late", views: list[str] | None = None, seed: int = 1) -> Revision:
    data, labels = columns(400, seed)
    inputs = fit(data, NUMBERS, CATEGORIES)
    raw = bytes(booster(inputs, data, labels).save_raw("ubj"))
    draft = Draft(
        format="xgboost-ubj",
        task="binary",
        label="late",
        inputs=inputs,
        files={"model.ubj": await lane.upload(raw)},
        views=tuple(views or ()),
    )
    return (await lane.models.register(ME, name, draft)).revision
