"""What the spans of one request say of themselves and of their trace, worked out before anything is written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from twinloop.control.tracing import conventions
from twinloop.control.tracing.conventions import plain, translated
from twinloop.control.tracing.model import Span, Trace
from twinloop.control.tracing.preview import preview
from twinloop.control.tracing.tags import NAME, VALUE_LIMIT, usable
from twinloop.control.tracing.usage import COSTS, TOKENS, Part, cost_columns, number, summed

_LIMIT = 500
_SESSION_LIMIT = 250


class SpanFacts(NamedTuple):
    """One span with the columns that are searched and counted; ``attributes`` has what other conventions say added."""

    span: Span
    attributes: dict[str, Any]
    type: str | None
    model: str | None
    provider: str | None
    usage: dict[str, Any] | None
    cost: dict[str, Any] | None

    @property
    def costs(self) -> dict[str, float]:
        return cost_columns(self.cost) if self.cost else {}


class TraceFacts(NamedTuple):
    """A trace as one request brought it. ``usage`` and ``cost`` are of these spans alone; ``title`` came as a label."""

    trace: Trace
    spans: tuple[SpanFacts, ...]
    root: Span | None
    usage: dict[str, float]
    cost: dict[str, float]
    session: str | None
    user: str | None
    request: str | None
    response: str | None
    title: str | None
    tags: dict[str, str]


def facts(trace: Trace) -> TraceFacts:
    """Pure; costs some microseconds a span."""
    spans = tuple([span_facts(span) for span in trace.spans])
    root = next((found for found in spans if found.span.parent_id is None), None)
    tags = dict(trace.labels)
    request = response = None
    if root is not None:
        attributes = root.attributes
        tags.update(_labels(attributes))
        if conventions.INPUTS in attributes:
            request = preview(attributes[conventions.INPUTS], "user")
        if conventions.OUTPUTS in attributes:
            response = preview(attributes[conventions.OUTPUTS], "assistant")
        elif trace.source == "gateway" and trace.summary:
            response = preview(trace.summary, "assistant")
    session, user = _first_text(spans, conventions.SESSION), _first_text(spans, (conventions.USER,))
    return TraceFacts(
        trace=trace,
        spans=spans,
        root=None if root is None else root.span,
        usage=usage_of(spans),
        cost=cost_of(spans),
        session=None if session is None else session[:_SESSION_LIMIT],
        user=user,
        request=request,
        response=response,
        title=tags.pop(NAME, None),
        tags=tags,
    )


def usage_of(spans: Iterable[SpanFacts]) -> dict[str, float]:
    found = [Part(f.span.span_id, f.span.parent_id, f.usage) for f in spans]
    return summed(found, TOKENS) if any(part.said is not None for part in found) else {}


def cost_of(spans: Iterable[SpanFacts]) -> dict[str, float]:
    found = [Part(f.span.span_id, f.span.parent_id, f.cost) for f in spans]
    return summed(found, COSTS) if any(part.said is not None for part in found) else {}


def span_facts(span: Span) -> SpanFacts:
    attributes = span.attributes
    added = translated(attributes)
    if added:
        attributes = {**attributes, **added}
    get = attributes.get
    return SpanFacts(
        span,
        attributes,
        _text(get(conventions.TYPE)),
        _text(get(conventions.MODEL)),
        _text(get(conventions.PROVIDER)),
        _numbers(get(conventions.USAGE)),
        _numbers(get(conventions.COST)),
    )


def _text(value: Any) -> str | None:
    if value is None:
        return None
    found = plain(value)
    return found[:_LIMIT] if isinstance(found, str) else None


def _numbers(value: Any) -> dict[str, Any] | None:
    found = plain(value) if value is not None else None
    return found if isinstance(found, dict) and any(number(item) is not None for item in found.values()) else None


def _labels(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Tags that a client without MLflow's own interface sends as attributes of the root."""
    begin = conventions.LABEL
    found = {key.removeprefix(begin): as_text(value) for key, value in attributes.items() if key.startswith(begin)}
    return {key: value[:VALUE_LIMIT] for key, value in found.items() if usable(key)}


def _first_text(spans: Iterable[SpanFacts], names: tuple[str, ...]) -> str | None:
    for found in spans:
        for name in names:
            if found.attributes.get(name):
                return as_text(found.attributes[name]) or None
    return None


def as_text(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    found = plain(value)
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
