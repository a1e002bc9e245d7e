"""What a lane gives so that its revisions can be released, and what releases asks of the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from twinloop.control.registry.model import Revision
from twinloop.control.releases.answers import Answer, ChatDelta, EndpointKind, Request
from twinloop.control.releases.model import Release, Traffic
from twinloop.control.tracing.model import SpanBuilder


class Target(Protocol):
    """A release in memory, ready to answer. Safe for many requests at once."""

    async def answer(self, request: Request, span: SpanBuilder) -> Answer:
        """Answer at once. Raises InvalidInput when the request does not fit (names, types, sizes)."""
        ...

    def stream(self, request: Request, span: SpanBuilder) -> AsyncIterator[ChatDelta]:
        """Answer a chat in pieces. Closing the iterator stops the generation."""
        ...

    def metadata(self) -> Mapping[str, Any]:
        """``inputs`` and ``outputs``: lists of {name, datatype (Open Inference Protocol), shape}; other facts as wanted."""
        ...

    async def aclose(self) -> None: ...


class EndpointType(Protocol):
    """A way of answering (``predict``, ``chat``, ``embed``, ``search``) that a lane provides.

    An endpoint needs several revisions at once (model and feature views; prompt, index and generator), so activation
    belongs to the type and takes all pins, not to a single revision's kind.
    """

    @property
    def name(self) -> EndpointKind: ...

    def check(self, pins: Mapping[str, Revision]) -> None:
        """Raise InvalidInput, naming role and kind, unless these pins can answer together."""
        ...

    def gate_subject(self, pins: Mapping[str, Revision]) -> Revision:
        """The revision whose evidence a gate of this endpoint reads."""
        ...

    async def activate(self, tenant: str, pins: Mapping[str, Revision], required: Sequence[Revision]) -> Target:
        """Load everything; ``required`` is the closure of what the pins need. Raises without side effects."""
        ...


class Serving(Protocol):
    """What the gateway does for a release: first load, then, after the change is durable, switch."""

    async def prepare(self, tenant: str, release: Release) -> None:
        """Load the release's target so that a switch to it cannot fail. Raises when it cannot be loaded."""
        ...

    async def switch(self, tenant: str, traffic: Traffic) -> None:
        """Send every request from now on by ``traffic``; requests under way finish where they began."""
        ...
