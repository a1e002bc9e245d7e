"""Webhooks from a program: make, change, test, remove, and see what became of deliveries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from twinloop.sdk.client import Client

Json = dict[str, Any]
_PATH = "/api/v1/webhooks"


class Webhooks:
    """All of it needs a key with the role admin on a server that has keys."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(
        self,
        name: str,
        url: str,
        events: Sequence[str],
        secret: str | None = None,
        description: str | None = None,
    ) -> Json:
        """Make a webhook; ``url`` is told ``events`` from now on, signed with ``secret`` when one is given."""
        body = {"name": name, "url": url, "events": list(events), "secret": secret, "description": description}
        return self._client.call("POST", _PATH, body)

    def list(self) -> list[Json]:
        """Every webhook, newest first, without secrets."""
        return [*self._pages()]

    def get(self, id: str) -> Json:
        return self._client.call("GET", f"{_PATH}/{id}")

    def update(self, id: str, **changes: Any) -> Json:
        """Change name, url, events, description, secret or active; an empty secret takes it away."""
        return self._client.call("PATCH", f"{_PATH}/{id}", changes)

    def delete(self, id: str) -> None:
        """What was not sent yet is cancelled."""
        self._client.call("DELETE", f"{_PATH}/{id}")

    def test(self, id: str, event: str | None = None) -> Json:
        """Send an example once; returns what the receiver answered."""
        return self._client.call("POST", f"{_PATH}/{id}/test", {"event": event})

    def deliveries(self, id: str, state: str = "", limit: int = 100) -> list[Json]:  # type: ignore[valid-type]
        """What became of deliveries, newest first; ``state`` narrows to pending, delivered, failed or cancelled."""
        query = {"state": state, "limit": limit}
        return self._client.call("GET", f"{_PATH}/{id}/deliveries", query=query)["deliveries"]

    def redeliver(self, id: str, delivery: str) -> Json:
        """Send a delivery again, under the same id."""
        return self._client.call("POST", f"{_PATH}/{id}/deliveries", {"delivery": delivery})

    def events(self) -> dict[str, Json]:
        """Every event that can be listened for, with data as an example."""
        return self._client.call("GET", f"{_PATH}/events")["events"]

    def _pages(self) -> Iterator[Json]:
        token = ""
        while True:
            page = self._client.call("GET", _PATH, query={"limit": 1000, "token": token})
            yield from page["webhooks"]
            if page["next"] is None:
                return
            token = page["next"]
