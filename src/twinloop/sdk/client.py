"""The client: every verb of Twinloop for a Python program, over HTTP or in the same process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from twinloop.core import errors
from twinloop.core.errors import TwinloopError, UpstreamError
from twinloop.sdk.transports import Answered, Content, Transport, target_of

if TYPE_CHECKING:
    from twinloop.sdk.artifacts import Artifacts
    from twinloop.sdk.blobs import Blobs
    from twinloop.sdk.chat import Chat
    from twinloop.sdk.data import Data
    from twinloop.sdk.documents import Documents
    from twinloop.sdk.endpoints import Endpoints
    from twinloop.sdk.evidence import EvidenceArea
    from twinloop.sdk.features import Features
    from twinloop.sdk.indexes import Indexes
    from twinloop.sdk.lineage import Lineage
    from twinloop.sdk.models import Models
    from twinloop.sdk.pipelines import Pipelines
    from twinloop.sdk.prompts import Prompts
    from twinloop.sdk.registry import Registry
    from twinloop.sdk.revisions import Revisions
    from twinloop.sdk.runs import Runs
    from twinloop.sdk.traces import Traces
    from twinloop.sdk.webhooks import Webhooks

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


def _error_classes() -> dict[str, type[TwinloopError]]:
    found: dict[str, type[TwinloopError]] = {}
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, TwinloopError) and value is not errors.MissingDependency:
            found[value.code] = value
    return found


_ERRORS = _error_classes()
_NOT_MODIFIED = 304
_BETWEEN: dict[int, type[TwinloopError]] = {
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    413: errors.PayloadTooLarge,
    502: errors.Unavailable,
    503: errors.Unavailable,
    504: errors.Unavailable,
}
"""What a proxy between here and the server means by its answers, which say nothing that we read."""


class ApiError(TwinloopError):
    """The server answered with an error that has no class of its own here; ``code`` is the server's word for it."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]


class Client:
    """Talks to one Twinloop. Verbs are grouped by what they are about: ``client.endpoints.release(…)``.

    Safe for use by many threads. Close it, or use it as a context manager.
    """

    def __init__(self, transport: Transport, key: str = "", url: str = "") -> None:
        self._transport = transport
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self.url = url
        """Where this client's Twinloop listens; empty when it is in this process."""

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def call(
        self,
        method: str,
        path: str,
        json: Any = None,
        query: Mapping[str, Any] | None = None,
        content: Content | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send one request and return its decoded JSON (None when the answer is empty).

        Raises:
            TwinloopError: the class that fits the server's error code.
        """
        answered = self.send(method, path, json, query, content, headers)
        data = b"".join(answered.body)
        try:
            return _decoder.decode(data) if data else None
        except msgspec.DecodeError:
            text = data[:200].decode(errors="replace")
            raise UpstreamError(f"The answer is no JSON but {text!r}. Is it a Twinloop?") from None

    def stream(
        self, method: str, path: str, json: Any = None, query: Mapping[str, Any] | None = None
    ) -> Iterator[bytes]:
        """Send one request and yield the bytes of its answer as they come."""
        yield from self.send(method, path, json, query).body

    def events(self, method: str, path: str, json: Any = None) -> Iterator[dict[str, Any]]:
        """Send one request and yield the JSON of each server-sent event. An event that says ``error`` is raised."""
        pending = b""
        for chunk in self.stream(method, path, json):
            pending += chunk
            *whole, pending = pending.split(b"\n\n")
            for event in whole:
                value = _decoder.decode(event.removeprefix(b"data: "))
                if "error" in value:
                    raise _error(value["error"])
                yield value

    def send(
        self,
        method: str,
        path: str,
        json: Any = None,
        query: Mapping[str, Any] | None = None,
        content: Content | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        """Send one request; like ``call``, with headers and undecoded body."""
        sent = {**self._headers, **(headers or {})}
        if json is not None:
            content = _encoder.encode(json)
            sent["content-type"] = "application/json"
        answered = self._transport.send(method, target_of(path, query), sent, content)
        if answered.status >= 300 and answered.status != _NOT_MODIFIED:
            raise _error_of(answered)
        return answered

    def status(self) -> dict[str, Any]:
        """What this Twinloop is and holds."""
        return self.call("GET", "/api/v1/status")

    @cached_property
    def revisions(self) -> Revisions:
        return _area(self, "revisions", "Revisions")

    @cached_property
    def registry(self) -> Registry:
        return _area(self, "registry", "Registry")

    @cached_property
    def blobs(self) -> Blobs:
        return _area(self, "blobs", "Blobs")

    @cached_property
    def artifacts(self) -> Artifacts:
        return _area(self, "artifacts", "Artifacts")

    @cached_property
    def endpoints(self) -> Endpoints:
        return _area(self, "endpoints", "Endpoints")

    @cached_property
    def traces(self) -> Traces:
        return _area(self, "traces", "Traces")

    @cached_property
    def lineage(self) -> Lineage:
        return _area(self, "lineage", "Lineage")

    @cached_property
    def runs(self) -> Runs:
        return _area(self, "runs", "Runs")

    @cached_property
    def pipelines(self) -> Pipelines:
        return _area(self, "pipelines", "Pipelines")

    @cached_property
    def data(self) -> Data:
        return _area(self, "data", "Data")

    @cached_property
    def features(self) -> Features:
        return _area(self, "features", "Features")

    @cached_property
    def models(self) -> Models:
        return _area(self, "models", "Models")

    @cached_property
    def evidence(self) -> EvidenceArea:
        return _area(self, "evidence", "EvidenceArea")

    @cached_property
    def documents(self) -> Documents:
        return _area(self, "documents", "Documents")

    @cached_property
    def indexes(self) -> Indexes:
        return _area(self, "indexes", "Indexes")

    @cached_property
    def prompts(self) -> Prompts:
        return _area(self, "prompts", "Prompts")

    @cached_property
    def webhooks(self) -> Webhooks:
        return _area(self, "webhooks", "Webhooks")

    @cached_property
    def chat(self) -> Chat:
        return _area(self, "chat", "Chat")


def _area(client: Client, module: str, name: str) -> Any:
    """An area's module is imported when it is first used, so that importing Twinloop stays quick."""
    make: Callable[[Client], Any] = getattr(import_module(f"twinloop.sdk.{module}"), name)
    return make(client)


def _error_of(answered: Answered) -> TwinloopError:
    data = b"".join(answered.body)
    if answered.status < 400:
        place = answered.headers.get("location", "another place")
        return UpstreamError(f"The server sends its callers on to {place[:300]}. Give that as the URL.")
    if not data and answered.status == 404:
        return errors.NotFound("There is nothing there.")
    try:
        said = _decoder.decode(data)
        if "error_code" in said:  # on a path of MLflow's protocol
            return ApiError(str(said["message"]), str(said["error_code"]))
        return _error(said["error"])
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        text = data[:200].decode(errors="replace")
        kind = _BETWEEN.get(answered.status, UpstreamError)
        return kind(f"The server answered {answered.status} without saying why: {text!r}. Is it a Twinloop?")


def _error(body: Mapping[str, Any]) -> TwinloopError:
    code, message = str(body.get("code", "")), str(body.get("message", ""))
    known = _ERRORS.get(code)
    return ApiError(message, code) if known is None else known(message)
