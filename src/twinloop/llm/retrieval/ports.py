"""What the LLM lane needs of an engine that finds the nearest vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Hit(msgspec.Struct, frozen=True):
    """A vector found: the id it was stored under and its cosine similarity to the query, in [-1, 1]."""

    id: str
    score: float


class LabelFilter(msgspec.Struct, frozen=True):
    """Which vectors may be found, by their labels; applied inside the search, so ``k`` counts only allowed ones.

    A vector passes when it has at least one label of ``any_of`` (``None``: no such demand; empty: nothing passes)
    and none of ``none_of``.
    """

    any_of: tuple[str, ...] | None = None
    none_of: tuple[str, ...] = ()


class VectorCapabilities(msgspec.Struct, frozen=True):
    """What a vector engine can do, as data: callers read this and never the engine's type.

    ``exact``: always returns the true nearest. ``durable``: an index outlives the process. ``shared``: several
    processes may search one index at a time.
    """

    name: str
    exact: bool
    durable: bool
    shared: bool


class VectorEngine(Protocol):
    """Immutable vector indexes by key, the digest of an ``index`` revision, which names one content for ever."""

    @property
    def capabilities(self) -> VectorCapabilities: ...

    async def create(
        self,
        key: str,
        vectors: NDArray[np.float32],
        ids: Sequence[str],
        labels: Sequence[Sequence[str]] | None = None,
    ) -> None:
        """Build the index ``key`` over ``vectors`` (n, d); row i is found as ``ids[i]`` and carries ``labels[i]``.

        All or nothing: after a kill in the middle the key does not exist and ``create`` may be called again. A key
        that exists already is left as it is. ``n`` may be 0.

        Raises:
            InvalidInput: lengths differ, ids repeat, or a vector is not finite or has length 0.
            StorageFull: no space left.
        """
        ...

    async def exists(self, key: str) -> bool: ...

    async def search(
        self, key: str, vector: NDArray[np.float32], k: int, filter: LabelFilter | None = None
    ) -> list[Hit]:
        """At most ``k`` hits, best first; fewer only when fewer are allowed.

        Raises:
            NotFound: there is no index ``key``; build it again.
            InvalidInput: the vector's length is not the index's, or ``k`` < 1.
        """
        ...

    async def drop(self, key: str) -> None:
        """Remove the index; a key that does not exist is no error. A search under way may fail with NotFound."""
        ...

    async def aclose(self) -> None: ...
