"""Reading features online: keys from a request or from an earlier view, ages, and what was read."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import msgspec

from twinloop.core.clock import iso
from twinloop.core.digests import Digest, digest_bytes
from twinloop.core.errors import InvalidInput
from twinloop.ml.data.model import ColumnType
from twinloop.ml.features.model import FeatureView, Key
from twinloop.ml.features.ports import Entity, Generation, OnlineStore, Value

Columns = dict[str, list[Any]]

# The canonical form of core.digests, without its search for NaN: ``online_value`` lets none into the store.
_encode = msgspec.json.Encoder(order="deterministic").encode


class BoundView(NamedTuple):
    """A view and the digest of its revision."""

    view: FeatureView
    digest: Digest
    ref: str


class Read(NamedTuple):
    """What one row read from one view: for lineage."""

    bound: BoundView
    keys: tuple[str, ...]
    generation: Generation
    entity: Entity
    value: Value

    def via(self) -> dict[str, Any]:
        """The values as a lineage node between a trace and the dataset of materialised values."""
        known = self.value.known_us
        values = {
            feature.name: value for feature, value in zip(self.bound.view.features, self.value.values, strict=True)
        }
        entity = dict(zip(self.keys, self.entity, strict=True))
        body = {"view": self.bound.digest, "entity": entity, "known_us": known, "values": values}
        return {
            "kind": "feature_values",
            "name": self.bound.view.name,
            "version": "static" if known is None else iso(known * 1000),
            "digest": digest_bytes(_encode(body)),
            "view": self.bound.ref,
            "entity": entity,
            "values": values,
        }


class OnlineFeatures:
    """Looks up the features of a fixed list of views, in order, for rows of keys.

    The age of a value is measured against the row's ``at`` (a request's column of that name) when there is one, else
    against the clock of the view's last materialisation: the wall clock, or the replayed moment if that was fixed. A
    value older than the view's ttl is missing. This is the rule of the offline join, so that a view materialised until T
    and read at T gives what the join gives at T.
    """

    def __init__(self, store: OnlineStore, tenant: str, views: Sequence[BoundView]) -> None:
        self._store = store
        self._tenant = tenant
        self._views = [
            (
                bound,
                bound.view.keys,
                tuple(key.name for key in bound.view.keys),
                bound.view.ttl_us,
                [(index, feature.name) for index, feature in enumerate(bound.view.features)],
            )
            for bound in views
        ]

    async def read(
        self, columns: Columns, rows: int, at: Sequence[int | None] | None
    ) -> tuple[Columns, list[list[Read]]]:
        """The features of every row, and for every row what was read.

        ``columns`` holds checked key values, and features that override what is stored; a view whose features are all
        given is not read.

        Raises:
            InvalidInput: an entity of a ``required`` view is not known.
        """
        found: Columns = dict(columns)
        reads: list[list[Read]] = [[] for _ in range(rows)]
        for bound, keys, names, ttl, features in self._views:
            wanted = [(index, name) for index, name in features if name not in columns]
            if not wanted:
                continue
            entities = list(zip(*(found[name] for name in names), strict=True))
            generation, values = await self._store.get_many(self._tenant, bound.digest, entities)
            now = generation.clock_us if generation.clock_us is not None else time.time_ns() // 1000
            fresh = [_fresh(value, ttl, now if at is None else at[row], now) for row, value in enumerate(values)]
            for index, name in wanted:
                found[name] = [None if value is None else value.values[index] for value in fresh]
            for row, value in enumerate(fresh):
                if value is not None:
                    reads[row].append(Read(bound, names, generation, entities[row], value))
                elif bound.view.required:
                    raise _unknown(bound.view, keys, entities[row], row)
        return found, reads


def _fresh(value: Value | None, ttl: int | None, at: int | None, now: int) -> Value | None:
    if value is None or ttl is None or value.known_us is None:
        return value
    return value if (now if at is None else at) - value.known_us <= ttl else None


def _unknown(view: FeatureView, keys: Sequence[Key], entity: Entity, row: int) -> InvalidInput:
    said = ", ".join(f"{key.name}={value!r}" for key, value in zip(keys, entity, strict=True))
    return InvalidInput(
        f"Row {row}: feature view {view.name} knows nothing about {said}. Check these values, or materialise the view again."
    )


def online_value(value: Any) -> Any:
    """A value from the analytical engine as JSON: dates are ISO text, timestamps microseconds, NaN is None."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if value == value and value not in (float("inf"), float("-inf")) else None
    if isinstance(value, datetime):
        return to_microseconds(value)
    if isinstance(value, date):
        return value.isoformat()
    raise InvalidInput(f"A value of type {type(value).__name__} cannot be an online feature.")


def to_microseconds(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    delta = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def key_value(kind: ColumnType, value: Any, what: str) -> Any:
    """A request's value as a key of type ``kind``. Raises InvalidInput naming ``what``."""
    if kind == "string" and isinstance(value, str):
        return value
    if kind == "int64" and isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "date" and isinstance(value, str):
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            raise InvalidInput(f"{what} is {value[:40]!r}, not a date. Write it as 2013-08-01.") from None
    said = "missing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"
    raise InvalidInput(f"{what} must be {_SAID[kind]} and is {said}.")


_SAID: Mapping[str, str] = {
    "string": "text",
    "int64": "a whole number",
    "bool": "true or false",
    "date": "a date (2013-08-01)",
}
