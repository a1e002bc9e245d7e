"""MLflow's artifact proxy: files of the tenant's tree by their path."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from starlette.responses import Response

from twinloop.control.artifacts.model import Artifact
from twinloop.control.artifacts.service import Artifacts
from twinloop.control.security.model import Principal
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.protocols.file_answer import file_answer
from twinloop.protocols.http import Call
from twinloop.protocols.mlflow import artifacts_wire as wire
from twinloop.protocols.mlflow.artifacts_translate import file_headers, file_infos, file_path, safe_path
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.request import read

Json = dict[str, Any]
ROOT = "/api/2.0/mlflow-artifacts/artifacts"
_PAGE = 1000


class ProxyHandlers:
    """One method per endpoint. As in MLflow, a path is not held against the runs there are."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts

    async def listing(self, call: Call) -> Json:
        """What lies directly in a folder."""
        folder = safe_path((await read(call, wire.ListFolder)).path)
        return file_infos([one async for one in children(self._artifacts, call.who, folder)], "")

    async def get(self, call: Call) -> Response:
        """The bytes of a file, or a range of them; to HEAD its size and type."""
        return await send_file(call, self._artifacts, file_path(call.path["path"]))

    async def put(self, call: Call) -> Json:
        """Store the body as a file."""
        path = file_path(call.path["path"])
        if call.path["path"].endswith("/"):
            raise InvalidInput("Artifact path must include a filename (cannot end with '/').")
        await self._artifacts.put(call.who, path, call.chunks())
        return {}

    async def delete(self, call: Call) -> Json:
        """Remove a file, or a folder with all in it."""
        await self._artifacts.delete(call.who, file_path(call.path["path"]))
        return {}


async def children(artifacts: Artifacts, who: Principal, folder: str) -> AsyncIterator[Artifact]:
    """Everything directly in a folder: MLflow's clients do not ask for a second page."""
    token = None
    while True:
        page = await artifacts.list(who, folder, _PAGE, token)
        for one in page.items:
            yield one
        token = page.next
        if token is None:
            return


async def send_file(call: Call, artifacts: Artifacts, path: str) -> Response:
    """The file at ``path`` of the caller's tenant, as a download."""
    found = await artifacts.find(call.who, path)
    if found is None:
        raise NotFound(f"No such artifact: '{path}'. List its folder to see what there is.")
    if found.is_dir:
        raise InvalidInput(f"Artifact path refers to a directory, not a file: '{path}'. Name a file in it.")
    return file_answer(call, found.size, found.digest, file_headers(found.name), partial(artifacts.read, found))


def endpoints(artifacts: Artifacts) -> list[Endpoint]:
    handlers = ProxyHandlers(artifacts)
    one = f"{ROOT}/{{path:path}}"
    return [
        Endpoint("PUT", one, handlers.put),
        Endpoint("GET", one, handlers.get),
        Endpoint("DELETE", one, handlers.delete),
        Endpoint("GET", ROOT, handlers.listing),
    ]
