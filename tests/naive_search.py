"""The grammar of searches evaluated in memory, one value after another, to hold the real ones against."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Any

from twinloop.control.search.reader import Clause, Order
from twinloop.control.tracking.model import Run

# --- the grammar, evaluated naively ---

_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: bool(left == right),
    "!=": lambda left, right: bool(left != right),
    "<": lambda left, right: bool(left < right),
    "<=": lambda left, right: bool(left <= right),
    ">": lambda left, right: bool(left > right),
    ">=": lambda left, right: bool(left >= right),
    "IN": lambda left, right: left in right,
    "NOT IN": lambda left, right: left not in right,
    "LIKE": lambda left, right: like(left, right),
    # Letters outside ASCII keep their case, as in MLflow over SQLite.
    "ILIKE": lambda left, right: like(ascii_lower(left), ascii_lower(right)),
}


def like(text: str, pattern: str) -> bool:
    regex = "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(regex, text, re.DOTALL) is not None


def ascii_lower(text: str) -> str:
    return "".join(char.lower() if char.isascii() else char for char in text)


def fits(values: Sequence[Any], comparator: str, wanted: Any) -> bool:
    """Whether one of the values fits; a thing may have several, of its datasets."""
    if comparator == "IS NULL":
        return not values
    if comparator == "IS NOT NULL":
        return bool(values)
    return any(_TESTS[comparator](value, wanted) for value in values)


def values_of(run: Run, entity: str, key: str) -> list[Any]:
    if entity == "metric":
        return [metric.value for metric in run.metrics if metric.key == key]
    if entity == "dataset":
        every = [{"name": i.name, "digest": i.digest, "context": i.tags.get("mlflow.data.context")} for i in run.inputs]
        return [one[key] for one in every if one[key] is not None]
    if entity == "attribute":
        known: dict[str, Any] = {
            "run_id": run.id, "run_name": run.name, "user_id": run.user, "status": run.status,
            "start_time": run.started_ms, "end_time": run.ended_ms, "artifact_uri": run.artifact_uri,
        }  # fmt: skip
        return [] if known[key] is None else [known[key]]
    pairs = run.params if entity == "param" else run.tags
    return [pairs[key]] if key in pairs else []


def ordered(runs: Sequence[Run], orders: Sequence[Order]) -> list[str]:
    """Missing values come last and NaN before them, in both directions; ties go newest first, then by id."""
    result = sorted(runs, key=lambda run: run.id)
    if ("attribute", "start_time") not in {order[:2] for order in orders}:
        result.sort(key=lambda run: run.started_ms, reverse=True)
    for order in reversed(orders):
        groups: tuple[list[Run], list[Run], list[Run]] = ([], [], [])
        for run in result:
            values = values_of(run, order.entity, order.key)
            groups[2 if not values else 1 if values[0] != values[0] else 0].append(run)
        groups[0].sort(key=lambda run: values_of(run, order.entity, order.key)[0], reverse=not order.ascending)
        result = [run for group in groups for run in group]
    return [run.id for run in result]


def quoted(text: str, quote: str = "'") -> str:
    return quote + text.replace(quote, quote * 2) + quote


def written(clause: Clause, pick: random.Random) -> str:
    """A clause in one of the ways it can be written."""
    plural = pick.choice(("", "s"))
    key = clause.key if re.fullmatch(r"[a-z_]+", clause.key) and pick.random() < 0.5 else f"`{clause.key}`"
    key = quoted(clause.key, '"') if key[0] == "`" and "`" in clause.key else key
    left = key if clause.entity == "attribute" and pick.random() < 0.5 else f"{clause.entity}{plural}.{key}"
    comparator = pick.choice((clause.comparator, clause.comparator.lower()))
    space = pick.choice((" ", "  ", "\n"))
    match clause.value:
        case None:
            return f"{left} {comparator}"
        case tuple(items):
            return f"{left} {comparator}{space}({', '.join(quoted(item, pick.choice(chr(39) + chr(34))) for item in items)})"
        case str(text):
            return f"{left} {comparator}{space}{quoted(text, pick.choice(chr(39) + chr(34)))}"
        case number:
            return f"{left} {comparator}{space}{number!r}"


# --- what experiments and questions are made of ---
