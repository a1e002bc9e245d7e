"""Handlers of ``metrics/…``: histories, of which the longest are written outside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from twinloop.control.tracking.model import Metric
from twinloop.control.tracking.service import Tracking
from twinloop.core.errors import InvalidInput
from twinloop.protocols.http import Call, reply
from twinloop.protocols.mlflow import translate, wire
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.request import read

_PREFIX = "/api/2.0/mlflow"
_RUNS = 100
_BULK = 25_000
_SAMPLE = 2500
_LONG = 2000

Series = Sequence[tuple[str | None, Sequence[Metric]]]


class MetricHandlers:
    """One method per endpoint: decode, call one verb, encode."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking

    async def history(self, call: Call) -> Response:
        """Every point of one metric."""
        request = await read(call, wire.MetricHistory)
        run_id, token = translate.run_id(request), request.page_token or None
        limit = {} if request.max_results is None else {"limit": request.max_results}
        page = await self._tracking.history(call.who, run_id, request.metric_key, token=token, **limit)
        rest = {} if page.next is None else {"next_page_token": page.next}
        return await _reply([(None, page.items)], rest)

    async def bulk(self, call: Call) -> Response:
        """Points of one metric of several runs."""
        request = await read(call, wire.HistoryBulk)
        if not request.run_id:
            raise InvalidInput("GetMetricHistoryBulk request must specify at least one run_id.")
        if len(request.run_id) > _RUNS:
            raise InvalidInput(
                f"GetMetricHistoryBulk request cannot specify more than {_RUNS} run_ids. "
                f"Received {len(request.run_id)} run_ids."
            )
        if request.metric_key is None:
            raise InvalidInput("GetMetricHistoryBulk request must specify a metric_key.")
        most = max(0, min(request.max_results, _BULK))
        found = await self._tracking.histories(call.who, request.run_id, request.metric_key, most)
        return await _reply(found, {"metrics": []})

    async def sample(self, call: Call) -> Response:
        """Points of one metric of several runs, evenly spread."""
        request = await read(call, wire.HistorySample)
        if len(request.run_ids) > _RUNS:
            raise InvalidInput(
                f"GetMetricHistoryBulkInterval request must specify at most {_RUNS} run_ids. "
                f"Received {len(request.run_ids)} run_ids."
            )
        if not 1 <= request.max_results <= _SAMPLE:
            raise InvalidInput(f"max_results must be between 1 and {_SAMPLE}.")
        first, last = request.start_step, request.end_step
        if (first is None) != (last is None):
            raise InvalidInput("If either start step or end step are specified, both must be specified.")
        steps = None if first is None or last is None else (first, last)
        if steps is not None and steps[0] > steps[1]:
            raise InvalidInput(
                f"end_step must be greater than start_step. Found start_step={first} and end_step={last}."
            )
        asked = (request.run_ids, request.metric_key, request.max_results, steps)
        return await _reply(await self._tracking.samples(call.who, *asked))


async def _reply(series: Series, rest: dict[str, Any] | None = None) -> Response:
    def answer() -> Response:
        points = [point for run_id, mine in series for point in translate.points_json(mine, run_id)]
        return reply((rest or {}) | ({"metrics": points} if points else {}))

    if sum(len(mine) for _, mine in series) < _LONG:
        return answer()
    return await asyncio.to_thread(answer)


def endpoints(tracking: Tracking) -> list[Endpoint]:
    """What MLflow offers on the points of metrics."""
    handlers = MetricHandlers(tracking)
    return [
        Endpoint("GET", f"{_PREFIX}/metrics/get-history", handlers.history),
        Endpoint("GET", f"{_PREFIX}/metrics/get-history-bulk", handlers.bulk),
        Endpoint("GET", f"{_PREFIX}/metrics/get-history-bulk-interval", handlers.sample),
    ]
