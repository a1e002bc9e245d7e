"""The paths under /v2 that Open Inference Protocol clients call."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response
from starlette.routing import Route

from twinloop.control.gateway.service import Gateway
from twinloop.control.releases.answers import PredictAnswer
from twinloop.control.releases.model import Traffic
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.protocols.http import Call, reply, route
from twinloop.protocols.open_inference import translate
from twinloop.protocols.open_inference.errors import OPEN_INFERENCE
from twinloop.protocols.open_inference.wire import ModelMetadata, ModelReady, ServerMetadata
from twinloop.version import __version__

_LENGTH_HEADER = "inference-header-content-length"


def routes(gateway: Gateway, ready: Callable[[], bool]) -> list[Route]:
    """Server and model metadata, readiness, and inference on the gateway's predict endpoints.

    ``ready`` tells whether everything live is loaded.
    """

    async def server(call: Call) -> ServerMetadata:
        """Name, version and extensions of the server."""
        return ServerMetadata("twinloop", __version__, ["binary_tensor_data"])

    async def live(call: Call) -> dict[str, bool]:
        """The server answers."""
        return {"live": True}

    async def readiness(call: Call) -> Response:
        """Everything live is loaded: 200, or 503 while it is not."""
        return reply({"ready": ready(), "live": True}, 200 if ready() else 503)

    async def metadata(call: Call) -> ModelMetadata:
        """Inputs, outputs and versions of a predict endpoint."""
        traffic = _predict_endpoint(gateway, call)
        described = await gateway.metadata(call.who, traffic.endpoint)
        return translate.model_metadata(traffic.endpoint, _versions(traffic), described)

    async def model_ready(call: Call) -> ModelReady:
        """Whether a predict endpoint can answer."""
        traffic = _predict_endpoint(gateway, call)
        return ModelReady(traffic.endpoint, True)

    async def infer(call: Call) -> Response:
        """Predict with tensors, as JSON or binary."""
        if call.headers.get("content-encoding", "identity") != "identity":
            raise InvalidInput("The body is compressed, which this path does not take. Send it uncompressed.")
        parsed = translate.parse_body(await call.body(), call.headers.get(_LENGTH_HEADER))
        traffic = _predict_endpoint(gateway, call)
        described = await gateway.metadata(call.who, traffic.endpoint)
        translate.check_outputs(parsed.request, described)
        asked = call.path.get("version")
        answer = await gateway.answer(
            call.who,
            traffic.endpoint,
            translate.predict_request(parsed, described),
            number=None if asked is None else int(asked),
        )
        assert isinstance(answer.value, PredictAnswer)
        answered = translate.Answered(
            model=traffic.endpoint,
            version=_number(answer.release),
            answer=answer.value,
            parameters={"twinloop_release": answer.release, "twinloop_trace": answer.trace_id},
        )
        encoded = translate.inference_response(parsed.request, described, answered)
        headers = {"x-twinloop-release": answer.release, "x-twinloop-trace": answer.trace_id}
        if encoded.json_length is None:
            return Response(encoded.body, headers=headers, media_type="application/json")
        headers[_LENGTH_HEADER] = str(encoded.json_length)
        return Response(encoded.body, headers=headers, media_type="application/octet-stream")

    model = "/v2/models/{name:path}"
    version = model + "/versions/{version}"
    return [
        route(OPEN_INFERENCE, "GET", "/v2", server, public=True),
        route(OPEN_INFERENCE, "GET", "/v2/", server, public=True),
        route(OPEN_INFERENCE, "GET", "/v2/health/live", live, public=True),
        route(OPEN_INFERENCE, "GET", "/v2/health/ready", readiness, public=True),
        *(route(OPEN_INFERENCE, "POST", f"{path}/infer", infer) for path in (version, model)),
        *(route(OPEN_INFERENCE, "GET", f"{path}/ready", model_ready) for path in (version, model)),
        *(route(OPEN_INFERENCE, "GET", path, metadata) for path in (version, model)),
    ]


def _predict_endpoint(gateway: Gateway, call: Call) -> Traffic:
    """The endpoint that the path names. Raises NotFound when it, or the version asked for, does not answer."""
    name: str = call.path["name"]
    for row in gateway.endpoints(call.who, "predict"):
        if row.traffic.endpoint == name:
            translate.check_version(name, call.path.get("version"), _versions(row.traffic))
            return row.traffic
    raise NotFound(f"There is no predict endpoint {name[:80]!r}. List what there is with: twinloop status")


def _versions(traffic: Traffic) -> list[str]:
    return [str(number) for number in (traffic.live, traffic.canary) if number is not None]


def _number(release: str) -> str:
    return release.rpartition("@")[2]
