"""MLflow's endpoints that find artifacts through what they belong to: a run, a logged model, a model version."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from starlette.responses import Response

from twinloop.control.artifacts.paths import join
from twinloop.control.artifacts.service import Artifacts
from twinloop.control.security.model import Principal
from twinloop.core.errors import InvalidInput
from twinloop.protocols.http import Call
from twinloop.protocols.mlflow import artifacts_wire as wire
from twinloop.protocols.mlflow.artifacts import children, send_file
from twinloop.protocols.mlflow.artifacts_translate import file_infos, file_path, place_of, safe_path
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.request import read

Json = dict[str, Any]
_MLFLOW = "/api/2.0/mlflow"
_UPLOAD_LIMIT = 10 * 2**20
_LONGEST_S = 7 * 86_400

ByRun = Callable[[Principal, str], Awaitable[str]]


class Places(NamedTuple):
    """Finds the artifact URI of a run and a logged model by id, and of a model version by name and number.

    Each raises NotFound when there is no such thing.
    """

    run: ByRun
    logged_model: ByRun
    model_version: Callable[[Principal, str, str], Awaitable[str]]


class PlaceHandlers:
    """One method per endpoint."""

    def __init__(self, artifacts: Artifacts, places: Places) -> None:
        self._artifacts = artifacts
        self._places = places

    async def of_run(self, call: Call) -> Json:
        """What lies directly in a folder of a run."""
        request = await read(call, wire.ListRunArtifacts)
        folder = safe_path(request.path)
        return await self._listing(call, await self._places.run(call.who, _run(request)), folder)

    async def of_logged_model(self, call: Call) -> Json:
        """What lies directly in a folder of a logged model."""
        folder = safe_path((await read(call, wire.ListModelArtifacts)).artifact_directory_path)
        return await self._listing(call, await self._places.logged_model(call.who, call.path["id"]), folder)

    async def run_file(self, call: Call) -> Response:
        """A file of a run."""
        path = file_path(_given(call, "path"))
        run_id = call.query.get("run_id") or call.query.get("run_uuid", "")
        return await self._file(call, await self._places.run(call.who, run_id), path)

    async def model_version_file(self, call: Call) -> Response:
        """A file of a model version."""
        path = file_path(_given(call, "path"))
        uri = await self._places.model_version(call.who, _given(call, "name"), _given(call, "version"))
        return await self._file(call, uri, path)

    async def logged_model_file(self, call: Call) -> Response:
        """A file of a logged model."""
        name = "artifact_file_path"
        if not call.query.get(name):
            raise InvalidInput(f'Request must include the "{name}" query parameter.')
        uri = await self._places.logged_model(call.who, call.path["id"])
        return await self._file(call, uri, file_path(call.query[name]))

    async def upload(self, call: Call) -> Json:
        """Store a small body as a file of a run, as MLflow's pages do."""
        for name in ("run_uuid", "path"):
            if not call.query.get(name):
                raise InvalidInput(f"Request must specify {name}.")
        path = file_path(call.query["path"])
        data = await call.body()
        if not data:
            raise InvalidInput("Request must specify data.")
        if len(data) > _UPLOAD_LIMIT:
            raise InvalidInput("Artifact size is too large. Max size is 10MB.")
        uri = await self._places.run(call.who, call.query["run_uuid"])

        async def chunks() -> Any:
            yield data

        await self._artifacts.put(call.who, join(await self._place(call.who, uri), path), chunks())
        return {}

    async def presigned_upload(self, call: Call) -> None:
        """Twinloop gives no URLs of a store behind it; the answer is MLflow's for a server that proxies artifacts."""
        request = await call.json(wire.PresignedUrl)
        if bool(request.run_id) == bool(request.model_id):
            raise InvalidInput("Exactly one of run_id and model_id must be provided.")
        found = self._places.run if request.run_id else self._places.logged_model
        await _refuse_presigned("upload", "", request, await found(call.who, request.run_id or request.model_id))

    async def presigned_download(self, call: Call) -> None:
        """As ``presigned_upload``."""
        request = await call.json(wire.PresignedUrl)
        if not request.run_id:
            raise InvalidInput("Missing value for required parameter 'run_id'.")
        if not 1 <= request.expiration <= _LONGEST_S:
            raise InvalidInput(f"expiration must be between 1 and {_LONGEST_S} seconds (got {request.expiration}).")
        uri = await self._places.run(call.who, request.run_id)
        await _refuse_presigned("download", "runs with ", request, uri)

    async def _listing(self, call: Call, uri: str, folder: str) -> Json:
        place = join(await self._place(call.who, uri), folder)
        return {
            **file_infos([one async for one in children(self._artifacts, call.who, place)], folder),
            "root_uri": uri,
        }

    async def _file(self, call: Call, uri: str, path: str) -> Response:
        return await send_file(call, self._artifacts, join(await self._place(call.who, uri), path))

    async def _place(self, who: Principal, uri: str) -> str:
        """The path of ours that a URI means; it may name a run or a logged model instead of a place."""
        scheme, _, rest = uri.partition(":/")
        owner, _, below = rest.lstrip("/").partition("/")
        if scheme == "runs":
            return join(place_of(await self._places.run(who, owner)), safe_path(below))
        if scheme == "models":
            return join(place_of(await self._places.logged_model(who, owner)), safe_path(below))
        return place_of(uri)


async def _refuse_presigned(what: str, whose: str, request: wire.PresignedUrl, uri: str) -> None:
    if not request.path:
        raise InvalidInput("Missing value for required parameter 'path'.")
    file_path(request.path)
    raise InvalidInput(
        f"Presigned {what} is not supported for {whose}proxied artifact storage (artifact URI scheme: "
        f"{uri.partition(':')[0]}). Send the file to, or read it from, this server."
    )


def endpoints(artifacts: Artifacts, places: Places) -> list[Endpoint]:
    handlers = PlaceHandlers(artifacts, places)
    model = f"{_MLFLOW}/logged-models/{{id}}/artifacts"
    return [
        Endpoint("GET", f"{_MLFLOW}/artifacts/list", handlers.of_run),
        Endpoint("GET", "/get-artifact", handlers.run_file),
        Endpoint("GET", "/model-versions/get-artifact", handlers.model_version_file),
        Endpoint("GET", f"{model}/directories", handlers.of_logged_model),
        Endpoint("GET", f"/ajax-{model.removeprefix('/')}/files", handlers.logged_model_file),
        Endpoint("POST", f"/ajax-{_MLFLOW.removeprefix('/')}/upload-artifact", handlers.upload),
        Endpoint("POST", f"{_MLFLOW}/artifacts/presigned-upload-url", handlers.presigned_upload),
        Endpoint("POST", f"{_MLFLOW}/artifacts/presigned-download-url", handlers.presigned_download),
    ]


def _run(request: wire.ListRunArtifacts) -> str:
    run_id = request.run_id or request.run_uuid
    if not run_id:
        raise InvalidInput("Missing value for required parameter 'run_id'. Name the run whose artifacts to list.")
    return run_id


def _given(call: Call, name: str) -> str:
    value = call.query.get(name)
    if not value:
        raise InvalidInput(f"Missing value for required parameter '{name}'.")
    return value
