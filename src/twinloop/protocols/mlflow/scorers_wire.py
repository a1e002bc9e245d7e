"""Requests of MLflow's endpoints on scorers."""

from __future__ import annotations

import msgspec

from twinloop.protocols.mlflow.request import Required
from twinloop.protocols.mlflow.wire import Integer, Number


class Register(msgspec.Struct, frozen=True):
    experiment_id: Required
    name: str = ""
    serialized_scorer: str = ""


class Listing(msgspec.Struct, frozen=True):
    """One experiment, several, or all."""

    experiment_id: str | None = None
    experiment_ids: list[str] | None = None


class Named(msgspec.Struct, frozen=True):
    experiment_id: Required
    name: Required


class Versioned(msgspec.Struct, frozen=True):
    experiment_id: Required
    name: Required
    version: Integer | None = None


class Schedule(msgspec.Struct, frozen=True):
    experiment_id: Required
    name: Required
    sample_rate: Number
    filter_string: str | None = None


class Schedules(msgspec.Struct, frozen=True):
    scorer_ids: list[str]
