"""Tokens and cost of a whole trace, from what its spans say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

TOKENS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "total_tokens": "total_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
    "cache_creation_input_tokens_above_1hr": "cache_write_1h_tokens",
}
"""MLflow's name of each count, and the column that holds it."""

COSTS = {"input_cost": "input_cost", "output_cost": "output_cost", "total_cost": "total_cost"}
_ALWAYS = ("input_tokens", "output_tokens", "total_tokens", *COSTS)
_LARGEST = 2**63


class Part(NamedTuple):
    """One span, and what it says of its tokens or its cost, if it does."""

    span_id: str
    parent_id: str | None
    said: Mapping[str, Any] | None


def summed(parts: Sequence[Part], names: Iterable[str]) -> dict[str, float]:
    """The sum over the spans, by name; empty when none says anything.

    A span that says its tokens speaks for everything below it: agents report what their calls used together, so adding
    both would count twice. The three usual names are always in the sum, the others where a span has them.
    """
    said = {part.span_id: part.said is not None for part in parts}
    parents = {part.span_id: part.parent_id for part in parts}
    covered: dict[str, bool] = {}
    total: dict[str, float] = {}
    for part in parts:
        if part.said is None or _is_covered(part.parent_id, said, parents, covered):
            continue
        for name in names:
            value = number(part.said.get(name))
            if value is not None or name in _ALWAYS:
                total[name] = total.get(name, 0) + (value or 0)
    return total


def _is_covered(
    span_id: str | None, said: Mapping[str, bool], parents: Mapping[str, str | None], covered: dict[str, bool]
) -> bool:
    """Whether this span or one above it says something. Spans may name each other as parents in a circle."""
    way: list[str] = []
    found = False
    while span_id is not None and span_id in said:
        if span_id in covered:
            found = covered[span_id]
            break
        way.append(span_id)
        covered[span_id] = False
        if said[span_id]:
            found = True
            break
        span_id = parents[span_id]
    covered.update(dict.fromkeys(way, found))
    return found


def number(value: Any) -> float | None:
    """A finite number that a 64-bit column can hold, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) and abs(value) < _LARGEST else None


def token_columns(usage: Mapping[str, Any]) -> dict[str, int]:
    """Counts by column, whole numbers only."""
    found = {column: number(usage.get(name)) for name, column in TOKENS.items()}
    return {column: int(value) for column, value in found.items() if value is not None and value == int(value)}


def cost_columns(cost: Mapping[str, Any]) -> dict[str, float]:
    found = {column: number(cost.get(name)) for name, column in COSTS.items()}
    return {column: float(value) for column, value in found.items() if value is not None}
