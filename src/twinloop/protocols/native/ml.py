"""/api/v1/datasets, /features, /models and /predictions: the verbs of the ML lane."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypedDict

import msgspec
from starlette.routing import Route

from twinloop.core.clock import iso
from twinloop.core.errors import InvalidInput
from twinloop.ml.data.model import FileInput, Preview
from twinloop.ml.data.service import Datasets
from twinloop.ml.features.model import FeatureView
from twinloop.ml.features.online import to_microseconds
from twinloop.ml.features.service import Features, Materialised
from twinloop.ml.prediction.model import BatchRequest
from twinloop.ml.prediction.service import Predictions
from twinloop.ml.training.model import Draft
from twinloop.ml.training.service import Models
from twinloop.protocols.http import Call, route
from twinloop.protocols.native import encode, wire
from twinloop.protocols.native.errors import NATIVE


class SnapshotBody(msgspec.Struct, frozen=True):
    name: str
    files: list[FileInput]
    source: dict[str, Any] = {}
    time_column: str | None = None
    parents: Annotated[list[str], wire.Many] = []
    run_id: str | None = None


class DefineBody(msgspec.Struct, frozen=True):
    view: FeatureView
    run_id: str | None = None


class JoinBody(msgspec.Struct, frozen=True):
    """``sources`` maps a source dataset's name to the revision to read, where that is not the newest."""

    name: str
    labels: str
    views: Annotated[list[str], msgspec.Meta(max_length=100)]
    at: str
    sources: dict[str, str] = {}
    run_id: str | None = None


class MaterializeBody(msgspec.Struct, frozen=True):
    """``until`` is an ISO-8601 time for a replay; left out, values are as of now."""

    views: Annotated[list[str], msgspec.Meta(max_length=100)]
    until: datetime | None = None
    sources: dict[str, str] = {}
    run_id: str | None = None


class OnlineBody(msgspec.Struct, frozen=True):
    view: str
    entity: dict[str, Any]


class ModelBody(msgspec.Struct, frozen=True):
    name: str
    model: Draft
    run_id: str | None = None


class RowsQuery(msgspec.Struct, frozen=True):
    """``dataset`` is a reference such as ``dataset/flights@2``."""

    dataset: str
    limit: wire.Limit = 20


class Views(TypedDict):
    views: list[Materialised]


class OnlineValues(TypedDict):
    """``values`` is null for an entity that has none; ``known_at`` is when they became known."""

    view: str
    values: dict[str, Any] | None
    known_at: str | None


class BatchBody(BatchRequest, frozen=True):
    run_id: str | None = None


def routes(datasets: Datasets, features: Features, models: Models, predictions: Predictions) -> list[Route]:
    return [*_data(datasets), *_features(features), *_models(models, predictions)]


def _data(datasets: Datasets) -> list[Route]:
    async def snapshot(call: Call, body: SnapshotBody) -> wire.Registered:
        """Make a dataset revision of Parquet blobs; the same rows again are the same revision."""
        return encode.registered(
            await datasets.snapshot(
                call.who,
                body.name,
                body.files,
                source=body.source,
                time_column=body.time_column,
                parents=body.parents,
                run_id=body.run_id,
            )
        )

    async def rows(call: Call, query: RowsQuery) -> Preview:
        """The first rows of a dataset."""
        return await datasets.rows(call.who, query.dataset, query.limit)

    return [
        route(NATIVE, "POST", "/api/v1/datasets", snapshot, body=SnapshotBody, answer=wire.Registered),
        route(NATIVE, "GET", "/api/v1/datasets/rows", rows, query=RowsQuery, answer=Preview),
    ]


def _features(features: Features) -> list[Route]:
    async def define(call: Call, body: DefineBody) -> wire.Registered:
        """Register a feature view's declaration."""
        return encode.registered(await features.define(call.who, body.view, body.run_id))

    async def join(call: Call, body: JoinBody) -> wire.Registered:
        """Write a dataset of labels with the features known at each label's time."""
        return encode.registered(
            await features.join(call.who, body.name, body.labels, body.views, body.at, body.sources, body.run_id)
        )

    async def materialize(call: Call, body: MaterializeBody) -> Views:
        """Put the newest values of feature views online."""
        until = None if body.until is None else to_microseconds(body.until)
        done = await features.materialize(call.who, body.views, until, body.sources, body.run_id)
        return {"views": done}

    async def online(call: Call, body: OnlineBody) -> OnlineValues:
        """The values stored online for one entity."""
        [bound] = await features.views(call.who, [body.view])
        value = await features.online(call.who, body.view, body.entity)
        if value is None:
            return {"view": bound.ref, "values": None, "known_at": None}
        named = dict(zip((feature.name for feature in bound.view.features), value.values, strict=True))
        known = None if value.known_us is None else iso(value.known_us * 1000)
        return {"view": bound.ref, "values": named, "known_at": known}

    return [
        route(NATIVE, "POST", "/api/v1/features/views", define, body=DefineBody, answer=wire.Registered),
        route(NATIVE, "POST", "/api/v1/features/join", join, body=JoinBody, answer=wire.Registered),
        route(NATIVE, "POST", "/api/v1/features/materialize", materialize, body=MaterializeBody, answer=Views),
        route(NATIVE, "POST", "/api/v1/features/online", online, body=OnlineBody, answer=OnlineValues),
    ]


def _models(models: Models, predictions: Predictions) -> list[Route]:
    async def register(call: Call, body: ModelBody) -> wire.Registered:
        """Register a model of blobs that were uploaded before."""
        return encode.registered(await models.register(call.who, body.name, body.model, body.run_id))

    async def batch(call: Call, body: BatchBody) -> wire.Registered:
        """Predict every row of a dataset and write a dataset of the answers."""
        if not body.name:
            raise InvalidInput("Name the dataset to write.")
        return encode.registered(await predictions.batch(call.who, body, body.run_id))

    return [
        route(NATIVE, "POST", "/api/v1/models", register, body=ModelBody, answer=wire.Registered),
        route(NATIVE, "POST", "/api/v1/predictions", batch, body=BatchBody, answer=wire.Registered),
    ]
