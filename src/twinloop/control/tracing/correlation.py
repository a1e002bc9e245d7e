"""How strongly two filters go together: normalised pointwise mutual information (Bouma, 2009), from -1 to 1."""

from __future__ import annotations

import math
from typing import NamedTuple

_PRIOR = 0.5
"""Jeffreys' prior, added to each cell of the table of counts so that small samples say less."""


class Counts(NamedTuple):
    total: int
    first: int
    second: int
    both: int


class Correlation(NamedTuple):
    """``npmi`` is NaN where a filter fits nothing, -1 where they never fit together."""

    npmi: float
    smoothed: float
    counts: Counts


def correlation(counts: Counts) -> Correlation:
    only_first, only_second = counts.first - counts.both, counts.second - counts.both
    neither = counts.total - counts.first - counts.second + counts.both
    if not counts.first or not counts.second or min(only_first, only_second, neither) < 0:
        return Correlation(math.nan, math.nan, counts)
    cells = (counts.both, only_first, only_second, neither)
    exact = _npmi(*cells, 0.0) if counts.both else -1.0
    return Correlation(exact, _npmi(*cells, _PRIOR), counts)


def _npmi(both: int, only_first: int, only_second: int, neither: int, prior: float) -> float:
    if only_first == only_second == neither == 0:
        return 1.0
    joint, first, second = both + prior, both + only_first + 2 * prior, both + only_second + 2 * prior
    total = both + only_first + only_second + neither + 4 * prior
    if joint <= 0:
        return math.nan
    mutual = math.log(joint) + math.log(total) - math.log(first) - math.log(second)
    return max(-1.0, min(1.0, mutual / (math.log(total) - math.log(joint))))
