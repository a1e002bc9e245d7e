"""/api/v1/status and keys, /healthz, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypedDict

import msgspec
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from twinloop.control.gateway.service import Gateway
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import Role
from twinloop.control.security.repository import Key
from twinloop.control.security.service import Keys
from twinloop.control.tracing.service import Tracing
from twinloop.core.clock import iso
from twinloop.core.errors import InvalidInput, Unavailable
from twinloop.protocols.http import Call, route
from twinloop.protocols.native.errors import NATIVE


class Facts(Protocol):
    """What a server says of itself."""

    def __call__(self) -> Mapping[str, Any]: ...


class Metrics(Protocol):
    def text(self, spooled: int, dropped: int) -> bytes: ...


class NewKeyBody(msgspec.Struct, frozen=True):
    name: str
    role: str


class Counts(TypedDict):
    revisions: int
    releases: int
    traces: int


class EngineState(TypedDict):
    """An engine that is open now: ``ready``, or what else it is doing and why."""

    name: str
    state: str
    detail: str


class About(TypedDict):
    """``kinds`` counts revisions by kind; ``ready`` when everything live is loaded; ``engines`` are the generators open now."""

    version: str
    home: str
    started_at: str
    tenant: str
    principal: str
    role: str
    endpoints: int
    counts: Counts
    kinds: dict[str, int]
    engines: list[EngineState]
    ready: bool


class KeyJson(TypedDict):
    id: str
    name: str
    role: str
    created_at: str
    created_by: str
    revoked_at: str | None


class NewKey(KeyJson):
    secret: str


class KeyList(TypedDict):
    keys: list[KeyJson]


class Revoked(TypedDict):
    revoked: str


class Health(TypedDict):
    status: str


def routes(
    registry: Registry,
    keys: Keys,
    gateway: Gateway,
    tracing: Tracing,
    metrics: Metrics,
    facts: Facts,
    ready: Callable[[], bool],
    check: Callable[[], Awaitable[None]],
) -> list[Route]:
    """``facts`` are version, home and start; ``ready`` tells whether everything live is loaded; ``check`` asks the store."""

    async def status(call: Call) -> About:
        """What this Twinloop is and holds."""
        told, counts = facts(), await registry.count(call.who)
        return {
            "version": told["version"],
            "home": told["home"],
            "started_at": told["started_at"],
            "tenant": call.who.tenant,
            "principal": call.who.name,
            "role": call.who.role.name,
            "endpoints": len(gateway.endpoints(call.who)),
            "counts": {
                "revisions": sum(counts.values()),
                "releases": counts.get("release", 0),
                "traces": await tracing.count(call.who),
            },
            "kinds": counts,
            "engines": told["engines"],
            "ready": ready(),
        }

    async def make_key(call: Call, body: NewKeyBody) -> NewKey:
        """Make a key; its secret is in this answer and nowhere else."""
        if body.role not in Role.__members__ or body.role == "nobody":
            raise InvalidInput(f"{body.role!r} is not a role. Roles are viewer, developer, releaser and admin.")
        made = await keys.create(call.who, body.name, Role[body.role])
        return {**_key(made.key), "secret": made.secret}

    async def list_keys(call: Call) -> KeyList:
        """Every key ever made, without secrets."""
        return {"keys": [_key(key) for key in await keys.keys(call.who)]}

    async def revoke_key(call: Call) -> Revoked:
        """Put a key out of force at once."""
        await keys.revoke(call.who, call.path["id"])
        return {"revoked": call.path["id"]}

    async def healthz(call: Call) -> Health:
        """The process answers."""
        return {"status": "ok"}

    async def readyz(call: Call) -> Health:
        """The store answers and everything live is loaded."""
        await check()
        if not ready():
            raise Unavailable("Releases are being loaded. Try again in a moment.")
        return {"status": "ready"}

    async def metrics_text(call: Call) -> Response:
        """Counts in Prometheus text form."""
        losses = tracing.losses
        content = metrics.text(losses.spooled, losses.dropped)
        return PlainTextResponse(content, headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"})

    return [
        route(NATIVE, "GET", "/healthz", healthz, public=True, answer=Health, tag="status"),
        route(NATIVE, "GET", "/readyz", readyz, public=True, answer=Health, tag="status"),
        route(NATIVE, "GET", "/metrics", metrics_text, gives=["text/plain"], tag="status"),
        route(NATIVE, "GET", "/api/v1/status", status, answer=About),
        route(NATIVE, "POST", "/api/v1/keys", make_key, body=NewKeyBody, answer=NewKey),
        route(NATIVE, "GET", "/api/v1/keys", list_keys, answer=KeyList),
        route(NATIVE, "DELETE", "/api/v1/keys/{id}", revoke_key, answer=Revoked),
    ]


def _key(key: Key) -> KeyJson:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role.name,
        "created_at": iso(key.created_ns),
        "created_by": key.created_by,
        "revoked_at": None if key.revoked_ns is None else iso(key.revoked_ns),
    }
