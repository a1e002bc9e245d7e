"""What can be measured over traces, spans and assessments, and the checks of what is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from twinloop.control.tracing.grammar import NamedValue, parse_named_value
from twinloop.core.errors import InvalidInput

View = Literal["TRACES", "SPANS", "ASSESSMENTS"]
LIMIT = 1000

_SPREAD = ("AVG", "MIN", "MAX", "PERCENTILE")
_SUMS = ("SUM", *_SPREAD)
_BY_MODEL = ("span_model_name", "span_model_provider")
_TOKENS = ("input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class Metric(NamedTuple):
    """How a metric may be aggregated, and what it may be grouped by."""

    aggregations: tuple[str, ...]
    dimensions: tuple[str, ...]


METRICS: Mapping[View, Mapping[str, Metric]] = {
    "TRACES": {
        "trace_count": Metric(("COUNT",), ("trace_name", "trace_status")),
        "session_count": Metric(("COUNT",), ()),
        "latency": Metric(_SPREAD, ("trace_name",)),
        **{name: Metric(_SUMS, ("trace_name",)) for name in _TOKENS},
    },
    "SPANS": {
        "span_count": Metric(("COUNT",), ("span_name", "span_type", "span_status", *_BY_MODEL)),
        "latency": Metric(_SPREAD, ("span_name", "span_status")),
        **{name: Metric(_SUMS, _BY_MODEL) for name in ("input_cost", "output_cost", "total_cost")},
    },
    "ASSESSMENTS": {
        "assessment_count": Metric(("COUNT",), ("assessment_name", "assessment_value")),
        "assessment_value": Metric(_SPREAD, ("assessment_name",)),
    },
}

# Which words a filter may begin with, and whether a key follows.
_FILTERS: Mapping[str, Mapping[str, bool]] = {
    "trace": {"status": False, "tag": True, "metadata": True},
    "span": {"name": False, "status": False, "type": False},
    "assessment": {"name": False, "type": False},
}
_VIEWS: Mapping[str, View] = {"span": "SPANS", "assessment": "ASSESSMENTS"}


class Aggregation(msgspec.Struct, frozen=True):
    """COUNT, SUM, AVG, MIN, MAX, or PERCENTILE with a ``percentile`` from 0 to 100."""

    kind: str
    percentile: float | None = None

    @property
    def label(self) -> str:
        return self.kind if self.percentile is None else f"P{self.percentile}"


class Question(msgspec.Struct, frozen=True):
    """One metric, grouped and filtered. ``from_ms`` and ``until_ms`` are both inside the range."""

    experiments: tuple[int, ...]
    view: View
    metric: str
    aggregations: tuple[Aggregation, ...]
    dimensions: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    interval_s: int | None = None
    from_ms: int | None = None
    until_ms: int | None = None
    limit: int = LIMIT


class Point(msgspec.Struct, frozen=True):
    """One group: its dimensions, among them ``time_bucket`` where there is an interval, and a value by aggregation."""

    dimensions: dict[str, str]
    values: dict[str, float]


def check(question: Question) -> tuple[NamedValue, ...]:
    """Returns the filters, read. Raises InvalidInput naming what the metric cannot do."""
    metrics = METRICS[question.view]
    if question.metric not in metrics:
        raise InvalidInput(f"metric_name must be one of {list(metrics)}, got '{question.metric[:100]}'.")
    metric = metrics[question.metric]
    for what, asked, known in (
        ("aggregation_type(s)", [a.kind for a in question.aggregations], metric.aggregations),
        ("dimension(s)", list(question.dimensions), metric.dimensions),
    ):
        wrong = sorted(set(asked) - set(known))
        if wrong:
            supported = "aggregation types" if what.startswith("agg") else "dimensions"
            raise InvalidInput(f"Found invalid {what}: {wrong}. Supported {supported}: {sorted(known)}.")
    for aggregation in question.aggregations:
        _check_percentile(aggregation)
    if question.interval_s is not None and question.interval_s < 0:
        raise InvalidInput("time_interval_seconds must be above 0.")
    if question.interval_s and (question.from_ms is None or question.until_ms is None):
        raise InvalidInput("start_time_ms and end_time_ms are required if time_interval_seconds is set.")
    if question.limit < 1:
        raise InvalidInput("max_results must be at least 1.")
    return tuple(_check_filter(parse_named_value(text), question.view) for text in question.filters)


def _check_percentile(aggregation: Aggregation) -> None:
    if aggregation.kind != "PERCENTILE":
        if aggregation.percentile is not None:
            raise InvalidInput(
                f"Percentile value is only allowed for PERCENTILE aggregation type, got {aggregation.kind}."
            )
    elif aggregation.percentile is None:
        raise InvalidInput("Percentile value is required for PERCENTILE aggregation.")
    elif not 0 <= aggregation.percentile <= 100:
        raise InvalidInput(f"Percentile value must be between 0 and 100, got {aggregation.percentile}.")


def _check_filter(found: NamedValue, view: View) -> NamedValue:
    entities = _FILTERS.get(found.view)
    if entities is None:
        raise InvalidInput(f"Invalid view type '{found.view[:60]}'. Valid values are {list(_FILTERS)}.")
    if found.entity not in entities:
        raise InvalidInput(
            f"Invalid entity '{found.entity[:60]}' specified for view type '{found.view}'. "
            f"Valid entities are {list(entities)}."
        )
    path = f"{found.view}.{found.entity}"
    if entities[found.entity] and not found.key:
        raise InvalidInput(f"Filtering by {found.entity} requires a key, e.g. '{path}.<key> = <value>'.")
    if not entities[found.entity] and found.key:
        raise InvalidInput(f"Filtering by {found.entity} does not require a key, use '{path}' instead.")
    if found.view in _VIEWS and _VIEWS[found.view] != view:
        raise InvalidInput(
            f"Filtering by {found.view} is only supported for {_VIEWS[found.view]} view type, got {view}."
        )
    return found


def percentile(values: Sequence[float], percent: float) -> float:
    """Of sorted values, with linear interpolation between neighbours (Hyndman and Fan's method 7, numpy's default)."""
    position = percent / 100 * (len(values) - 1)
    low = int(position)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (position - low)
