"""Spans in the two forms MLflow's clients read: OTLP in protobuf's JSON, and the dictionary of MLflow's own files. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from twinloop.control.tracing import info
from twinloop.control.tracing.conventions import REQUEST_ID, plain
from twinloop.control.tracing.model import Span, SpanEvent
from twinloop.control.tracing.preview import as_json

Json = dict[str, Any]
_STATUSES = {"ok": "STATUS_CODE_OK", "error": "STATUS_CODE_ERROR", "unset": "STATUS_CODE_UNSET"}
_LINKS = "otel.links"
_EXTRA = ("otel.resource", "otel.scope", "otel.trace_state", _LINKS)
"""What spans hold beside their attributes, kept among them under these names."""


def attributes_of(span: Span) -> Json:
    """Attributes as MLflow reads them, with the id of the trace."""
    found = {key: plain(value) for key, value in span.attributes.items() if key not in _EXTRA}
    found[REQUEST_ID] = info.client_id(span.trace_id)
    return found


def span_proto(span: Span) -> Json:
    """``opentelemetry.proto.trace.v1.Span`` in JSON, under the names of its fields."""
    answer: Json = {
        "trace_id": _bytes(span.trace_id),
        "span_id": _bytes(span.span_id),
        "name": span.name,
        "start_time_unix_nano": span.start_ns,
        "attributes": _pairs(attributes_of(span)),
        "status": _status(span),
    }
    if span.parent_id is not None:
        answer["parent_span_id"] = _bytes(span.parent_id)
    if span.end_ns:
        answer["end_time_unix_nano"] = span.end_ns
    if span.events:
        answer["events"] = [_event(event) for event in span.events]
    links = [
        {
            "trace_id": _bytes(link["trace_id"]),
            "span_id": _bytes(link["span_id"]),
            **({"attributes": _pairs(link["attributes"])} if link.get("attributes") else {}),
        }
        for link in links_of(span)
    ]
    return {**answer, "links": links} if links else answer


def links_of(span: Span) -> list[Json]:
    links = span.attributes.get(_LINKS) or []
    return [link for link in links if isinstance(link, dict) and link.get("trace_id") and link.get("span_id")]


def _status(span: Span) -> Json:
    answer = {} if span.status == "unset" else {"code": _STATUSES[span.status]}
    return {**answer, "message": span.message} if span.message else answer


def _event(event: SpanEvent) -> Json:
    answer: Json = {"time_unix_nano": event.at_ns, "name": event.name}
    return {**answer, "attributes": _pairs(event.attributes)} if event.attributes else answer


def _pairs(values: Mapping[str, Any]) -> list[Json]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Any) -> Json:
    """AnyValue; an empty one stands for nothing."""
    match value:
        case None:
            return {}
        case bool():
            return {"bool_value": value}
        case str():
            return {"string_value": value}
        case int():
            fits = -(2**63) <= value < 2**63
            return {"int_value": value} if fits else {"double_value": float(value)}
        case float():
            return {"double_value": value}
        case list() | tuple():
            return {"array_value": {"values": [_value(item) for item in value]} if value else {}}
        case dict():
            return {"kvlist_value": {"values": _pairs({str(k): v for k, v in value.items()})} if value else {}}
        case _:
            return {"string_value": str(value)}


def _bytes(digits: str) -> str:
    return base64.b64encode(bytes.fromhex(digits)).decode()


def span_file(span: Span) -> Json:
    """One span of ``traces.json``; every attribute is JSON in text."""
    return {
        "trace_id": _bytes(span.trace_id),
        "span_id": _bytes(span.span_id),
        "parent_span_id": None if span.parent_id is None else _bytes(span.parent_id),
        "name": span.name,
        "start_time_unix_nano": span.start_ns,
        "end_time_unix_nano": span.end_ns or None,
        "events": [
            {"name": event.name, "time_unix_nano": event.at_ns, "attributes": event.attributes} for event in span.events
        ],
        "status": {"code": _STATUSES[span.status], "message": span.message},
        "attributes": {key: as_json(value) for key, value in attributes_of(span).items()},
        "links": [
            {
                "trace_id": info.client_id(link["trace_id"]),
                "span_id": link["span_id"],
                "attributes": link.get("attributes") or None,
            }
            for link in links_of(span)
        ],
    }
