"""What webhooks keep, and how often a delivery is tried."""

from __future__ import annotations

import random
from typing import Any, Literal, NamedTuple

import msgspec

State = Literal["pending", "delivered", "failed", "cancelled"]

_SECOND_NS = 1_000_000_000


class Webhook(msgspec.Struct, frozen=True):
    """Where events are sent. ``secret`` names what bodies are signed with and never is it.

    Only what happens after ``since_ns`` is sent: when the webhook was made, or last switched on.
    """

    id: str
    tenant: str
    name: str
    url: str
    events: tuple[str, ...]
    description: str | None
    active: bool
    secret: str | None
    created_ms: int
    updated_ms: int
    since_ns: int


class WebhookDraft(msgspec.Struct, frozen=True):
    """A webhook to make; ``secret`` is the secret itself."""

    name: str
    url: str
    events: tuple[str, ...]
    description: str | None = None
    secret: str | None = None
    active: bool = True

    def __repr__(self) -> str:
        return f"WebhookDraft(name={self.name!r})"


class WebhookChange(msgspec.Struct, frozen=True):
    """What to change of a webhook; None leaves it. An empty ``secret`` takes it away."""

    name: str | None = None
    url: str | None = None
    events: tuple[str, ...] | None = None
    description: str | None = None
    secret: str | None = None
    active: bool | None = None

    def __repr__(self) -> str:
        return f"WebhookChange(name={self.name!r})"


class Message(NamedTuple):
    """What one event says to who listens for it: its name (``entity.action``) and its data."""

    event: str
    data: dict[str, Any]


class Occurrence(NamedTuple):
    """Something that happened, as an outbox tells it; ``sequence`` orders what its outbox holds."""

    sequence: int
    tenant: str
    at_ns: int
    messages: tuple[Message, ...]


class Delivery(msgspec.Struct, frozen=True):
    """One body on its way to one webhook. Its ``id`` is the same in every attempt, so that receivers can tell repeats.

    ``status`` is the receiver's last HTTP status and ``note`` what went wrong last; ``due_ns`` is when it is tried next.
    """

    id: str
    webhook: str
    event: str
    state: State
    attempts: int
    created_ns: int
    due_ns: int
    ended_ns: int | None = None
    status: int | None = None
    note: str | None = None


class Parcel(NamedTuple):
    """A delivery that is due, with all it takes to send it."""

    tenant: str
    delivery: Delivery
    webhook: Webhook
    body: bytes


class Answer(msgspec.Struct, frozen=True):
    """What a receiver said; ``body`` is the beginning of its answer, ``retry_after_s`` what it asked to wait."""

    status: int
    body: str = ""
    retry_after_s: float | None = None

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300

    @property
    def final(self) -> bool:
        """Whether sending the same again is pointless: the receiver refuses it, and not because it is busy."""
        return 400 <= self.status < 500 and self.status not in (408, 425, 429)


class Retries(msgspec.Struct, frozen=True):
    """How often a delivery is tried, and how the wait grows: ``first_s`` times ``factor`` each time, ``longest_s`` at most.

    With these defaults the eighth and last attempt comes about an hour and a half after the first.
    """

    attempts: int = 8
    first_s: float = 1.0
    factor: float = 4.0
    longest_s: float = 3600.0
    jitter: float = 0.2

    def wait_ns(self, attempts: int, asked_s: float | None = None) -> int:
        """Nanoseconds to wait after so many attempts; ``asked_s`` is what the receiver asked for.

        A fifth more or less keeps those that failed together from coming back together.
        """
        wait = min(self.first_s * self.factor ** (attempts - 1), self.longest_s)
        wait *= 1 + random.uniform(-self.jitter, self.jitter)
        return int(max(wait, min(asked_s or 0.0, self.longest_s)) * _SECOND_NS)
