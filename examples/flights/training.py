"""Training: gradient-boosted trees on the joined features."""

from __future__ import annotations

from typing import Any

import twinloop as tl

NUMBERS = [
    "hour",
    "weekday",
    "distance",
    "route_late_1d",
    "route_late_14d",
    "route_delay_14d",
    "carrier_late_6h",
    "carrier_late_14d",
    "origin_dep_delay_1h",
    "origin_dep_delay_3h",
    "origin_departures_1h",
    "temp",
    "humid",
    "wind_speed",
    "precip",
    "pressure",
    "visib",
    "built",
    "seats",
]
CATEGORIES = ["carrier", "origin", "dest"]
PARAMS = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_depth": 6,
    "eta": 0.1,
    "min_child_weight": 50,
    "subsample": 0.8,
    "colsample_bytree": 0.6,
    "max_cat_to_onehot": 4,
    "seed": 7,
    "nthread": 2,
}
ROUNDS = 120


def fit(client: tl.Client, training_set: str, name: str, views: list[str]) -> str:
    """Train on a dataset of joined features and return the model's reference."""
    import numpy as np
    import xgboost

    table = client.data.arrow(training_set)
    inputs = client.models.inputs(table, NUMBERS, CATEGORIES)
    late = np.asarray(table["late"].to_pylist(), dtype=np.float32)
    kinds = ["c" if item.type == "category" else "float" for item in inputs]
    names = [item.name for item in inputs]
    matrix = xgboost.DMatrix(
        client.models.encode(table, inputs), late, feature_types=kinds, feature_names=names, nthread=2
    )
    booster: Any = xgboost.train(PARAMS, matrix, ROUNDS)
    revision = client.models.log(
        name,
        booster,
        label="late",
        inputs=inputs,
        views=views,
        training_set=training_set,
        threshold=0.5,
        params={**PARAMS, "rounds": ROUNDS},
    )
    return str(revision["ref"])


def fit_base_rate(client: tl.Client, training_set: str, name: str) -> str:
    """The model that always answers how often flights of the training set were late."""
    import pyarrow.compute as compute

    rate = compute.mean(client.data.arrow(training_set)["late"].cast("float64")).as_py()
    revision = client.models.log(name, float(rate), label="late", training_set=training_set)
    return str(revision["ref"])
