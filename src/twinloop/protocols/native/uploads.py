"""/api/v1/uploads: files in parts, which a client can go on with after a break."""

from __future__ import annotations

from typing import Annotated, TypedDict

import msgspec
from starlette.routing import Route

from twinloop.control.artifacts.model import Part, Upload
from twinloop.control.artifacts.uploads import Uploads
from twinloop.core.clock import iso
from twinloop.core.digests import parse_digest
from twinloop.core.errors import InvalidInput
from twinloop.protocols.http import Call, route
from twinloop.protocols.native import wire
from twinloop.protocols.native.artifacts import ArtifactJson, artifact_json
from twinloop.protocols.native.errors import NATIVE

_BYTES = "application/octet-stream"
_MS = 1_000_000
Size = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class NewUpload(msgspec.Struct, frozen=True):
    """``size`` is that of the file, in bytes; every part but the last must then have ``part_size``, 32 MiB unless given."""

    path: str
    size: Size | None = None
    part_size: Size | None = None


class Completed(msgspec.Struct, frozen=True):
    """``digest`` is what the whole file must have."""

    digest: str | None = None


class PathQuery(msgspec.Struct, frozen=True):
    path: str


class PartJson(TypedDict):
    number: int
    size: int
    digest: str


class UploadJson(TypedDict):
    """``digest`` is null until the upload is complete; ``parts`` are those that are stored."""

    id: str
    path: str
    size: int | None
    part_size: int | None
    begun_at: str
    digest: str | None
    parts: list[PartJson]


class UploadList(TypedDict):
    uploads: list[UploadJson]


def routes(uploads: Uploads) -> list[Route]:
    async def begin(call: Call, body: NewUpload) -> UploadJson:
        """Begin an upload to a path."""
        return _upload_json((await uploads.begin(call.who, body.path, body.size, body.part_size)).upload)

    async def under_way(call: Call, query: PathQuery) -> UploadList:
        """Uploads to a path that are not complete, the one touched last first; without their parts."""
        return {"uploads": [_upload_json(found) for found in await uploads.under_way(call.who, query.path)]}

    async def get(call: Call) -> UploadJson:
        """An upload and the parts that are stored."""
        return _upload_json(await uploads.get(call.who, call.path["id"]))

    async def put_part(call: Call) -> PartJson:
        """Store the body as a part; parts are numbered from 1, come in any order, and may be sent again."""
        number = call.path["number"]
        if not number.isascii() or not number.isdigit():
            raise InvalidInput(f"{number[:40]!r} is not the number of a part.")
        return _part_json(await uploads.put_part(call.who, call.path["id"], int(number[:9]), call.chunks()))

    async def complete(call: Call, body: Completed) -> ArtifactJson:
        """Join the parts and put the file at its path. Asked again, the answer is the same."""
        expected = None if body.digest is None else parse_digest(body.digest)
        return artifact_json(await uploads.complete(call.who, call.path["id"], expected))

    async def abort(call: Call) -> wire.Nothing:
        """Forget an upload and its parts."""
        await uploads.abort(call.who, call.path["id"])
        return {}

    one = "/api/v1/uploads/{id}"
    return [
        route(NATIVE, "PUT", f"{one}/parts/{{number}}", put_part, takes=_BYTES, answer=PartJson),
        route(NATIVE, "POST", f"{one}/complete", complete, body=Completed, answer=ArtifactJson),
        route(NATIVE, "GET", one, get, answer=UploadJson),
        route(NATIVE, "DELETE", one, abort, answer=wire.Nothing),
        route(NATIVE, "POST", "/api/v1/uploads", begin, body=NewUpload, answer=UploadJson, status=201),
        route(NATIVE, "GET", "/api/v1/uploads", under_way, query=PathQuery, answer=UploadList),
    ]


def _part_json(part: Part) -> PartJson:
    return {"number": part.number, "size": part.size, "digest": part.digest}


def _upload_json(found: Upload) -> UploadJson:
    return {
        "id": found.id,
        "path": found.path,
        "size": found.size,
        "part_size": found.part_size,
        "begun_at": iso(found.begun_ms * _MS),
        "digest": found.digest,
        "parts": [_part_json(part) for part in found.parts],
    }
