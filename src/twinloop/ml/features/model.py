"""Declarations of features. They are data: a view's revision is its declaration, whatever rows its source has now."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from twinloop.core.errors import InvalidInput
from twinloop.ml.data.model import ColumnType

KIND = "feature_view"
KNOWN_AT = "known_at"
"""The column of materialised values that says when they became known."""

_COLUMNS = 1000
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d{1,9})([smhdw])\Z")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}\Z")
_TYPES = ("int64", "float64", "string", "bool", "timestamp", "date")


def microseconds(duration: str) -> int:
    """``90s``, ``15m``, ``12h``, ``14d`` or ``2w`` in microseconds. Raises InvalidInput for anything else."""
    found = _DURATION.match(duration)
    if not found:
        raise InvalidInput(f"{duration[:40]!r} is not a duration. Write a number and a unit: 90s, 15m, 12h, 14d, 2w.")
    return int(found[1]) * _UNITS[found[2]] * 1_000_000


class Column(msgspec.Struct, frozen=True, tag_field="compute", tag="column", omit_defaults=True):
    """The value of the source column ``of`` (default: of the same name) in the last row known."""

    name: str
    type: ColumnType = "float64"
    of: str | None = None


class Mean(msgspec.Struct, frozen=True, tag_field="compute", tag="mean"):
    """The mean of ``of`` over the rows of the entity in the last ``window``."""

    name: str
    of: str
    window: str


class Rate(msgspec.Struct, frozen=True, tag_field="compute", tag="rate"):
    """The share of rows in the last ``window`` where the boolean column ``of`` is true, of those where it is known."""

    name: str
    of: str
    window: str


class Sum(msgspec.Struct, frozen=True, tag_field="compute", tag="sum"):
    """The sum of ``of`` over the rows of the entity in the last ``window``."""

    name: str
    of: str
    window: str


class Min(msgspec.Struct, frozen=True, tag_field="compute", tag="min"):
    """The smallest value of ``of`` over the rows of the entity in the last ``window``."""

    name: str
    of: str
    window: str


class Max(msgspec.Struct, frozen=True, tag_field="compute", tag="max"):
    """The largest value of ``of`` over the rows of the entity in the last ``window``."""

    name: str
    of: str
    window: str


class Count(msgspec.Struct, frozen=True, tag_field="compute", tag="count"):
    """How many rows the entity has in the last ``window``."""

    name: str
    window: str


Aggregate = Mean | Rate | Sum | Min | Max | Count
Feature = Column | Mean | Rate | Sum | Min | Max | Count


class Key(msgspec.Struct, frozen=True):
    """A column that identifies an entity, the same name in the source and in labels, requests or an earlier view."""

    name: str
    type: ColumnType


class FeatureView(msgspec.Struct, frozen=True, omit_defaults=True):
    """Features of one entity, from one dataset.

    Attributes:
        name: of the revision ``feature_view/<name>``.
        source: name of the dataset; which revision of it is read is decided, and recorded, at each join.
        entities: key columns, written ``carrier`` (text) or ``flight:int64``.
        features: what to compute.
        event_time: the timestamp column that says when a row happened; None for facts that do not change, which are
            then treated as known at any time.
        delay: how long after ``event_time`` a row becomes known. A row is used from ``event_time + delay`` on.
        ttl: a value older than this, counted from when it became known, is missing.
        required: a prediction about an entity that this view does not know is refused, not answered with missing values.

    The value of an aggregate is defined at each moment k at which a row becomes known, over the rows known in
    ``(k - window, k]``; rows known at the same moment count together. A reader at time T sees the values of the last
    moment k <= T with ``T - k <= ttl``. Of several rows known at the same moment, a Column takes the last one in the
    dataset's order.
    """

    name: str
    source: str
    entities: Sequence[str]
    features: Sequence[Feature]
    event_time: str | None = None
    ttl: str | None = None
    delay: str = "0s"
    required: bool = False

    def __post_init__(self) -> None:
        # Declarations are written by hand, with lists; a tuple keeps the struct hashable and its JSON the same.
        msgspec.structs.force_setattr(self, "entities", tuple(self.entities))
        msgspec.structs.force_setattr(self, "features", tuple(self.features))

    @property
    def keys(self) -> tuple[Key, ...]:
        return tuple(parse_key(text) for text in self.entities)

    @property
    def ttl_us(self) -> int | None:
        return None if self.ttl is None else microseconds(self.ttl)

    @property
    def delay_us(self) -> int:
        return microseconds(self.delay)


def parse_key(text: str) -> Key:
    name, _, kind = text.partition(":")
    kind = kind or "string"
    if not _NAME.match(name) or kind not in ("string", "int64", "bool", "date"):
        raise InvalidInput(f"{text[:80]!r} cannot be an entity. Write a name, or name:int64, name:date, name:bool.")
    return Key(name, kind)  # type: ignore[arg-type]


def feature_type(feature: Feature) -> ColumnType:
    if isinstance(feature, Column):
        return feature.type
    return "int64" if isinstance(feature, Count) else "float64"


def check_view(view: FeatureView) -> None:
    """Raise InvalidInput, naming the part, when a declaration makes no sense."""
    if not view.entities or not view.features:
        raise InvalidInput(f"Feature view {view.name} needs at least one entity and one feature.")
    if len(view.entities) + len(view.features) > _COLUMNS:
        raise InvalidInput(f"Feature view {view.name} has over {_COLUMNS} columns. Split it into several.")
    names = [key.name for key in view.keys] + [feature.name for feature in view.features]
    for name in names:
        if not _NAME.match(name):
            raise InvalidInput(
                f"{name[:80]!r} in view {view.name} cannot be a column name. Use letters, digits and '_'."
            )
    if KNOWN_AT in names:
        raise InvalidInput(f"View {view.name} names a column {KNOWN_AT!r}, which is kept for Twinloop. Rename it.")
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InvalidInput(f"View {view.name} names {doubled[0]!r} twice. Give each entity and feature its own name.")
    _check_times(view)


def _check_times(view: FeatureView) -> None:
    aggregates = [feature for feature in view.features if not isinstance(feature, Column)]
    for feature in aggregates:
        if microseconds(feature.window) == 0:
            raise InvalidInput(f"The window of {feature.name} is zero. Give at least 1s.")
    _ = view.ttl_us, view.delay_us
    if view.event_time is None and (aggregates or view.ttl is not None or view.delay_us):
        raise InvalidInput(f"View {view.name} has windows, a ttl or a delay, so it needs an event_time column.")


def check_together(views: Sequence[FeatureView]) -> None:
    """Raise InvalidInput when two views give the same feature name."""
    seen: dict[str, str] = {}
    for view in views:
        for feature in view.features:
            if feature.name in seen:
                raise InvalidInput(
                    f"Views {seen[feature.name]} and {view.name} both give {feature.name!r}. Rename one of the features."
                )
            seen[feature.name] = view.name
