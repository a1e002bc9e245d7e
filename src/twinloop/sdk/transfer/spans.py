"""Spans as MLflow writes them: its own dictionaries (in its database and in ``traces.json``), and OTLP's JSON."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from twinloop.sdk.transfer.found import FoundSpan

Json = Mapping[str, Any]

_KINDS = ("internal", "internal", "server", "client", "producer", "consumer")
_HEX = frozenset("0123456789abcdefABCDEF")
LOCATION_TAG = "mlflow.artifactLocation"


def from_content(span: Json) -> FoundSpan:
    """A span as its ``content`` in the database, or an entry of ``traces.json``, says it. Values of attributes are JSON texts."""
    if "context" in span:  # the first form of tracing, MLflow 2.14 to 2.20
        return _from_first_form(span)
    status = span.get("status") or {}
    return FoundSpan(
        id=_hex(span["span_id"], 8),
        parent_id=_hex(span["parent_span_id"], 8) if span.get("parent_span_id") else None,
        name=span["name"],
        start_ns=int(span["start_time_unix_nano"]),
        end_ns=int(span["end_time_unix_nano"]) if span.get("end_time_unix_nano") else None,
        status=_status(status.get("code")),
        message=status.get("message") or "",
        attributes={key: _value(text) for key, text in (span.get("attributes") or {}).items()},
        events=tuple(
            (event["name"], int(event["time_unix_nano"]), dict(event.get("attributes") or {}))
            for event in span.get("events") or ()
        ),
        links=tuple(_link(link) for link in span.get("links") or ()),
    )


def from_otlp(span: Json) -> FoundSpan:
    """A span in the JSON of OpenTelemetry's protocol buffers, as the REST interface gives it."""
    status = span.get("status") or {}
    return FoundSpan(
        id=_hex(span["span_id"], 8),
        parent_id=_hex(span["parent_span_id"], 8) if span.get("parent_span_id") else None,
        name=span.get("name", ""),
        start_ns=int(span["start_time_unix_nano"]),
        end_ns=int(span["end_time_unix_nano"]) if span.get("end_time_unix_nano") else None,
        status=_status(status.get("code")),
        message=status.get("message") or "",
        attributes=_attributes(span.get("attributes")),
        events=tuple(
            (event.get("name", ""), int(event.get("time_unix_nano", 0)), _attributes(event.get("attributes")))
            for event in span.get("events") or ()
        ),
        links=tuple(
            (_hex(link["trace_id"], 16), _hex(link["span_id"], 8), _attributes(link.get("attributes")))
            for link in span.get("links") or ()
        ),
        kind=_kind(span.get("kind")),
    )


def _from_first_form(span: Json) -> FoundSpan:
    return FoundSpan(
        id=str(span["context"]["span_id"]).removeprefix("0x").rjust(16, "0"),
        parent_id=str(span["parent_id"]).removeprefix("0x").rjust(16, "0") if span.get("parent_id") else None,
        name=span["name"],
        start_ns=int(span["start_time"]),
        end_ns=int(span["end_time"]) if span.get("end_time") else None,
        status=_status(span.get("status_code")),
        message=span.get("status_message") or "",
        attributes={key: _value(text) for key, text in (span.get("attributes") or {}).items()},
        events=tuple(
            (event["name"], int(event["timestamp"]), dict(event.get("attributes") or {}))
            for event in span.get("events") or ()
        ),
    )


def _attributes(items: Iterable[Json] | None) -> dict[str, Any]:
    return {item["key"]: _any(item.get("value") or {}) for item in items or ()}


def _any(value: Json) -> Any:
    """An OTLP ``AnyValue`` as JSON; a number of 64 bits may come as text."""
    for kind, given in value.items():
        match kind.lower().replace("_", ""):
            case "intvalue":
                return int(given)
            case "doublevalue":
                number = float(given)
                return number if number - number == 0 else str(given)
            case "arrayvalue":
                return [_any(item) for item in given.get("values", ())]
            case "kvlistvalue":
                return _attributes(given.get("values"))
            case _:
                return given
    return None


def _value(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text


def _link(link: Json) -> tuple[str, str, dict[str, Any]]:
    trace = str(link["trace_id"]).removeprefix("tr-").rpartition("/")[2]
    return trace, str(link["span_id"]), dict(link.get("attributes") or {})


def _status(code: Any) -> str:
    name = str(code or "UNSET").removeprefix("STATUS_CODE_").upper()
    return {"OK": "ok", "1": "ok", "ERROR": "error", "2": "error"}.get(name, "unset")


def _kind(kind: Any) -> str:
    if isinstance(kind, int):
        return _KINDS[kind] if 0 <= kind < len(_KINDS) else "internal"
    name = str(kind or "").removeprefix("SPAN_KIND_").lower()
    return name if name in _KINDS else "internal"


def _hex(text: str, size: int) -> str:
    """An id of ``size`` bytes as hex, from base64 or hex. Raises ValueError."""
    plain = text.removeprefix("0x")
    if len(plain) == 2 * size and _HEX.issuperset(plain):
        return plain.lower()
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{text[:60]!r} is not an id") from error
    if len(raw) != size:
        raise ValueError(f"{text[:60]!r} is not an id of {size} bytes")
    return raw.hex()
