"""/api/v1/revisions, /api/v1/aliases and /api/v1/diff."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

import msgspec
from starlette.routing import Route

from twinloop.control.registry.differing import Difference
from twinloop.control.registry.model import Parent
from twinloop.control.registry.service import Registry
from twinloop.protocols.http import Call, route
from twinloop.protocols.native import encode, wire
from twinloop.protocols.native.errors import NATIVE


class ParentRef(msgspec.Struct, frozen=True):
    """A parent by any reference: ``kind/name@3``, an alias, or a digest."""

    role: str
    ref: str


class RegisterRequest(msgspec.Struct, frozen=True):
    """``number`` asks for the next number and no other: of callers at once one gets it, the others a conflict."""

    kind: str
    name: str
    manifest: dict[str, Any]
    parents: Annotated[list[ParentRef], wire.Many] = []
    run_id: str | None = None
    number: int | None = None


class AliasRequest(msgspec.Struct, frozen=True):
    kind: str
    name: str
    alias: str
    number: int


class AliasQuery(msgspec.Struct, frozen=True):
    kind: str
    name: str
    alias: str


class DiffQuery(msgspec.Struct, frozen=True, rename={"before": "from", "after": "to"}):
    """``from`` and ``to`` are revisions of one kind by any reference."""

    before: str
    after: str


class RevisionQuery(msgspec.Struct, frozen=True):
    kind: str | None = None
    name: str | None = None
    limit: wire.Limit = 100
    before: wire.Before = 0


class Revisions(TypedDict):
    revisions: list[wire.Revision]


Diff = TypedDict("Diff", {"from": str, "to": str, "differences": list[Difference]})


def routes(registry: Registry) -> list[Route]:
    async def register(call: Call, body: RegisterRequest) -> wire.Registered:
        """Register an immutable revision; the same content again returns the revision there is."""
        parents = [Parent(p.role, (await registry.get(call.who, p.ref)).digest) for p in body.parents]
        return encode.registered(
            await registry.register(call.who, body.kind, body.name, body.manifest, parents, body.run_id, body.number)
        )

    async def listing(call: Call, query: RevisionQuery) -> Revisions:
        """Revisions, newest first, narrowed by kind and name."""
        found = await registry.revisions(call.who, query.kind, query.name, query.limit, query.before or None)
        return {"revisions": [encode.revision(revision) for revision in found]}

    async def get(call: Call) -> wire.Revision:
        """One revision, by kind/name@number, kind/name@alias, kind/name or digest."""
        return encode.revision(await registry.get(call.who, call.path["ref"]))

    async def alias(call: Call, body: AliasRequest) -> wire.Revision:
        """Point an alias at a revision."""
        return encode.revision(await registry.set_alias(call.who, body.kind, body.name, body.alias, body.number))

    async def delete_alias(call: Call, query: AliasQuery) -> wire.Nothing:
        """Remove an alias; one that is not there is no error."""
        await registry.versions.delete_alias(call.who, registry.cards.named(query.kind, query.name), query.alias)
        return {}

    async def diff(call: Call, query: DiffQuery) -> Diff:
        """How the manifests of two revisions differ, place by place; long texts as a unified diff."""
        before, after, found = await registry.diff(call.who, query.before, query.after)
        return {"from": before.ref, "to": after.ref, "differences": found}

    return [
        route(NATIVE, "POST", "/api/v1/revisions", register, body=RegisterRequest, answer=wire.Registered),
        route(NATIVE, "GET", "/api/v1/revisions", listing, query=RevisionQuery, answer=Revisions),
        route(NATIVE, "GET", "/api/v1/revisions/{ref:path}", get, answer=wire.Revision),
        route(NATIVE, "PUT", "/api/v1/aliases", alias, body=AliasRequest, answer=wire.Revision),
        route(NATIVE, "DELETE", "/api/v1/aliases", delete_alias, query=AliasQuery, answer=wire.Nothing),
        route(NATIVE, "GET", "/api/v1/diff", diff, query=DiffQuery, answer=Diff, tag="revisions"),
    ]
