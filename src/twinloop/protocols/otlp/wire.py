"""ExportTraceServiceRequest in OTLP's JSON: lowerCamelCase, ids in hex, 64-bit integers as text or numbers, enums as integers.

Unknown fields are ignored, as the specification demands.
"""

from __future__ import annotations

import msgspec

Integer = int | str


class ArrayValue(msgspec.Struct, frozen=True, rename="camel"):
    values: list[AnyValue] = []


class KeyValueList(msgspec.Struct, frozen=True, rename="camel"):
    values: list[KeyValue] = []


class AnyValue(msgspec.Struct, frozen=True, rename="camel"):
    """At most one field is set; none means an empty value. ``bytes_value`` is base64."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: Integer | None = None
    double_value: float | str | None = None
    array_value: ArrayValue | None = None
    kvlist_value: KeyValueList | None = None
    bytes_value: str | None = None


class KeyValue(msgspec.Struct, frozen=True, rename="camel"):
    key: str = ""
    value: AnyValue | None = None


class Event(msgspec.Struct, frozen=True, rename="camel"):
    time_unix_nano: Integer = 0
    name: str = ""
    attributes: list[KeyValue] = []


class Link(msgspec.Struct, frozen=True, rename="camel"):
    trace_id: str = ""
    span_id: str = ""
    trace_state: str = ""
    attributes: list[KeyValue] = []


class Status(msgspec.Struct, frozen=True, rename="camel"):
    message: str = ""
    code: int = 0


class Span(msgspec.Struct, frozen=True, rename="camel"):
    trace_id: str = ""
    span_id: str = ""
    trace_state: str = ""
    parent_span_id: str = ""
    name: str = ""
    kind: int = 0
    start_time_unix_nano: Integer = 0
    end_time_unix_nano: Integer = 0
    attributes: list[KeyValue] = []
    events: list[Event] = []
    links: list[Link] = []
    status: Status | None = None


class Scope(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    version: str = ""
    attributes: list[KeyValue] = []


class ScopeSpans(msgspec.Struct, frozen=True, rename="camel"):
    scope: Scope | None = None
    spans: list[Span] = []


class Resource(msgspec.Struct, frozen=True, rename="camel"):
    attributes: list[KeyValue] = []


class ResourceSpans(msgspec.Struct, frozen=True, rename="camel"):
    resource: Resource | None = None
    scope_spans: list[ScopeSpans] = []


class ExportRequest(msgspec.Struct, frozen=True, rename="camel"):
    resource_spans: list[ResourceSpans] = []
