"""/api/v1/blobs: bytes by their digest, streamed both ways."""

from __future__ import annotations

from typing import TypedDict

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from twinloop.control.security.model import Role
from twinloop.control.store.ports import Blobs
from twinloop.core.digests import Digest, parse_digest
from twinloop.core.errors import NotFound
from twinloop.protocols.http import Call, route
from twinloop.protocols.native.errors import NATIVE

_BYTES = "application/octet-stream"


class KeptBlob(TypedDict):
    digest: str
    size: int


def routes(blobs: Blobs) -> list[Route]:
    async def put(call: Call) -> KeptBlob:
        """Store the body, which must have the digest in the path."""
        call.who.require(Role.developer)
        kept = await blobs.put(call.chunks(), parse_digest(call.path["digest"]))
        return {"digest": kept.digest, "size": kept.size}

    async def get(call: Call) -> Response:
        """The bytes of a blob."""
        call.who.require(Role.viewer)
        digest = parse_digest(call.path["digest"])
        size = await _size(blobs, digest)
        headers = {"content-length": str(size), "etag": f'"{digest}"'}
        return StreamingResponse(blobs.open(digest), 200, headers, _BYTES)

    async def head(call: Call) -> Response:
        """Whether a blob is there, and its size."""
        call.who.require(Role.viewer)
        size = await _size(blobs, parse_digest(call.path["digest"]))
        return Response(headers={"content-length": str(size)})

    return [
        route(NATIVE, "PUT", "/api/v1/blobs/{digest}", put, takes=_BYTES, answer=KeptBlob),
        route(NATIVE, "HEAD", "/api/v1/blobs/{digest}", head, gives=[]),
        route(NATIVE, "GET", "/api/v1/blobs/{digest}", get, gives=[_BYTES]),
    ]


async def _size(blobs: Blobs, digest: Digest) -> int:
    size = await blobs.size(digest)
    if size is None:
        raise NotFound(f"There is no blob {digest}. Upload it with PUT.")
    return size
