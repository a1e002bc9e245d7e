"""Facts that one part announces and others may act on; who listens is decided in ``compose``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar


@dataclass(frozen=True)
class Event:
    """Base of all events. An event says what has happened, durably, before it is published."""

    tenant: str


E = TypeVar("E", bound=Event)
Handler = Callable[[Any], Awaitable[None]]


class Bus:
    """Delivers each event to its subscribers in the order they subscribed, before ``publish`` returns."""

    def __init__(self) -> None:
        self._handlers: dict[type[Event], list[Handler]] = defaultdict(list)

    def subscribe(self, kind: type[E], handler: Callable[[E], Awaitable[None]]) -> None:
        self._handlers[kind].append(handler)

    async def publish(self, event: Event) -> None:
        for handler in self._handlers[type(event)]:
            await handler(event)
