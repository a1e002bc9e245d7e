"""/api/v1/artifacts and /api/v1/artifact-list: named files of runs, models and traces, streamed both ways."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, TypedDict
from urllib.parse import quote

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from twinloop.control.artifacts.model import Artifact
from twinloop.control.artifacts.paths import place_of
from twinloop.control.artifacts.service import Artifacts
from twinloop.control.security.model import Principal
from twinloop.core.clock import iso
from twinloop.core.digests import parse_digest
from twinloop.core.errors import NotFound
from twinloop.protocols.file_answer import file_answer
from twinloop.protocols.http import Call, route
from twinloop.protocols.native import wire
from twinloop.protocols.native.errors import NATIVE

_BYTES = "application/octet-stream"
_MS = 1_000_000


class Attached(msgspec.Struct, frozen=True):
    """``digest`` is that of bytes that are stored already."""

    digest: str


class FolderQuery(msgspec.Struct, frozen=True):
    """What lies directly in ``folder``, a page at a time; with ``deep`` every file below it at once."""

    folder: str = ""
    deep: bool = False
    limit: wire.Limit = 1000
    token: Annotated[str, msgspec.Meta(description="``next`` of the page before.")] = ""


class ArtifactJson(TypedDict):
    """``flag`` says why loading the file could run code of its author; null is no known danger."""

    path: str
    size: int
    digest: str
    is_dir: bool
    at: str
    flag: str | None


class ArtifactPage(TypedDict):
    artifacts: list[ArtifactJson]
    next: str | None


class Place(TypedDict):
    path: str


ByRun = Callable[[Principal, str], Awaitable[str]]
"""Finds a run's artifact URI by its id. Raises NotFound."""


def routes(artifacts: Artifacts, of_run: ByRun) -> list[Route]:
    async def put(call: Call) -> ArtifactJson:
        """Store the body as the file at this path, in place of the one that may be there.

        The header x-content-digest, sha256: and 64 hex digits, is compared with the bytes that came.
        """
        wanted = call.headers.get("x-content-digest")
        expected = None if wanted is None else parse_digest(wanted)
        return artifact_json(await artifacts.put(call.who, call.path["path"], call.chunks(), expected))

    async def attach(call: Call, body: Attached) -> ArtifactJson:
        """Put bytes that are stored already at this path."""
        return artifact_json(await artifacts.attach(call.who, call.path["path"], parse_digest(body.digest)))

    async def get(call: Call) -> Response:
        """The bytes of a file, or the range of them that the header Range asks for; its ETag is the digest."""
        return await _answer(call, artifacts)

    async def head(call: Call) -> Response:
        """The size and digest of a file."""
        return await _answer(call, artifacts)

    async def delete(call: Call) -> wire.Nothing:
        """Remove a file, or a folder with all in it; nothing happens when there is none."""
        await artifacts.delete(call.who, call.path["path"])
        return {}

    async def listing(call: Call, query: FolderQuery) -> ArtifactPage:
        """Files and folders by name."""
        if query.deep:
            return {
                "artifacts": [artifact_json(one) for one in await artifacts.tree(call.who, query.folder)],
                "next": None,
            }
        page = await artifacts.list(call.who, query.folder, query.limit, query.token or None)
        return {"artifacts": [artifact_json(one) for one in page.items], "next": page.next}

    async def run_place(call: Call) -> Place:
        """The folder that holds a run's files."""
        return {"path": place_of(await of_run(call.who, call.path["id"]))}

    one = "/api/v1/artifacts/{path:path}"
    return [
        route(NATIVE, "PUT", one, put, takes=_BYTES, answer=ArtifactJson),
        route(NATIVE, "POST", one, attach, body=Attached, answer=ArtifactJson),
        route(NATIVE, "HEAD", one, head, gives=[]),
        route(NATIVE, "GET", one, get, gives=[_BYTES]),
        route(NATIVE, "DELETE", one, delete, answer=wire.Nothing),
        route(NATIVE, "GET", "/api/v1/artifact-list", listing, query=FolderQuery, answer=ArtifactPage),
        route(NATIVE, "GET", "/api/v1/runs/{id}/artifact-folder", run_place, answer=Place, tag="runs"),
    ]


async def _answer(call: Call, artifacts: Artifacts) -> Response:
    found = await artifacts.get(call.who, call.path["path"])
    if found.is_dir:
        raise NotFound(f"{found.path[:200]!r} is a folder. List it at /api/v1/artifact-list, or name a file in it.")
    # Always as an attachment of no particular type: shown in our origin, a page could act as its reader.
    headers = {
        "content-type": _BYTES,
        "content-disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}",
    }
    if found.flag is not None:
        headers["x-content-flag"] = found.flag
    return file_answer(call, found.size, found.digest, headers, partial(artifacts.read, found))


def artifact_json(found: Artifact) -> ArtifactJson:
    return {
        "path": found.path,
        "size": found.size,
        "digest": found.digest,
        "is_dir": found.is_dir,
        "at": iso(found.at_ms * _MS),
        "flag": found.flag,
    }
