"""Endpoints from a program: release, promote, roll back, predict, embed, search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from twinloop.control.evaluation.model import Condition
from twinloop.sdk.client import Client

Json = dict[str, Any]


class Endpoints:
    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self) -> list[Json]:
        return self._client.call("GET", "/api/v1/endpoints")["endpoints"]

    def get(self, name: str) -> Json:
        return self._client.call("GET", f"/api/v1/endpoints/{name}")

    def releases(self, name: str) -> list[Json]:  # type: ignore[valid-type]
        """Releases, newest first, each with its state."""
        return self._client.call("GET", f"/api/v1/endpoints/{name}/releases")["releases"]

    def history(self, name: str) -> list[Json]:  # type: ignore[valid-type]
        """Every change of what was live, newest first."""
        return self._client.call("GET", f"/api/v1/endpoints/{name}/history")["events"]

    def release(
        self,
        name: str,
        type: str,
        pins: Mapping[str, str],
        stage: str = "live",
        weight: float = 0.1,
        gate: Sequence[Condition] = (),
        reason: str = "",
    ) -> Json:
        """Pin revisions (role to reference) as a release and put it at ``stage``: live, canary or shadow.

        Raises:
            GateFailed: the evidence does not allow it.
        """
        body = {
            "type": type,
            "pins": dict(pins),
            "stage": stage,
            "weight": weight,
            "gate": msgspec.to_builtins(tuple(gate)),
            "reason": reason,
        }
        return self._client.call("POST", f"/api/v1/endpoints/{name}/releases", body)

    def promote(self, name: str, release: str | int | None = None, reason: str = "") -> Json:
        """Make the canary live."""
        body = {"release": release, "reason": reason}
        return self._client.call("POST", f"/api/v1/endpoints/{name}/promote", body)

    def rollback(self, name: str, to: str | int | None = None, reason: str = "") -> Json:
        """Withdraw the canary, or return to the release that was live before, or to ``to``."""
        body = {"to": to, "reason": reason}
        return self._client.call("POST", f"/api/v1/endpoints/{name}/rollback", body)

    def predict(self, name: str, rows: Sequence[Mapping[str, Any]], sticky: str | None = None) -> Json:
        """One output per row: {outputs: [{…}], release, trace}."""
        headers = {"x-twinloop-sticky": sticky} if sticky else None
        return self._client.call("POST", f"/api/v1/endpoints/{name}/predict", {"rows": rows}, headers=headers)

    def embed(self, name: str, texts: Sequence[str]) -> Json:
        """One vector per text: {vectors: [[…]], usage, release, trace}."""
        return self._client.call("POST", f"/api/v1/endpoints/{name}/embed", {"texts": texts})

    def search(self, name: str, query: str, k: int = 10) -> Json:
        """The nearest passages: {hits: […], release, trace}."""
        return self._client.call("POST", f"/api/v1/endpoints/{name}/search", {"query": query, "k": k})
