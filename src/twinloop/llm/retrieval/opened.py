"""Indexes in memory: each opened once per process and shared by all releases that pin it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from twinloop.control.registry.model import Revision
from twinloop.control.store.ports import Blobs
from twinloop.core.errors import Refused
from twinloop.llm.documents.manifests import decode
from twinloop.llm.embeddings.ports import Embedder
from twinloop.llm.retrieval.model import CHUNKS_FILE, IndexedChunk, IndexManifest, Retrieved
from twinloop.llm.retrieval.ports import VectorEngine
from twinloop.llm.retrieval.table import read_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class OpenIndex:
    """An index ready to be searched. Close it once; the vectors leave the engine with the last holder."""

    def __init__(
        self, shelf: OpenIndexes, revision: Revision, manifest: IndexManifest, chunks: Sequence[IndexedChunk]
    ) -> None:
        self._shelf = shelf
        self.ref = revision.ref
        self.digest = revision.digest
        self.manifest = manifest
        self.chunks = chunks

    async def search(self, vector: NDArray[np.float32], k: int) -> list[Retrieved]:
        """The ``k`` chunks nearest to ``vector`` (dimensions,), best first."""
        hits = await self._shelf.engine.search(self.digest, vector, k)
        return [self._found(int(hit.id), hit.score) for hit in hits]

    def require_space(self, embedder: Embedder) -> None:
        """Raise Refused unless this embedder's vectors compare with those of the index."""
        if embedder.digest != self.manifest.vector_space:
            raise Refused(
                f"{self.ref} was built with another version of {self.manifest.embedder.ref} than the one installed. "
                "Build the index again."
            )

    async def aclose(self) -> None:
        await self._shelf.give_back(self.digest)

    def _found(self, row: int, score: float) -> Retrieved:
        chunk = self.chunks[row]
        return Retrieved(chunk, self.manifest.documents[chunk.document], score)


class OpenIndexes:
    """Loads index revisions into the vector engine, counted by digest."""

    def __init__(self, blobs: Blobs, engine: VectorEngine) -> None:
        self._blobs = blobs
        self.engine = engine
        self._holders: dict[str, int] = defaultdict(int)
        self._chunks: dict[str, tuple[IndexedChunk, ...]] = {}
        self._lock = asyncio.Lock()
        self._leaving = False

    def leave(self) -> None:
        """From now on give indexes back without dropping them: the process ends, and the next one finds them there."""
        self._leaving = True

    async def open(self, revision: Revision) -> OpenIndex:
        """Raises StorageCorrupt when the index's file is damaged, StorageFull when the engine has no room."""
        manifest = decode(revision.manifest, IndexManifest, "index")
        async with self._lock:
            if revision.digest not in self._chunks:
                file = await self._blobs.local_path(manifest.files[CHUNKS_FILE].digest)
                table = await asyncio.to_thread(read_table, file)
                await self.engine.create(revision.digest, table.vectors, [str(row) for row in range(len(table.chunks))])
                self._chunks[revision.digest] = table.chunks
            self._holders[revision.digest] += 1
            return OpenIndex(self, revision, manifest, self._chunks[revision.digest])

    async def give_back(self, digest: str) -> None:
        async with self._lock:
            self._holders[digest] -= 1
            if self._holders[digest] == 0:
                del self._holders[digest], self._chunks[digest]
                if not self._leaving:
                    await self.engine.drop(digest)
