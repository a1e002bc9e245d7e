"""Releases, the traffic between them, and the history of what was live."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from twinloop.control.evaluation.model import Condition, GateResult
from twinloop.control.releases.answers import EndpointKind
from twinloop.core.digests import Digest

Action = Literal["release", "promote", "rollback"]
Stage = Literal["live", "canary", "shadow"]
State = Literal["live", "canary", "shadow", "previous", "retired"]


class Pin(msgspec.Struct, frozen=True):
    """One revision a release holds fast: what it was called when pinned, and its digest."""

    ref: str
    digest: Digest


class Release(msgspec.Struct, frozen=True):
    """An immutable manifest that pins all an endpoint needs; ``ref`` is ``endpoint@number``.

    ``pins`` maps the endpoint type's roles to revisions; ``required`` are the revisions those need in turn.
    """

    endpoint: str
    number: int
    digest: Digest
    type: EndpointKind
    pins: dict[str, Pin]
    required: tuple[Pin, ...]
    gate: GateResult | None
    created_ns: int
    created_by: str

    @property
    def ref(self) -> str:
        return f"{self.endpoint}@{self.number}"


class Traffic(msgspec.Struct, frozen=True):
    """Which releases of an endpoint answer now, by number. ``weight`` is the canary's share of principals, 0 to 1.

    ``previous`` was live before the current one and is kept loaded, so that a rollback switches at once.
    """

    endpoint: str
    type: EndpointKind
    live: int | None = None
    canary: int | None = None
    weight: float = 0.0
    shadow: int | None = None
    previous: int | None = None
    updated_ns: int = 0


class ReleaseEvent(msgspec.Struct, frozen=True):
    """One change of what is live, with the traffic that resulted from it; never altered."""

    sequence: int
    at_ns: int
    action: Action
    release: str
    stage: Stage
    by: str
    reason: str
    traffic: Traffic


class ReleaseRequest(msgspec.Struct, frozen=True):
    """What to release. ``pins`` maps roles to revision references; ``gate`` lists conditions on the evidence."""

    type: EndpointKind
    pins: dict[str, str]
    stage: Stage = "live"
    weight: float = 0.1
    gate: tuple[Condition, ...] = ()
    reason: str = ""
    plan: dict[str, Any] = {}
