"""Feature views from a program: define them, join them to labels, put them online."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from twinloop.ml.features.model import FeatureView
from twinloop.sdk.client import Client
from twinloop.sdk.definitions import current_run_id

Json = dict[str, Any]


class Features:
    def __init__(self, client: Client) -> None:
        self._client = client

    def define(self, *views: FeatureView) -> list[Json]:
        """Register views and return their revisions; the same declaration is the same revision."""
        return [self._post("views", {"view": msgspec.to_builtins(view)})["revision"] for view in views]

    def join(
        self, name: str, labels: str, views: Sequence[str], at: str, sources: Mapping[str, str] | None = None
    ) -> Json:
        """Write dataset ``name``: every label with the features known at its time in column ``at``; return its revision.

        Views are looked up in order; a view may take its keys from the features of one before it.
        """
        body = {"name": name, "labels": labels, "views": list(views), "at": at, "sources": dict(sources or {})}
        return self._post("join", body)["revision"]

    def materialize(
        self, views: Sequence[str], until: datetime | None = None, sources: Mapping[str, str] | None = None
    ) -> list[Json]:
        """Put the newest values online: as of now, or, in a replay, as known at ``until`` (UTC unless it has a zone)."""
        body = {
            "views": list(views),
            "until": None if until is None else until.isoformat(),
            "sources": dict(sources or {}),
        }
        return self._post("materialize", body)["views"]

    def online(self, view: str, entity: Mapping[str, Any]) -> Json:
        """What is online for one entity: {view, values, known_at}."""
        return self._client.call("POST", "/api/v1/features/online", {"view": view, "entity": dict(entity)})

    def _post(self, verb: str, body: Json) -> Any:
        return self._client.call("POST", f"/api/v1/features/{verb}", {**body, "run_id": current_run_id()})
