"""MLflow's multipart upload, with parts that go to this server: its clients are given a URL for each, valid without a key."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from twinloop.control.artifacts.paths import join
from twinloop.control.artifacts.uploads import PART_LIMIT, Uploads
from twinloop.core.errors import InvalidInput
from twinloop.protocols.http import Call, reply
from twinloop.protocols.mlflow import artifacts_wire as wire
from twinloop.protocols.mlflow.artifacts_translate import base_name, file_path, safe_path
from twinloop.protocols.mlflow.endpoint import Endpoint

Json = dict[str, Any]
_MPU = "/api/2.0/mlflow-artifacts/mpu"
_NO_PRESIGNED = "Multipart download is not supported for the current artifact repository"


class PartHandlers:
    """One method per endpoint."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads

    async def create(self, call: Call) -> Json:
        """Begin an upload; the answer has a URL for each part."""
        request = await call.json(wire.CreateParts)
        if not 1 <= request.num_parts <= PART_LIMIT:
            raise InvalidInput(
                f"num_parts is {request.num_parts}; a file may have 1 to {PART_LIMIT} parts. Use larger parts."
            )
        begun = await self._uploads.begin(call.who, _target(call, request.path))
        root = f"{_own_url(call)}{_MPU}/part/{begun.token}"
        parts = range(1, request.num_parts + 1)
        return {
            "upload_id": begun.upload.id,
            "credentials": [{"url": f"{root}/{number}", "part_number": number, "headers": {}} for number in parts],
        }

    async def part(self, call: Call) -> Response:
        """Store a part; whoever has its URL may."""
        number = call.path["number"]
        if not number.isascii() or not number.isdigit():
            raise InvalidInput(f"{number[:40]!r} is not the number of a part.")
        kept = await self._uploads.put_part_by_token(call.path["token"], int(number[:9]), call.chunks())
        return Response(headers={"etag": f'"{kept.digest}"'})

    async def complete(self, call: Call) -> Json:
        """Join the parts into the file."""
        request = await call.json(wire.CompleteParts)
        target = _target(call, request.path)
        named = {part.part_number: (part.etag or "").strip('"') for part in request.parts}
        if not named:
            raise InvalidInput("Missing value for required parameter 'parts'. Name every part with its etag.")
        await self._check_target(call, request.upload_id, target)
        await self._uploads.complete(call.who, request.upload_id, None, named)
        return {}

    async def abort(self, call: Call) -> Json:
        """Forget an upload."""
        request = await call.json(wire.AbortParts)
        _target(call, request.path)
        await self._uploads.abort(call.who, request.upload_id)
        return {}

    async def _check_target(self, call: Call, id: str, target: str) -> None:
        upload = await self._uploads.get(call.who, id)
        if upload.path != target:
            raise InvalidInput(f"The upload {id} is for {upload.path!r}. Complete it under that path.")


async def presigned(call: Call) -> Response:
    """Bytes come from this server, which gives ranges of them; there is no other place to send a client to."""
    file_path(call.path["path"])
    return reply({"error_code": "NOT_IMPLEMENTED", "message": f"{_NO_PRESIGNED}. Download it from this server."}, 501)


def endpoints(uploads: Uploads) -> list[Endpoint]:
    handlers = PartHandlers(uploads)
    return [
        Endpoint("PUT", f"{_MPU}/part/{{token}}/{{number}}", handlers.part, public=True),
        Endpoint("POST", f"{_MPU}/create/{{path:path}}", handlers.create),
        Endpoint("POST", f"{_MPU}/complete/{{path:path}}", handlers.complete),
        Endpoint("POST", f"{_MPU}/abort/{{path:path}}", handlers.abort),
        Endpoint("GET", "/api/2.0/mlflow-artifacts/presigned/{path:path}", presigned),
    ]


def _target(call: Call, path: str) -> str:
    """Where the file goes: the folder in the URL and the name of the file on the client's machine."""
    if not path:
        raise InvalidInput("Missing value for required parameter 'path'. Name the file.")
    return file_path(join(safe_path(call.path["path"]), base_name(path)))


def _own_url(call: Call) -> str:
    """This server as the caller reaches it. What a proxy says of it reaches only the caller, who could have said it too."""
    headers = call.headers
    scheme = "https" if headers.get("x-forwarded-proto", "").partition(",")[0].strip() == "https" else "http"
    host = headers.get("x-forwarded-host", "").partition(",")[0].strip() or headers.get("host", "")
    prefix = headers.get("x-forwarded-prefix", "").rstrip("/")
    return f"{scheme}://{host}{prefix}"
