"""The events that can be listened for, and the outbox of the registry.

A protocol may tell the registry's events under names of its own beside these; ``compose`` brings them together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from sqlalchemy import Connection

from twinloop.control.registry import event_rows
from twinloop.control.registry.model import Action, RegistryEvent
from twinloop.control.webhooks.model import Message, Occurrence

Telling = Callable[[RegistryEvent], Sequence[Message]]
Examples = Mapping[str, Mapping[str, Any]]

REGISTRY: Examples = {
    action: {"kind": "model", "name": "example", "title": "example", "number": 1, "by": "local", "detail": {}}
    for action in get_args(Action)
}
"""The registry's own events by name, each with data as an example."""


def tell(event: RegistryEvent) -> list[Message]:
    """The event under its own name, with everything the history holds of it."""
    data = {
        "kind": event.kind,
        "name": event.name,
        "title": event.title,
        "number": event.number,
        "by": event.by,
        "detail": event.detail,
    }
    return [Message(event.action, data)]


class RegistryOutbox:
    """Implements Outbox over the registry's history."""

    name = "registry"

    def __init__(self, tellings: Sequence[Telling]) -> None:
        self._tellings = tellings

    def last(self, connection: Connection) -> int:
        return event_rows.last(connection)

    def after(self, connection: Connection, sequence: int, limit: int) -> list[Occurrence]:
        return [self._occurrence(event) for event in event_rows.events_after(connection, sequence, limit)]

    def _occurrence(self, event: RegistryEvent) -> Occurrence:
        messages = tuple(message for telling in self._tellings for message in telling(event))
        return Occurrence(event.sequence, event.tenant, event.at_ns, messages)
