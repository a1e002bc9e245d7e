"""Requests of MLflow's webhook endpoints."""

from __future__ import annotations

from typing import Literal

import msgspec

from twinloop.protocols.mlflow.wire import Integer

PAGE = 100

Status = Literal["ACTIVE", "DISABLED"]


class Event(msgspec.Struct, frozen=True):
    """An entity and an action in capitals: ``MODEL_VERSION`` and ``CREATED``."""

    entity: str = "ENTITY_UNSPECIFIED"
    action: str = "ACTION_UNSPECIFIED"


class Create(msgspec.Struct, frozen=True):
    name: str = ""
    url: str = ""
    events: list[Event] = []
    description: str | None = None
    secret: str | None = None
    status: Status = "ACTIVE"


class Update(msgspec.Struct, frozen=True):
    """A name or URL that is empty leaves what there is; an empty description or secret takes it away."""

    name: str | None = None
    url: str | None = None
    events: list[Event] | None = None
    description: str | None = None
    secret: str | None = None
    status: Status | None = None


class Listing(msgspec.Struct, frozen=True):
    max_results: Integer = PAGE
    page_token: str | None = None


class Test(msgspec.Struct, frozen=True):
    event: Event | None = None
