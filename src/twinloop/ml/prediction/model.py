"""What batch prediction and evaluation are asked for."""

from __future__ import annotations

import msgspec


class EvaluationRequest(msgspec.Struct, frozen=True):
    """Score ``model`` on ``dataset`` against the boolean column ``label``.

    ``slices`` are columns to break the metrics down by, each value with at least ``min_rows`` rows. ``baseline`` is a
    model to compare with, pairwise on the same rows. ``metrics`` defaults to all there are for a binary model.
    """

    model: str
    dataset: str
    label: str
    metrics: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    baseline: str | None = None
    min_rows: int = 100
    level: float = 0.95
    note: str = ""


class BatchRequest(msgspec.Struct, frozen=True):
    """Predict every row of ``dataset`` and write dataset ``name``.

    When the dataset lacks inputs of the model, they are joined from the model's feature views as known at each row's time
    in column ``at``. ``prefix`` goes before the names of the model's outputs.
    """

    model: str
    dataset: str
    name: str
    at: str | None = None
    prefix: str = ""
