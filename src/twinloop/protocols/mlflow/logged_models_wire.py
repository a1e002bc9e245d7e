"""Requests of MLflow's REST interface on logged models."""

from __future__ import annotations

from typing import Literal

import msgspec

from twinloop.protocols.mlflow.request import Int64, Required
from twinloop.protocols.mlflow.wire import Pair

Status = Literal[
    "LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED", "PENDING", "READY", "FAILED", 1, 2, 3
]


class Create(msgspec.Struct, frozen=True):
    experiment_id: Required
    name: str | None = None
    model_type: str | None = None
    source_run_id: str | None = None
    params: list[Pair] = []
    tags: list[Pair] = []


class Finalize(msgspec.Struct, frozen=True):
    status: Status


class Params(msgspec.Struct, frozen=True):
    params: list[Pair] = []


class Tags(msgspec.Struct, frozen=True):
    tags: list[Pair] = []


class Get(msgspec.Struct, frozen=True):
    allow_deleted: bool = False


class Dataset(msgspec.Struct, frozen=True):
    dataset_name: str | None = None
    dataset_digest: str | None = None


class OrderBy(Dataset, frozen=True, kw_only=True):
    field_name: Required
    ascending: bool = True


class Search(msgspec.Struct, frozen=True):
    experiment_ids: list[str]
    filter: str | None = None
    datasets: list[Dataset] = []
    max_results: Int64 | None = None
    order_by: list[OrderBy] = []
    page_token: str | None = None
