"""Lineage from a program: why and impact."""

from __future__ import annotations

from typing import Any

from twinloop.sdk.client import Client

Json = dict[str, Any]


class Lineage:
    def __init__(self, client: Client) -> None:
        self._client = client

    def why(self, node: str) -> Json:
        """The whole ancestry of a trace id, revision, release (``endpoint@3``) or ``run:ID``: {root, nodes, edges}."""
        return self._client.call("GET", "/api/v1/why", query={"node": node})

    def impact(self, node: str) -> Json:
        """Everything that came from a revision: {root, nodes, edges, counts, truncated}."""
        return self._client.call("GET", "/api/v1/impact", query={"node": node})
