"""A vector engine that is opened when it is first needed, so that a Twinloop without documents needs none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from twinloop.llm.retrieval.ports import Hit, LabelFilter, VectorCapabilities, VectorEngine

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class LazyVectors:
    """Implements VectorEngine by the one that ``open_engine`` returns. What opening raises, the first use raises."""

    def __init__(self, open_engine: Callable[[], VectorEngine]) -> None:
        self._open = open_engine
        self._engine: VectorEngine | None = None

    @property
    def _opened(self) -> VectorEngine:
        if self._engine is None:
            self._engine = self._open()
        return self._engine

    @property
    def capabilities(self) -> VectorCapabilities:
        return self._opened.capabilities

    async def create(
        self,
        key: str,
        vectors: NDArray[np.float32],
        ids: Sequence[str],
        labels: Sequence[Sequence[str]] | None = None,
    ) -> None:
        await self._opened.create(key, vectors, ids, labels)

    async def exists(self, key: str) -> bool:
        return await self._opened.exists(key)

    async def search(
        self, key: str, vector: NDArray[np.float32], k: int, filter: LabelFilter | None = None
    ) -> list[Hit]:
        return await self._opened.search(key, vector, k, filter)

    async def drop(self, key: str) -> None:
        await self._opened.drop(key)

    async def aclose(self) -> None:
        if self._engine is not None:
            await self._engine.aclose()
