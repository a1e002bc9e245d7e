"""/api/v1/revisions and /api/v1/aliases."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.routing import Route

from twinloop.control.registry.model import Parent
from twinloop.control.registry.service import Registry
from twinloop.protocols.http import Call, route
from twinloop.protocols.native import encode
from twinloop.protocols.native.errors import NATIVE


class ParentRef(msgspec.Struct, frozen=True):
    """A parent by any reference: ``kind/name@3``, an alias, or a digest."""

    role: str
    ref: str


class RegisterRequest(msgspec.Struct, frozen=True):
    kind: str
    name: str
    manifest: dict[str, Any]
    parents: list[ParentRef] = []
    run_id: str | None = None


class AliasRequest(msgspec.Struct, frozen=True):
    kind: str
    name: str
    alias: str
    number: int


def routes(registry: Registry) -> list[Route]:
    async def register(call: Call) -> Any:
        """Register an immutable revision; the same content again returns the revision there is."""
        body = await call.json(RegisterRequest)
        parents = [Parent(p.role, (await registry.get(call.who, p.ref)).digest) for p in body.parents]
        done = await registry.register(call.who, body.kind, body.name, body.manifest, parents, body.run_id)
        return {"revision": encode.revision(done.revision), "created": done.created}

    async def listing(call: Call) -> Any:
        """Revisions, newest first, narrowed by kind and name."""
        before = call.integer("before", 0)
        found = await registry.revisions(
            call.who,
            call.query.get("kind"),
            call.query.get("name"),
            call.integer("limit", 100, 1, 1000),
            before or None,
        )
        return {"revisions": [encode.revision(revision) for revision in found]}

    async def get(call: Call) -> Any:
        """One revision, by kind/name@number, kind/name@alias, kind/name or digest."""
        return encode.revision(await registry.get(call.who, call.path["ref"]))

    async def alias(call: Call) -> Any:
        """Point an alias at a revision."""
        body = await call.json(AliasRequest)
        return encode.revision(await registry.set_alias(call.who, body.kind, body.name, body.alias, body.number))

    return [
        route(NATIVE, "POST", "/api/v1/revisions", register),
        route(NATIVE, "GET", "/api/v1/revisions", listing),
        route(NATIVE, "GET", "/api/v1/revisions/{ref:path}", get),
        route(NATIVE, "PUT", "/api/v1/aliases", alias),
    ]
