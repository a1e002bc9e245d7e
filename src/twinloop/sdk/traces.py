"""Traces from a program."""

from __future__ import annotations

from typing import Any

from twinloop.sdk.client import Client

Json = dict[str, Any]


class Traces:
    def __init__(self, client: Client) -> None:
        self._client = client

    def list(
        self, endpoint: str | None = None, release: str | None = None, status: str | None = None, limit: int = 50
    ) -> list[Json]:
        """Traces without their spans, newest first."""
        query = {"endpoint": endpoint, "release": release, "status": status, "limit": limit}
        return self._client.call("GET", "/api/v1/traces", query=query)["traces"]

    def get(self, trace_id: str) -> Json:
        """One trace with its spans."""
        return self._client.call("GET", f"/api/v1/traces/{trace_id}")

    def notes(self, trace_id: str) -> Json:
        """What is known of a trace besides its spans: tags, metadata, and assessments by people and judges."""
        return self._client.call("GET", f"/api/v1/traces/{trace_id}/notes")
