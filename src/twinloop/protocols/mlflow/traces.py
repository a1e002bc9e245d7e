"""Handlers of ``traces/…``: what MLflow 3's clients ask of traces."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
from starlette.responses import Response

from twinloop.control.artifacts.service import Artifacts
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import Principal
from twinloop.control.tracing import info
from twinloop.control.tracing.info import Whole, client_id, key_of
from twinloop.control.tracing.infos import numbers
from twinloop.control.tracing.model import TraceLink
from twinloop.control.tracing.service import Tracing
from twinloop.control.tracing.tags import LOCATION
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.protocols.http import Call
from twinloop.protocols.mlflow import traces_translate as translate
from twinloop.protocols.mlflow import traces_wire as wire
from twinloop.protocols.mlflow.artifacts import send_file
from twinloop.protocols.mlflow.artifacts_translate import file_path, place_of
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.request import read
from twinloop.protocols.mlflow.spans_translate import span_file, span_proto

Json = dict[str, Any]
_V2, _V3 = "/api/2.0/mlflow", "/api/3.0/mlflow"
_PATIENCE_S = 3.0
_PAUSE_S = 0.2
_SYSTEM_TAGS = ("mlflow.trace.spansLocation", "mlflow.trace.archiveLocation", "mlflow.trace.archivalFailure")


class TraceHandlers:
    """One method per endpoint: decode, call one verb, encode."""

    def __init__(self, tracing: Tracing, artifacts: Artifacts, registry: Registry) -> None:
        self._tracing = tracing
        self._infos = tracing.infos
        self._artifacts = artifacts
        self._registry = registry

    async def start(self, call: Call) -> Json:
        """Say what a trace is; its spans come by OTLP, before or after."""
        request = await read(call, wire.StartTrace)
        if request.trace is None:
            translate.required(None, "trace")
        told = translate.told(request.trace.trace_info, self._tracing.assessments.now())  # type: ignore[union-attr]
        return {"trace": {"trace_info": translate.info_json(await self._infos.start(call.who, told))}}

    async def get_info(self, call: Call) -> Json:
        """What is known of a trace."""
        found = await self._infos.get(call.who, key_of(call.path["trace_id"]))
        return {"trace": {"trace_info": translate.info_json(found)}}

    async def get(self, call: Call) -> Json:
        """A trace with its spans; waits a little for spans that were announced and are not there."""
        request = await read(call, wire.GetTrace)
        trace_id = translate.required(request.trace_id, "trace_id")
        return {"trace": trace_json(await self._whole(call.who, trace_id, _flag(request.allow_partial)))}

    async def _whole(self, who: Principal, trace_id: str, partial: bool) -> Whole:
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                found = await self._infos.whole(who, key_of(trace_id))
            except NotFound as error:
                raise NotFound(
                    f"Trace with ID {trace_id[:100]} is not found. Search the traces to see their ids."
                ) from error
            if partial or is_complete(found):
                return found
            if time.monotonic() > until:
                raise NotFound(f"Trace with ID {trace_id[:100]} is not fully exported yet, please try again later.")
            await asyncio.sleep(_PAUSE_S)

    async def batch(self, call: Call) -> Json:
        """Traces with their spans; what is not there, or not complete, is left out."""
        request = await self._ids(call)
        found = await self._infos.wholes(call.who, *request)
        traces = [trace_json(item) for item in found if item.spans and is_complete(item)]
        return {"traces": traces} if traces else {}

    async def batch_infos(self, call: Call) -> Json:
        """What is known of traces."""
        found = [translate.info_json(item) for item in await self._infos.many(call.who, *await self._ids(call))]
        return {"trace_infos": found} if found else {}

    async def _ids(self, call: Call) -> tuple[list[str], list[int] | None]:
        request = await read(call, wire.TraceIds)
        keys = [key_of(id) for id in translate.required(request.trace_ids, "trace_ids")]
        return keys, None if request.experiment_ids is None else numbers(request.experiment_ids)

    async def search(self, call: Call) -> Json:
        """Traces of experiments, narrowed by a filter."""
        request = await read(call, wire.SearchTraces)
        page = await self._infos.search(
            call.who,
            translate.experiments_of(translate.required(request.locations, "locations")),
            request.filter,
            request.order_by,
            translate.page_size(request.max_results),
            request.page_token or None,
        )
        return translate.page_json(page, translate.info_json)

    async def delete(self, call: Call) -> Json:
        """Delete traces by id, or those begun up to a time."""
        request = await read(call, wire.DeleteTraces)
        deleted = await self._infos.delete(
            call.who,
            str(translate.required(request.experiment_id, "experiment_id")),
            [key_of(id) for id in request.request_ids],
            translate.optional(request.max_timestamp_millis, "max_timestamp_millis"),
            translate.optional(request.max_traces, "max_traces"),
        )
        return {"traces_deleted": deleted}

    async def set_tag(self, call: Call) -> Json:
        """Set one tag of a trace."""
        request = await read(call, wire.Pair)
        name = _tag(request.key, "set")
        await self._infos.set_tag(call.who, key_of(call.path["trace_id"]), name, request.value)
        return {}

    async def delete_tag(self, call: Call) -> Json:
        """Remove one tag of a trace."""
        request = await read(call, wire.Pair)
        await self._infos.delete_tag(call.who, key_of(call.path["trace_id"]), _tag(request.key, "deleted"))
        return {}

    async def link_run(self, call: Call) -> Json:
        """Say that traces belong to a run."""
        request = await read(call, wire.LinkToRun)
        keys = [key_of(id) for id in translate.required(request.trace_ids, "trace_ids")]
        await self._infos.link_run(call.who, keys, translate.required(request.run_id, "run_id"))
        return {}

    async def link_prompts(self, call: Call) -> Json:
        """Say which versions of prompts a trace used."""
        request = await read(call, wire.LinkPrompts)
        key = key_of(translate.required(request.trace_id, "trace_id"))
        prompts = translate.required(request.prompt_versions, "prompt_versions")
        parents = []
        for prompt in prompts:
            found = await self._registry.find(call.who, f"prompt/{prompt.name}@{prompt.version}")
            if found is not None:
                parents.append(TraceLink("prompted_by", found.digest))
        await self._infos.link_prompts(call.who, key, [f"{p.name}/{p.version}" for p in prompts], parents)
        return {}

    async def correlate(self, call: Call) -> Json:
        """How strongly two filters go together."""
        request = await read(call, wire.Correlate)
        for name in ("experiment_ids", "filter_string1", "filter_string2"):
            translate.required(getattr(request, name), name)
        found = await self._infos.correlate(
            call.who,
            numbers(request.experiment_ids),
            request.filter_string1,
            request.filter_string2,
            request.base_filter,
        )
        return translate.correlation_json(found)

    async def metrics(self, call: Call) -> Json:
        """Aggregates over traces, spans or assessments."""
        request = await read(call, wire.Metrics)
        points = await self._tracing.measure(call.who, translate.question(request))
        return translate.points_json(request.metric_name, points)

    async def artifact(self, call: Call) -> Response:
        """The spans of a trace as a file, or, with ``path``, something attached to it."""
        request = await read(call, wire.Artifact)
        if not request.request_id:
            raise InvalidInput('Request must include the "request_id" query parameter.')
        found = await self._infos.whole(call.who, key_of(request.request_id))
        if request.path:
            return await self._file(call, found.info, f"attachments/{file_path(request.path)}")
        if not found.spans:
            return await self._file(call, found.info, "traces.json")
        data = msgspec.json.encode({"spans": [span_file(span) for span in found.spans]})
        headers = {"content-disposition": "attachment; filename=traces.json"}
        return Response(data, headers=headers, media_type="application/json")

    async def _file(self, call: Call, found: info.TraceInfo, path: str) -> Response:
        location = found.tags.get(LOCATION)
        if location is None:
            raise NotFound(f"Trace with ID '{client_id(found.trace_id)}' has no place for files.")
        return await send_file(call, self._artifacts, f"{place_of(location)}/{path}")


def is_complete(found: Whole) -> bool:
    """Whether as many spans are here as the client said there are."""
    try:
        stats = msgspec.json.decode(found.info.metadata.get(info.SIZE_STATS, "{}"))
        announced = stats.get("num_spans", 0) if isinstance(stats, dict) else 0
    except msgspec.DecodeError:
        return True
    return not isinstance(announced, int) or len(found.spans) >= announced


def trace_json(found: Whole) -> Json:
    answer: Json = {"trace_info": translate.info_json(found.info)}
    return {**answer, "spans": [span_proto(span) for span in found.spans]} if found.spans else answer


def _tag(key: str, operation: str) -> str:
    translate.required(key, "key")
    if key in _SYSTEM_TAGS and not (operation == "deleted" and key == _SYSTEM_TAGS[-1]):
        raise InvalidInput(f"Tag '{key}' is immutable and cannot be {operation} on a trace.")
    return key


def _flag(value: bool | str) -> bool:
    if isinstance(value, bool):
        return value
    if value.lower() not in ("true", "false"):
        raise InvalidInput(f"Invalid boolean value: {value[:60]}, must be 'true' or 'false'.")
    return value.lower() == "true"


def endpoints(tracing: Tracing, artifacts: Artifacts, registry: Registry) -> list[Endpoint]:
    """What MLflow 3 offers on traces."""
    handlers = TraceHandlers(tracing, artifacts, registry)
    one = "traces/{trace_id}"
    return [
        Endpoint("POST", f"{_V3}/traces", handlers.start),
        Endpoint("POST", f"{_V3}/traces/search", handlers.search),
        Endpoint("GET", f"{_V3}/traces/get", handlers.get),
        Endpoint("GET", f"{_V3}/traces/batchGet", handlers.batch),
        Endpoint("POST", f"{_V3}/traces/batchGetInfos", handlers.batch_infos),
        Endpoint("POST", f"{_V3}/traces/metrics", handlers.metrics),
        Endpoint("POST", f"{_V3}/traces/calculate-filter-correlation", handlers.correlate),
        Endpoint("GET", f"{_V3}/{one}", handlers.get_info),
        Endpoint("POST", f"{_V2}/traces/link-to-run", handlers.link_run),
        Endpoint("POST", f"{_V2}/traces/link-prompts", handlers.link_prompts),
        *(
            Endpoint(method, f"{version}/{path}", handler)
            for version in (_V2, _V3)
            for method, path, handler in (
                ("POST", "traces/delete-traces", handlers.delete),
                ("PATCH", f"{one}/tags", handlers.set_tag),
                ("DELETE", f"{one}/tags", handlers.delete_tag),
            )
        ),
        Endpoint("GET", "/ajax-api/2.0/mlflow/get-trace-artifact", handlers.artifact),
        Endpoint("GET", "/ajax-api/3.0/mlflow/get-trace-artifact", handlers.artifact),
    ]
