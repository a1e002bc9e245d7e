"""Traces by OTLP into, and searches of traces in, a server that speaks MLflow's protocol: Twinloop or ``mlflow server``.

The same functions drive both. Bodies are made before the clock starts.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Sequence

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from benchmarks.wire import THREADS, Refused, Wire, decode, encode, experiment, median_seconds, rate

SPANS = 5
RARE = "rerank_documents"
"""The name of a span that one trace in a hundred has."""

_SEARCH = "/api/3.0/mlflow/traces/search"
_START_NS = 1_760_000_000_000_000_000
_NAMES = ("answer_question", "embed_query", "search_index", "build_prompt", "call_model")
COMMON = _NAMES[1]
"""The name of a span that every trace has."""
_TYPES = ("CHAIN", "EMBEDDING", "RETRIEVER", "UNKNOWN", "CHAT_MODEL")


def bodies(requests: int, traces: int, spans: int = SPANS, seed: int | None = None) -> list[bytes]:
    """OTLP requests of ``traces`` traces each. Without a seed their ids are new, so that a server can be measured again."""
    chance = random.Random(seed)
    return [_body(chance, range(number * traces, (number + 1) * traces), spans) for number in range(requests)]


def _body(chance: random.Random, numbers: Sequence[int], spans: int) -> bytes:
    request = ExportTraceServiceRequest()
    into = request.resource_spans.add().scope_spans.add().spans
    for number in numbers:
        trace_id = chance.randbytes(16)
        root = chance.randbytes(8)
        began = _START_NS + number * 1_000_000
        for position in range(spans):
            span = into.add(trace_id=trace_id, name=_NAMES[position % len(_NAMES)])
            span.span_id = root if position == 0 else chance.randbytes(8)
            if position:
                span.parent_span_id = root
            if position == spans - 1 and number % 100 == 0:
                span.name = RARE
            span.start_time_unix_nano = began + position * 10_000
            span.end_time_unix_nano = began + (400_000 if position == 0 else position * 10_000 + 50_000)
            span.status.code = Status.STATUS_CODE_OK
            for key, value in _attributes(position, number).items():
                span.attributes.add(key=key).value.string_value = value
            span.attributes.add(key="attempt").value.int_value = 1
    return request.SerializeToString()


def _attributes(position: int, number: int) -> dict[str, str]:
    """What MLflow's decorator writes on a span: inputs, outputs, the type and the function's name."""
    return {
        "mlflow.spanType": _TYPES[position % len(_TYPES)],
        "mlflow.spanFunctionName": _NAMES[position % len(_NAMES)],
        "mlflow.spanInputs": f'{{"question": "What was decided in meeting {number}?", "limit": {position}}}',
        "mlflow.spanOutputs": f'{{"answer": "Nothing was decided in meeting {number}, {"and so on " * 8}"}}',
    }


def ingest(base: str, prepared: Sequence[bytes], threads: int = THREADS) -> float:
    """OTLP requests a second, from ``threads`` threads with a connection each."""
    made = experiment(base)
    return rate(base, len(prepared), lambda wire, number: _send(wire, made, prepared[number]), threads)


def _send(wire: Wire, experiment_id: str, body: bytes) -> None:
    """One OTLP request. Raises Refused unless the server took every span."""
    wire.post("/v1/traces", body, "application/x-protobuf", f"x-mlflow-experiment-id: {experiment_id}\r\n")


def one_a_request(base: str, count: int = 4000, seed: int | None = None) -> float:
    """Traces of five spans a second, one in each request."""
    return ingest(base, bodies(count, 1, seed=seed))


def fifty_a_request(base: str, count: int = 400, seed: int | None = None) -> float:
    """Traces of five spans a second, fifty in each request."""
    return 50 * ingest(base, bodies(count, 50, seed=seed))


def fill(base: str, count: int = 10_000, seed: int | None = None) -> str:
    """The id of a new experiment with ``count`` traces, every hundredth with a span named ``RARE``."""
    made = experiment(base)
    with Wire(base) as wire:
        for batch in bodies(math.ceil(count / 50), 50, seed=seed):
            _send(wire, made, batch)
    return made


def search_seconds(
    base: str, experiment_id: str, expected: int, name: str = RARE, times: int = 7, patience_s: float = 300
) -> float:
    """The median time of a search for the newest 100 traces with a span of this name, in seconds.

    Raises:
        TimeoutError: an answer takes longer than ``patience_s``.
    """
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}}
    asked = encode({"locations": [location], "filter": f"span.name = '{name}'", "max_results": 100})
    with Wire(base, patience_s) as wire:
        found = len(decode(wire.post(_SEARCH, asked)).get("traces", ()))
        if found != expected:
            raise Refused(f"the search found {found} traces, not {expected}")
        return median_seconds(lambda: wire.post(_SEARCH, asked), times)


class Figures(msgspec.Struct):
    """What one server did; rates are traces a second, times are seconds."""

    one_a_request: float
    fifty_a_request: float
    search_rare: float
    search_common: float


def measure(base: str, scale: float = 1, traces: int = 10_000) -> Figures:
    """All rows against one server."""
    filled = fill(base, traces)
    return Figures(
        search_rare=search_seconds(base, filled, min(100, math.ceil(traces / 100))),
        search_common=search_seconds(base, filled, min(100, traces), COMMON),
        one_a_request=one_a_request(base, round(4000 * scale)),
        fifty_a_request=fifty_a_request(base, round(400 * scale)),
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--scale", type=float, default=1.0, help="how many requests, as a multiple of the usual")
    parser.add_argument("--traces", type=int, default=10_000, help="how many traces to search among")
    given = parser.parse_args(arguments)
    for name, figure in msgspec.structs.asdict(measure(given.url, given.scale, given.traces)).items():
        print(f"{name:<16} {figure:>12,.4f}" if figure < 10 else f"{name:<16} {figure:>12,.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
