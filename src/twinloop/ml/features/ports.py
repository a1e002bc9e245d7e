"""What features need of a store of online values."""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from twinloop.core.digests import Digest

Entity = tuple[str | int | bool, ...]
"""Key values in the order of the view's entities; a date is its ISO text."""


class Value(msgspec.Struct, frozen=True, array_like=True):
    """What one entity's features are: JSON values in the view's order, and when they became known (µs; None: static)."""

    values: tuple[Any, ...]
    known_us: int | None


class Generation(msgspec.Struct, frozen=True):
    """One materialisation of a view.

    ``dataset`` is the digest of the dataset revision that holds the same values. ``clock_us`` is the time against which
    ages are measured when a request names none: fixed in a replay, None for the wall clock.
    """

    id: str
    dataset: Digest
    dataset_ref: str
    clock_us: int | None
    entities: int


class OnlineStore(Protocol):
    """The newest values of each entity, by feature view. A reader sees one whole generation, never half of one."""

    async def put(
        self, tenant: str, view: Digest, generation: Generation, items: AsyncIterable[Sequence[tuple[Entity, Value]]]
    ) -> None:
        """Replace all values of ``view``; readers switch when every batch of ``items`` is durable."""
        ...

    async def generation(self, tenant: str, view: Digest) -> Generation | None:
        """The generation that readers see; None when the view was never materialised."""
        ...

    async def get_many(
        self, tenant: str, view: Digest, entities: Sequence[Entity]
    ) -> tuple[Generation, Sequence[Value | None]]:
        """The values of ``entities``, in order, None where there are none, all of one generation.

        Raises:
            NotFound: the view was never materialised.
        """
        ...


Snapshot = Mapping[Entity, Value]
