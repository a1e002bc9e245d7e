"""Verbs of features: define views, join them to labels as of a moment, put their newest values online.

Lineage. A view's revision is its declaration and has no parents, so new rows do not change it. What rows were read is
recorded where values appear: a training set is a ``dataset`` whose parents are the labels, each view and each source
dataset; a materialisation writes the values it put online as the ``dataset`` ``features/<view>`` with the view and its
source as parents, and a prediction's trace is linked to that dataset through the values it read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from twinloop.control.registry.model import Parent, Registered, Revision
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import Principal, Role
from twinloop.core.clock import Clock, SystemClock
from twinloop.core.errors import InvalidInput
from twinloop.core.ids import new_id
from twinloop.ml.data import sql
from twinloop.ml.data.model import DatasetManifest
from twinloop.ml.data.ports import Analytics, Session
from twinloop.ml.data.service import Datasets
from twinloop.ml.features import compile
from twinloop.ml.features.compile import Bound
from twinloop.ml.features.kind import read_view
from twinloop.ml.features.model import KIND, KNOWN_AT, FeatureView, check_together, check_view, feature_type
from twinloop.ml.features.online import BoundView, key_value, online_value, to_microseconds
from twinloop.ml.features.ports import Entity, Generation, OnlineStore, Value

_BATCH = 5000


class Materialised(msgspec.Struct, frozen=True):
    """What one view has online now: how many entities, and the dataset revision that holds the same values."""

    view: str
    dataset: str
    entities: int


class _Source(NamedTuple):
    revision: Revision
    view: FeatureView
    dataset: Revision
    bound: Bound


class Features:
    """Keeps feature views and computes them."""

    def __init__(
        self,
        registry: Registry,
        datasets: Datasets,
        analytics: Analytics,
        online: OnlineStore,
        clock: Clock | None = None,
    ) -> None:
        self._registry = registry
        self._datasets = datasets
        self._analytics = analytics
        self._online = online
        self._clock = clock or SystemClock()

    async def define(self, who: Principal, view: FeatureView, run_id: str | None = None) -> Registered:
        """Register a view; the same declaration is the same revision."""
        check_view(view)
        return await self._registry.register(who, KIND, view.name, msgspec.to_builtins(view), (), run_id)

    async def views(self, who: Principal, refs: Sequence[str]) -> list[BoundView]:
        """The views called ``feature_view/name@n`` or just ``name``. Raises NotFound or InvalidInput."""
        found = []
        for ref in refs:
            revision = await self._registry.get(who, ref if "/" in ref or ":" in ref else f"{KIND}/{ref}")
            if revision.kind != KIND:
                raise InvalidInput(f"{revision.ref} is not a feature view. Name one as feature_view/name.")
            found.append(BoundView(read_view(revision.manifest), revision.digest, revision.ref))
        check_together([bound.view for bound in found])
        return found

    async def join(
        self,
        who: Principal,
        name: str,
        labels: str,
        views: Sequence[str],
        at: str,
        sources: Mapping[str, str] | None = None,
        run_id: str | None = None,
    ) -> Registered:
        """Write dataset ``name``: every label in its order, with the features known at its time in column ``at``.

        ``sources`` says which revision of a source dataset to read; the newest where it says nothing. A view takes its
        keys from the labels or from a view before it.

        Raises:
            InvalidInput: a key or column is missing, has another type, or appears twice.
            NotFound: labels, a view or a source does not exist.
        """
        who.require(Role.developer)
        frame, manifest = await self._datasets.get(who, labels)
        found = [await self._source(who, bound, sources or {}) for bound in await self.views(who, views)]
        _check_frame(manifest, at, [source.view for source in found])
        parts = await self._datasets.parts(manifest)

        def build(session: Session, path: Path) -> None:
            bounds = [source.bound for source in found]
            clocks = [compile.read_clock(session, bound) for bound in bounds]
            session.write_parquet(compile.join(parts, at, bounds, clocks), path)

        return await self._datasets.write(
            who,
            name,
            build,
            source={
                "made_by": "join",
                "at": at,
                "labels": frame.ref,
                "views": [source.revision.ref for source in found],
            },
            parents=_parents([("labels", frame)], found),
            time_column=at,
            run_id=run_id,
        )

    async def materialize(
        self,
        who: Principal,
        views: Sequence[str],
        until_us: int | None = None,
        sources: Mapping[str, str] | None = None,
        run_id: str | None = None,
    ) -> list[Materialised]:
        """Put the newest values of each view online, as known at ``until_us`` (microseconds since the epoch).

        Without ``until_us`` values are as of now and grow old by the wall clock. With it, this is a replay: their age
        is measured against that moment until the next materialisation. Each view switches at once; readers never see half.
        """
        who.require(Role.developer)
        done = []
        for bound in await self.views(who, views):
            source = await self._source(who, bound, sources or {})
            done.append(await self._materialize_one(who, source, until_us, run_id))
        return done

    async def online(self, who: Principal, view: str, entity: Mapping[str, object]) -> Value | None:
        """The values stored for one entity, whatever their age. Raises InvalidInput when a key is missing or ill-typed."""
        [bound] = await self.views(who, [view])
        key = tuple(key_value(key.type, entity.get(key.name), f"Key {key.name}") for key in bound.view.keys)
        _, [value] = await self._online.get_many(who.tenant, bound.digest, [key])
        return value

    async def _materialize_one(
        self, who: Principal, source: _Source, until_us: int | None, run_id: str | None
    ) -> Materialised:
        until = self._clock.now_ns() // 1000 if until_us is None else until_us
        view = source.view

        def build(session: Session, path: Path) -> None:
            clock = compile.read_clock(session, source.bound)
            session.write_parquet(compile.latest(source.bound, clock, until), path)

        made = await self._datasets.write(
            who,
            f"features/{view.name}",
            build,
            source={"made_by": "materialize", "view": source.revision.ref},
            parents=_parents([], [source]),
            run_id=run_id,
        )
        _, manifest = await self._datasets.get(who, made.revision.digest)
        generation = Generation(new_id(), made.revision.digest, made.revision.ref, until_us, manifest.rows)
        await self._online.put(who.tenant, source.revision.digest, generation, self._items(view, manifest))
        return Materialised(source.revision.ref, made.revision.ref, manifest.rows)

    async def _items(
        self, view: FeatureView, manifest: DatasetManifest
    ) -> AsyncIterator[Sequence[tuple[Entity, Value]]]:
        parts = await self._datasets.parts(manifest)
        columns = [key.name for key in view.keys] + [feature.name for feature in view.features] + [KNOWN_AT]
        chosen = ", ".join(sql.name(column) for column in columns)
        rows = await self._analytics.run(
            lambda session: session.fetch(f"SELECT {chosen} FROM ({sql.scan(parts)}) ORDER BY {sql.ROW}")
        )
        width = len(view.keys)
        for start in range(0, len(rows), _BATCH):
            yield [
                (
                    tuple(online_value(cell) for cell in row[:width]),
                    Value(
                        tuple(online_value(cell) for cell in row[width:-1]),
                        None if row[-1] is None else to_microseconds(row[-1]),
                    ),
                )
                for row in rows[start : start + _BATCH]
            ]

    async def _source(self, who: Principal, bound: BoundView, sources: Mapping[str, str]) -> _Source:
        wanted = sources.get(bound.view.source, bound.view.source)
        dataset, manifest = await self._datasets.get(who, wanted)
        revision = await self._registry.get(who, bound.digest)
        ready = Bound(bound.view, await self._datasets.parts(manifest), manifest)
        compile.check_source(ready)
        return _Source(revision, bound.view, dataset, ready)


def _parents(first: Sequence[tuple[str, Revision]], sources: Sequence[_Source]) -> list[Parent]:
    found = {(role, revision.digest): None for role, revision in first}
    for source in sources:
        found["view", source.revision.digest] = None
        found["source", source.dataset.digest] = None
    return [Parent(role, digest) for role, digest in found]


def _check_frame(labels: DatasetManifest, at: str, views: Sequence[FeatureView]) -> None:
    moment = labels.column(at)
    if moment is None or moment.type not in ("timestamp", "date"):
        raise InvalidInput(
            f"The labels need a timestamp or date column {at!r} that says when each label's features count."
        )
    have: dict[str, str] = {column.name: column.type for column in labels.schema}
    for view in views:
        for key in view.keys:
            if have.get(key.name) != key.type:
                said = f"as {have[key.name]}" if key.name in have else "not at all"
                raise InvalidInput(
                    f"View {view.name} needs the key {key.name!r} as {key.type}; the labels and the views before it have it "
                    f"{said}. Add it to the labels, or put the view that gives it first."
                )
        for feature in view.features:
            if feature.name in have:
                raise InvalidInput(
                    f"Feature {feature.name!r} of view {view.name} is a column already. Rename one of them."
                )
            have[feature.name] = feature_type(feature)
