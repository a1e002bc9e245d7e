"""Handlers of the second version of ``traces/…``, which older clients speak."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twinloop.control.tracing import info
from twinloop.control.tracing.info import key_of
from twinloop.control.tracing.infos import TraceInfos, numbers
from twinloop.core.ids import new_trace_id
from twinloop.protocols.http import Call
from twinloop.protocols.mlflow import traces_translate as translate
from twinloop.protocols.mlflow import traces_wire as wire
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.request import read

Json = dict[str, Any]
_PREFIX = "/api/2.0/mlflow/traces"


class TraceV2Handlers:
    """One method per endpoint."""

    def __init__(self, infos: TraceInfos) -> None:
        self._infos = infos

    async def start(self, call: Call) -> Json:
        """Begin a trace under an id of the server's."""
        request = await read(call, wire.StartTraceV2)
        told = info.TraceInfo(
            trace_id=new_trace_id(),
            experiment=numbers([str(translate.required(request.experiment_id, "experiment_id"))])[0],
            request_ms=translate.integer(request.timestamp_ms, "timestamp_ms"),
            state="IN_PROGRESS",
            tags=_pairs(request.tags, "tags"),
            metadata=_pairs(request.request_metadata, "request_metadata"),
        )
        return {"trace_info": translate.info_v2_json(await self._infos.start(call.who, told, final=False))}

    async def end(self, call: Call) -> Json:
        """Say when a trace ended and how."""
        request = await read(call, wire.EndTraceV2)
        found = await self._infos.end(
            call.who,
            key_of(call.path["request_id"]),
            translate.integer(request.timestamp_ms, "timestamp_ms"),
            translate.status_v2(request.status),
            _pairs(request.request_metadata, "request_metadata"),
            _pairs(request.tags, "tags"),
        )
        return {"trace_info": translate.info_v2_json(found)}

    async def get(self, call: Call) -> Json:
        """What is known of a trace."""
        found = await self._infos.get(call.who, key_of(call.path["request_id"]))
        return {"trace_info": translate.info_v2_json(found)}

    async def search(self, call: Call) -> Json:
        """Traces of experiments, narrowed by a filter."""
        request = await read(call, wire.SearchTracesV2)
        page = await self._infos.search(
            call.who,
            numbers(translate.required(request.experiment_ids, "experiment_ids")),
            request.filter,
            request.order_by,
            translate.page_size(request.max_results),
            request.page_token or None,
        )
        return translate.page_json(page, translate.info_v2_json)


def _pairs(given: Sequence[wire.Pair], name: str) -> dict[str, str]:
    return {translate.required(pair.key, f"{name}.key"): pair.value for pair in given}


def endpoints(infos: TraceInfos) -> list[Endpoint]:
    handlers = TraceV2Handlers(infos)
    return [
        Endpoint("POST", _PREFIX, handlers.start),
        Endpoint("GET", _PREFIX, handlers.search),
        Endpoint("PATCH", f"{_PREFIX}/{{request_id}}", handlers.end),
        Endpoint("GET", f"{_PREFIX}/{{request_id}}/info", handlers.get),
    ]
