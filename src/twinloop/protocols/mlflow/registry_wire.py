"""Requests of ``registered-models/…`` and ``model-versions/…``. A field that is missing, null or empty counts as not given."""

from __future__ import annotations

import msgspec

from twinloop.protocols.mlflow.wire import Integer

_PAGE = 100
_VERSIONS_PAGE = 10_000


class Tag(msgspec.Struct, frozen=True):
    key: str | None = None
    value: str | None = None


class OfModel(msgspec.Struct, frozen=True):
    """A request about a registered model."""

    name: str | None = None


class CreateModel(OfModel, frozen=True):
    tags: list[Tag] | None = None
    description: str | None = None


class RenameModel(OfModel, frozen=True):
    new_name: str | None = None


class UpdateModel(OfModel, frozen=True):
    description: str | None = None


class SearchModels(msgspec.Struct, frozen=True):
    filter: str | None = None
    max_results: Integer | None = _PAGE
    order_by: list[str] | None = None
    page_token: str | None = None


class LatestVersions(OfModel, frozen=True):
    stages: list[str] | None = None


class ModelTag(OfModel, frozen=True):
    key: str | None = None
    value: str | None = None


class OfVersion(OfModel, frozen=True):
    """A request about a version of a registered model."""

    version: str | None = None


class CreateVersion(OfModel, frozen=True):
    source: str | None = None
    run_id: str | None = None
    tags: list[Tag] | None = None
    run_link: str | None = None
    description: str | None = None
    model_id: str | None = None


class UpdateVersion(OfVersion, frozen=True):
    description: str | None = None


class TransitionStage(OfVersion, frozen=True):
    stage: str | None = None
    archive_existing_versions: bool | None = None


class SearchVersions(msgspec.Struct, frozen=True):
    filter: str | None = None
    max_results: Integer | None = _VERSIONS_PAGE
    order_by: list[str] | None = None
    page_token: str | None = None


class VersionTag(OfVersion, frozen=True):
    key: str | None = None
    value: str | None = None


class OfAlias(OfModel, frozen=True):
    alias: str | None = None


class SetAlias(OfAlias, frozen=True):
    version: str | None = None
