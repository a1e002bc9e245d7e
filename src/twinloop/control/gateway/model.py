"""What comes out of the gateway, and the table it routes by."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

from twinloop.control.releases.answers import Answer, ChatDelta
from twinloop.control.releases.model import Release, Traffic
from twinloop.control.releases.ports import Target


class Reply(NamedTuple):
    """An answer, the release that gave it (``endpoint@number``) and its trace id."""

    value: Answer
    release: str
    trace_id: str


class Deltas(Protocol):
    """The pieces of an answer as they come. Whoever is given one closes it, read to its end or not."""

    def __aiter__(self) -> AsyncIterator[ChatDelta]: ...

    async def __anext__(self) -> ChatDelta: ...

    async def aclose(self) -> None: ...


class StreamReply(NamedTuple):
    """An answer under way. Close ``deltas`` to stop it; its trace is written when it ends, however it ends."""

    deltas: Deltas
    release: str
    trace_id: str


class Loaded:
    """A release in memory, with the number of requests it is answering."""

    __slots__ = ("in_flight", "release", "retired", "target")

    def __init__(self, release: Release, target: Target) -> None:
        self.release = release
        self.target = target
        self.in_flight = 0
        self.retired = False


class Variants(NamedTuple):
    """One endpoint's row in the routing table; replaced as a whole, never changed."""

    traffic: Traffic
    live: Loaded | None
    canary: Loaded | None
    shadow: Loaded | None
    previous: Loaded | None

    def all(self) -> list[Loaded]:
        return [loaded for loaded in (self.live, self.canary, self.shadow, self.previous) if loaded is not None]
