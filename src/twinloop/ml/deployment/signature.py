"""What a request to a model must bring, derived from the model's inputs and its feature views."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from twinloop.control.releases.answers import PredictRequest
from twinloop.core.errors import InvalidInput
from twinloop.ml.data.model import ColumnType
from twinloop.ml.features.model import feature_type
from twinloop.ml.features.online import BoundView, Columns, key_value, to_microseconds
from twinloop.ml.training.model import ModelManifest

AT = "at"
"""The optional input that says as of when a row asks; the age of features is measured against it."""

MOST_ROWS = 10_000

_DATATYPES = {"int64": "INT64", "float64": "FP64", "bool": "BOOL"}


class Checked(NamedTuple):
    """A request that fits: key values and given features by name, and the rows' times in microseconds, if given."""

    columns: Columns
    at: list[int | None] | None


class Signature:
    """Inputs of an endpoint.

    Required are the keys of the views (unless a view before gives them) and the model's inputs that no view gives.
    A request may also give any feature itself: its column then replaces the stored values in every row, so that "what
    if" can be asked; null in it means missing, not looked up. A view whose features are all given is not read, and its
    keys are not needed.
    """

    def __init__(self, model: ModelManifest, views: Sequence[BoundView]) -> None:
        produced: dict[str, ColumnType] = {}
        self._keys: list[tuple[frozenset[str], dict[str, ColumnType]]] = []
        for bound in views:
            keys = {key.name: key.type for key in bound.view.keys if key.name not in produced}
            features = {feature.name: feature_type(feature) for feature in bound.view.features}
            self._keys.append((frozenset(features), keys))
            produced.update(features)
        self._optional = produced
        self._own: dict[str, ColumnType] = {
            item.name: "float64" if item.type == "number" else "string"
            for item in model.inputs
            if item.name not in produced
        }
        self._known = {AT, *produced, *self._own, *(name for _, keys in self._keys for name in keys)}

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """Required inputs in Open Inference terms."""
        found = {name: kind for _, keys in self._keys for name, kind in keys.items()} | self._own
        return [_described(name, kind) for name, kind in found.items()]

    @property
    def optional(self) -> list[dict[str, Any]]:
        return [_described(name, kind) for name, kind in self._optional.items()] + [_described(AT, "timestamp")]

    def check(self, request: PredictRequest) -> Checked:
        """Return the request's columns, checked. Raises InvalidInput naming the column and row that does not fit."""
        columns = request.columns
        if not 1 <= request.rows <= MOST_ROWS:
            raise InvalidInput(
                f"A request takes 1 to {MOST_ROWS} rows and has {request.rows}. Use batch prediction for more."
            )
        for name, values in columns.items():
            if name not in self._known:
                raise InvalidInput(f"There is no input {name[:80]!r}. Inputs are: {', '.join(sorted(self._known))}.")
            if len(values) != request.rows:
                raise InvalidInput(
                    f"Input {name!r} has {len(values)} values for {request.rows} rows. Give one per row."
                )
        checked: Columns = {}
        for features, keys in self._keys:
            if features <= columns.keys():
                continue
            for name, kind in keys.items():
                checked[name] = [
                    key_value(kind, value, f"Input {name!r}, row {row},")
                    for row, value in enumerate(_given(columns, name))
                ]
        for name, kind in self._own.items():
            checked[name] = _feature_values(name, kind, _given(columns, name))
        for name, kind in self._optional.items():
            if name in columns:
                checked[name] = _feature_values(name, kind, columns[name])
        times = columns.get(AT)
        return Checked(checked, None if times is None else [_moment(value, row) for row, value in enumerate(times)])


def _described(name: str, kind: ColumnType) -> dict[str, Any]:
    return {"name": name, "datatype": _DATATYPES.get(kind, "BYTES"), "shape": [-1]}


def _given(columns: dict[str, list[Any]], name: str) -> list[Any]:
    try:
        return columns[name]
    except KeyError:
        raise InvalidInput(f"Input {name!r} is missing. Give a value for it in every row.") from None


def _is_number(value: Any) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value)) or type(value) is bool


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "float64": (_is_number, "a finite number or null"),
    "int64": (lambda value: type(value) is int, "a whole number or null"),
    "bool": (lambda value: type(value) is bool, "true, false or null"),
    "string": (lambda value: type(value) is str, "text or null"),
    "date": (lambda value: type(value) is str, "a date as text or null"),
    "timestamp": (lambda value: type(value) is int, "microseconds since 1970 or null"),
}


def _feature_values(name: str, kind: ColumnType, values: list[Any]) -> list[Any]:
    fits, said = _CHECKS[kind]
    for row, value in enumerate(values):
        if value is not None and not fits(value):
            raise InvalidInput(
                f"Input {name!r}, row {row}, must be {said} and is {type(value).__name__} {str(value)[:40]!r}."
            )
    return values


def _moment(value: Any, row: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            return to_microseconds(datetime.fromisoformat(value))
        except (ValueError, OverflowError):
            pass  # said below, together with every other value that is no time
    raise InvalidInput(
        f"Input {AT!r}, row {row}, must be a time such as 2013-08-01T12:00:00Z and is {str(value)[:40]!r}."
    )
