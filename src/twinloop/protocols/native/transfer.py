"""/api/v1/transfer: rows with the ids, numbers and times they have, in and out. All of it needs an admin's key."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from starlette.routing import Route

from twinloop.control.transfer.imported import Describe, ImportedModel, ImportedVersion, Imports
from twinloop.control.transfer.imported_traces import ImportedTrace, TraceImports, TraceSums
from twinloop.control.transfer.model import Block, Outcome, Page, Sum
from twinloop.control.transfer.service import Transfer
from twinloop.protocols.http import Call, route
from twinloop.protocols.native import wire
from twinloop.protocols.native.errors import NATIVE

_BODY = 256 * 2**20
_SCOPES = 5_000

Value = str | int


class Rows(msgspec.Struct, frozen=True):
    """``derive`` names a system without lineage; that of its runs is made from their rows."""

    blocks: Annotated[list[Block], msgspec.Meta(max_length=100)]
    derive: str = ""


class PageQuery(msgspec.Struct, frozen=True):
    """``scopes`` are values of the columns that name whom rows belong to, or of the columns ``by``; null gives all rows."""

    shape: str
    by: list[str] | None = None
    scopes: list[tuple[Value, ...]] | None = None
    after: list[Any] | None = None
    limit: int = 10_000


class SumsQuery(msgspec.Struct, frozen=True):
    """``without`` are columns that do not count."""

    shape: str
    without: list[str] = []
    scopes: Annotated[list[tuple[Value, ...]], msgspec.Meta(max_length=_SCOPES)] = []


class SizesQuery(msgspec.Struct, frozen=True):
    digests: Annotated[list[str], msgspec.Meta(max_length=_SCOPES)]


class ModelsIn(msgspec.Struct, frozen=True):
    origin: str
    models: Annotated[list[ImportedModel], wire.Many]


class VersionsIn(msgspec.Struct, frozen=True):
    origin: str
    versions: Annotated[list[ImportedVersion], wire.Many]


class TracesIn(msgspec.Struct, frozen=True):
    origin: str
    traces: Annotated[list[ImportedTrace], wire.Many]


class TraceIds(msgspec.Struct, frozen=True):
    ids: Annotated[list[str], wire.Many]


class TraceSumList(msgspec.Struct, frozen=True):
    """In the order of the ids; null for a trace that is not here."""

    sums: list[TraceSums | None]


class Sums(msgspec.Struct, frozen=True):
    sums: list[Sum]


class Sizes(msgspec.Struct, frozen=True):
    sizes: dict[str, int]


def routes(transfer: Transfer, imports: Imports, imported_traces: TraceImports, describe: Describe) -> list[Route]:
    async def rows(call: Call, body: Rows) -> Outcome:
        """Add rows in one transaction; what is there already is kept as it is."""
        return await transfer.put(call.who, body.blocks, body.derive)

    async def pages(call: Call, body: PageQuery) -> Page:
        """Rows of one shape by their key."""
        return await transfer.page(call.who, body.shape, body.by, body.scopes, body.after, body.limit)

    async def sums(call: Call, body: SumsQuery) -> Sums:
        """How many rows each of some scopes has, and the digest of all of them."""
        return Sums(await transfer.sums(call.who, body.shape, body.scopes, body.without))

    async def sizes(call: Call, body: SizesQuery) -> Sizes:
        """Which of some digests are blobs here, with their size in bytes."""
        return Sizes(await transfer.sizes(call.who, body.digests))

    async def models(call: Call, body: ModelsIn) -> Outcome:
        """Registered models and prompts of another system, with their times, tags and aliases."""
        return await imports.models(call.who, body.origin, body.models)

    async def versions(call: Call, body: VersionsIn) -> Outcome:
        """Versions of them, with their numbers."""
        return await imports.versions(call.who, body.origin, body.versions, describe)

    async def traces(call: Call, body: TracesIn) -> Outcome:
        """Traces of another system with their spans and assessments."""
        return await imported_traces.put(call.who, body.origin, body.traces)

    async def trace_sums(call: Call, body: TraceIds) -> TraceSumList:
        """What some traces add up to."""
        return TraceSumList(await imported_traces.sums(call.who, body.ids))

    at = "/api/v1/transfer"
    return [
        route(NATIVE, "POST", f"{at}/rows", rows, body=Rows, answer=Outcome, limit=_BODY),
        route(NATIVE, "POST", f"{at}/pages", pages, body=PageQuery, answer=Page),
        route(NATIVE, "POST", f"{at}/sums", sums, body=SumsQuery, answer=Sums),
        route(NATIVE, "POST", f"{at}/sizes", sizes, body=SizesQuery, answer=Sizes),
        route(NATIVE, "POST", f"{at}/models", models, body=ModelsIn, answer=Outcome, limit=_BODY),
        route(NATIVE, "POST", f"{at}/versions", versions, body=VersionsIn, answer=Outcome, limit=_BODY),
        route(NATIVE, "POST", f"{at}/traces", traces, body=TracesIn, answer=Outcome, limit=_BODY),
        route(NATIVE, "POST", f"{at}/trace-sums", trace_sums, body=TraceIds, answer=TraceSumList),
    ]
