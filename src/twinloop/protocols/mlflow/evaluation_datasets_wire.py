"""Requests of MLflow's endpoints on evaluation datasets. Tags and records are JSON within JSON."""

from __future__ import annotations

import msgspec

from twinloop.protocols.mlflow.request import Required
from twinloop.protocols.mlflow.wire import Integer


class Create(msgspec.Struct, frozen=True):
    name: Required
    experiment_ids: list[str] = []
    tags: str | None = None


class Search(msgspec.Struct, frozen=True):
    experiment_ids: list[str] = []
    filter_string: str | None = None
    max_results: Integer = 1000
    order_by: list[str] = []
    page_token: str | None = None


class Tags(msgspec.Struct, frozen=True):
    tags: Required


class Upsert(msgspec.Struct, frozen=True):
    records: Required


class Records(msgspec.Struct, frozen=True):
    max_results: Integer = 1000
    page_token: str | None = None


class DeleteRecords(msgspec.Struct, frozen=True):
    dataset_record_ids: list[str] = []


class Experiments(msgspec.Struct, frozen=True):
    experiment_ids: list[str] = []
