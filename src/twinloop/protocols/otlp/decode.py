"""The two encodings of an export request, read into one form."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from twinloop.core.errors import InvalidInput
from twinloop.protocols.otlp import wire

_DEPTH = 32


class RawSpan(NamedTuple):
    """A span as it was sent: ids are hex of any length; ``extra`` holds what Span has no field for."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    start_ns: int
    end_ns: int
    status: int
    message: str
    attributes: dict[str, Any]
    events: list[tuple[str, int, dict[str, Any]]]
    extra: dict[str, Any]


def from_protobuf(data: bytes) -> Iterator[RawSpan]:
    """Raises InvalidInput when ``data`` is not a whole ExportTraceServiceRequest."""
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    try:
        request = ExportTraceServiceRequest.FromString(data)
    except DecodeError as error:
        raise InvalidInput(
            "The body is not a whole ExportTraceServiceRequest in protobuf. Check what the exporter sends."
        ) from error
    for resource_spans in request.resource_spans:
        resource = _proto_map(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            shared = _shared(resource, _proto_scope(scope_spans.scope))
            for span in scope_spans.spans:
                yield _proto_span(span, shared)


def _proto_span(span: Any, shared: dict[str, Any]) -> RawSpan:
    links = [
        _link(link.trace_id.hex(), link.span_id.hex(), link.trace_state, _proto_map(link.attributes))
        for link in span.links
    ]
    status = span.status
    # Positional: with names it takes half as long again.
    return RawSpan(
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.name,
        span.kind,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        status.code,
        status.message,
        _proto_map(span.attributes),
        [(event.name, event.time_unix_nano, _proto_map(event.attributes)) for event in span.events],
        _extra(shared, span.trace_state, links),
    )


def _proto_scope(scope: Any) -> dict[str, Any]:
    return _scope(scope.name, scope.version, _proto_map(scope.attributes))


def _proto_map(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: _proto_value(pair.value) for pair in pairs}


def _proto_value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "string_value":  # nearly all are, and this runs for every attribute
        return value.string_value
    match kind:
        case None:
            return None
        case "double_value":
            return _double(value.double_value)
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode()
        case "array_value":
            return [_proto_value(item) for item in value.array_value.values]
        case "kvlist_value":
            return _proto_map(value.kvlist_value.values)
        case plain:
            return getattr(value, plain, None)


def from_json(request: wire.ExportRequest) -> Iterator[RawSpan]:
    """Raises InvalidInput when a number is not one or values are nested too deep."""
    for resource_spans in request.resource_spans:
        resource = _json_map(resource_spans.resource.attributes) if resource_spans.resource else {}
        for scope_spans in resource_spans.scope_spans:
            scope = scope_spans.scope
            shared = _shared(resource, _scope(scope.name, scope.version, _json_map(scope.attributes)) if scope else {})
            for span in scope_spans.spans:
                yield _json_span(span, shared)


def _json_span(span: wire.Span, shared: dict[str, Any]) -> RawSpan:
    status = span.status or wire.Status()
    links = [
        _link(link.trace_id.lower(), link.span_id.lower(), link.trace_state, _json_map(link.attributes))
        for link in span.links
    ]
    return RawSpan(
        trace_id=span.trace_id.lower(),
        span_id=span.span_id.lower(),
        parent_id=span.parent_span_id.lower(),
        name=span.name,
        kind=span.kind,
        start_ns=_integer(span.start_time_unix_nano),
        end_ns=_integer(span.end_time_unix_nano),
        status=status.code,
        message=status.message,
        attributes=_json_map(span.attributes),
        events=[(event.name, _integer(event.time_unix_nano), _json_map(event.attributes)) for event in span.events],
        extra=_extra(shared, span.trace_state, links),
    )


def _json_map(pairs: Iterable[wire.KeyValue], depth: int = _DEPTH) -> dict[str, Any]:
    return {pair.key: _json_value(pair.value, depth) for pair in pairs}


def _json_value(value: wire.AnyValue | None, depth: int) -> Any:
    if value is None:
        return None
    if depth == 0:
        raise InvalidInput(f"An attribute is nested more than {_DEPTH} levels deep. Flatten it, or send it as text.")
    if value.int_value is not None:
        return _integer(value.int_value)
    if value.double_value is not None:
        return _double(value.double_value)
    if value.array_value is not None:
        return [_json_value(item, depth - 1) for item in value.array_value.values]
    if value.kvlist_value is not None:
        return _json_map(value.kvlist_value.values, depth - 1)
    for plain in (value.string_value, value.bool_value, value.bytes_value):
        if plain is not None:
            return plain
    return None


def _integer(value: wire.Integer) -> int:
    if isinstance(value, str):
        if len(value) > 20 or not value.isascii() or not value.removeprefix("-").isdigit():
            raise InvalidInput(f"{value[:40]!r} is not a 64-bit integer. Send decimal digits.")
        value = int(value)
    if not -(2**63) <= value < 2**64:
        raise InvalidInput(f"{value} does not fit into 64 bits.")
    return value


def _double(value: float | str) -> float | str:
    """A finite number, or the text NaN, Infinity or -Infinity, because JSON has no such numbers."""
    try:
        number = float(value)
    except ValueError:
        raise InvalidInput(f"{str(value)[:40]!r} is not a number.") from None
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number


def _scope(name: str, version: str, attributes: dict[str, Any]) -> dict[str, Any]:
    return _filled(name=name, version=version, attributes=attributes)


def _shared(resource: dict[str, Any], scope: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in (("otel.resource", resource), ("otel.scope", scope)) if value}


def _link(trace_id: str, span_id: str, trace_state: str, attributes: dict[str, Any]) -> dict[str, Any]:
    return _filled(trace_id=trace_id, span_id=span_id, trace_state=trace_state, attributes=attributes)


def _extra(shared: dict[str, Any], trace_state: str, links: list[dict[str, Any]]) -> dict[str, Any]:
    own = {key: value for key, value in (("otel.trace_state", trace_state), ("otel.links", links)) if value}
    return {**shared, **own} if own else shared


def _filled(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}
