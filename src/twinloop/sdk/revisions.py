"""Revisions from a program: register, get, list, alias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twinloop.sdk.client import Client
from twinloop.sdk.definitions import current_run_id

Json = dict[str, Any]


class Revisions:
    def __init__(self, client: Client) -> None:
        self._client = client

    def register(
        self,
        kind: str,
        name: str,
        manifest: Mapping[str, Any],
        parents: Sequence[tuple[str, str]] = (),
        number: int | None = None,
    ) -> Json:
        """Register ``kind/name`` and return its revision; ``parents`` are (role, reference) pairs.

        The same content again returns the revision there is. Inside a pipeline step the revision is linked to the run.

        Raises:
            Conflict: ``number`` is given and is not the next one; of several callers at once, one gets it.
        """
        body = {
            "kind": kind,
            "name": name,
            "manifest": dict(manifest),
            "parents": [{"role": role, "ref": ref} for role, ref in parents],
            "run_id": current_run_id(),
            "number": number,
        }
        return self._client.call("POST", "/api/v1/revisions", body)["revision"]

    def get(self, ref: str) -> Json:
        """The revision called ``kind/name@number``, ``kind/name@alias``, ``kind/name`` (newest), or by its digest."""
        return self._client.call("GET", f"/api/v1/revisions/{ref}")

    def list(self, kind: str | None = None, name: str | None = None, limit: int = 100) -> list[Json]:
        """Revisions, newest first."""
        query = {"kind": kind, "name": name, "limit": limit}
        return self._client.call("GET", "/api/v1/revisions", query=query)["revisions"]

    def alias(self, kind: str, name: str, alias: str, number: int) -> Json:
        """Point ``kind/name@alias`` at revision ``number``."""
        body = {"kind": kind, "name": name, "alias": alias, "number": number}
        return self._client.call("PUT", "/api/v1/aliases", body)

    def delete_alias(self, kind: str, name: str, alias: str) -> None:
        """Remove an alias; one that is not there is no error."""
        self._client.call("DELETE", "/api/v1/aliases", query={"kind": kind, "name": name, "alias": alias})
