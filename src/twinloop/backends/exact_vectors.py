"""The exact vector engine in memory: for unit tests, small indexes, and as the truth other engines are held to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from twinloop.backends.vector_input import check_index, check_query
from twinloop.core.errors import NotFound
from twinloop.llm.retrieval.ports import Hit, LabelFilter, VectorCapabilities

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class _Index(NamedTuple):
    vectors: NDArray[np.float32]
    ids: tuple[str, ...]
    labels: tuple[frozenset[str], ...]


class ExactVectorEngine:
    """Implements ``twinloop.llm.retrieval.ports.VectorEngine``; a search compares the query with every vector."""

    capabilities = VectorCapabilities(name="exact", exact=True, durable=False, shared=False)

    def __init__(self) -> None:
        self._indexes: dict[str, _Index] = {}

    async def create(
        self,
        key: str,
        vectors: NDArray[np.float32],
        ids: Sequence[str],
        labels: Sequence[Sequence[str]] | None = None,
    ) -> None:
        rows = check_index(key, vectors, ids, labels)
        sets = tuple(frozenset(row) for row in labels or [()] * len(ids))
        self._indexes.setdefault(key, _Index(rows, tuple(ids), sets))

    async def exists(self, key: str) -> bool:
        return key in self._indexes

    async def search(
        self, key: str, vector: NDArray[np.float32], k: int, filter: LabelFilter | None = None
    ) -> list[Hit]:
        import numpy as np

        index = self._indexes.get(key)
        if index is None:
            raise NotFound(f"There is no vector index {key}. Build it again.")
        scores = index.vectors @ check_query(vector, index.vectors.shape[1], k)
        best = np.argsort(-scores, kind="stable")
        allowed = (row for row in best if _passes(index.labels[row], filter))
        return [Hit(index.ids[row], float(scores[row])) for row, _ in zip(allowed, range(k), strict=False)]

    async def drop(self, key: str) -> None:
        self._indexes.pop(key, None)

    async def aclose(self) -> None:
        self._indexes.clear()


def _passes(labels: frozenset[str], filter: LabelFilter | None) -> bool:
    if filter is None:
        return True
    wanted = filter.any_of is None or not labels.isdisjoint(filter.any_of)
    return wanted and labels.isdisjoint(filter.none_of)


def from_url(url: str, home: Path) -> ExactVectorEngine:
    """``exact:`` keeps vectors in memory only; they are loaded again from the index revisions at each start."""
    return ExactVectorEngine()
