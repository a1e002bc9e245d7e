"""Verbs on indexes: build one from documents, and measure whether it finds what it holds."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from twinloop.control.lineage.model import CONTAINS
from twinloop.control.registry.model import Parent, Revision
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import BlobRef, Blobs
from twinloop.core.digests import Digest, digest_bytes
from twinloop.core.errors import InvalidInput
from twinloop.llm.documents.chunks import Chunker, split
from twinloop.llm.documents.manifests import decode
from twinloop.llm.documents.model import DocumentManifest
from twinloop.llm.documents.reading import passage
from twinloop.llm.documents.service import read_text
from twinloop.llm.embeddings.ports import Embedder, EmbedderFactory
from twinloop.llm.retrieval.model import (
    CHUNKS_FILE,
    Built,
    ChunkTable,
    IndexedChunk,
    IndexedDocument,
    IndexFile,
    IndexManifest,
    Pinned,
)
from twinloop.llm.retrieval.table import read_table, write_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BATCH = 64
_HEADING_ROOM = 40


class Indexes:
    def __init__(self, registry: Registry, blobs: Blobs, embedders: EmbedderFactory) -> None:
        self._registry = registry
        self._blobs = blobs
        self._embedders = embedders

    async def build(
        self,
        who: Principal,
        name: str,
        documents: Sequence[str],
        embedder: str,
        chunker: Chunker = Chunker(),
        run_id: str | None = None,
    ) -> Built:
        """Register ``index/<name>`` over the given documents.

        Vectors of chunks whose heading path and text the newest revision of the index holds already, in the same
        vector space, are taken from it; only the others are embedded.

        Args:
            documents: references of ``document`` revisions, each document once.
            embedder: reference of an ``embedder`` revision.
            run_id: the run that produces the index, if any.

        Raises:
            InvalidInput: no documents, a reference to another kind, or chunks longer than the embedder reads.
            NotFound: a reference names nothing.
        """
        who.require(Role.developer)
        sources = [await self._of_kind(who, ref, "document") for ref in documents]
        if not sources or len({source.name for source in sources}) < len(sources):
            raise InvalidInput("Give at least one document, each once.")
        embedder_revision = await self._of_kind(who, embedder, "embedder")
        engine = await self._embedders.open(embedder_revision.manifest)
        try:
            if chunker.max_tokens + _HEADING_ROOM > engine.max_tokens:
                raise InvalidInput(
                    f"{embedder} reads {engine.max_tokens} tokens. Set max_tokens {_HEADING_ROOM} below that."
                )
            chunks = await self._chunks(sources, chunker, engine)
            known = await self._known_vectors(who, name, engine)
            vectors, embedded = await _vectors(chunks, known, engine)
            manifest = IndexManifest(
                documents=tuple(
                    IndexedDocument(each.ref, each.digest, str(each.manifest["title"])) for each in sources
                ),
                embedder=Pinned(embedder_revision.ref, embedder_revision.digest),
                vector_space=engine.digest,
                dimensions=engine.dimensions,
                chunker=chunker,
                chunks=len(chunks),
                files={CHUNKS_FILE: await self._store(ChunkTable(tuple(chunks), vectors), engine.dimensions)},
            )
        finally:
            await engine.aclose()
        parents = [Parent(CONTAINS, each.digest) for each in sources] + [Parent("embedder", embedder_revision.digest)]
        registered = await self._registry.register(who, "index", name, manifest.to_json(), parents, run_id)
        return Built(
            index=registered.revision.ref,
            digest=registered.revision.digest,
            created=registered.created,
            documents=len(sources),
            chunks=len(chunks),
            embedded=embedded,
            reused=len(chunks) - embedded,
            removed=len(known.keys() - {chunk.digest for chunk in chunks}),
        )

    async def _of_kind(self, who: Principal, ref: str, kind: str) -> Revision:
        revision = await self._registry.get(who, ref)
        if revision.kind != kind:
            raise InvalidInput(f"{ref} is not of the kind {kind}. Give a reference {kind}/….")
        return revision

    async def _chunks(self, sources: Sequence[Revision], chunker: Chunker, engine: Embedder) -> list[IndexedChunk]:
        found: list[IndexedChunk] = []
        for position, source in enumerate(sources):
            text = await read_text(self._blobs, source)
            found += await asyncio.to_thread(_chunked, position, source, text, chunker, engine)
        return found

    async def _known_vectors(self, who: Principal, name: str, engine: Embedder) -> dict[Digest, NDArray[np.float32]]:
        newest = await self._registry.find(who, f"index/{name}")
        if newest is None or newest.manifest["vector_space"] != engine.digest:
            return {}
        file = await self._blobs.local_path(newest.manifest["files"][CHUNKS_FILE]["digest"])
        table = await asyncio.to_thread(read_table, file)
        return {chunk.digest: vector for chunk, vector in zip(table.chunks, table.vectors, strict=True)}

    async def _store(self, table: ChunkTable, dimensions: int) -> IndexFile:
        with tempfile.TemporaryDirectory(prefix="twinloop-index-") as folder:
            file = Path(folder) / CHUNKS_FILE
            await asyncio.to_thread(write_table, table, file, dimensions)
            stored: BlobRef = await self._blobs.put_file(file)
        return IndexFile(stored.digest, stored.size)


def _chunked(position: int, source: Revision, text: str, chunker: Chunker, engine: Embedder) -> list[IndexedChunk]:
    manifest = decode(source.manifest, DocumentManifest, "document")
    return [
        IndexedChunk(
            document=position,
            start=chunk.start,
            end=chunk.end,
            heading=chunk.heading,
            text=text[chunk.start : chunk.end],
            digest=digest_bytes(passage(chunk.heading, text[chunk.start : chunk.end]).encode()),
        )
        for chunk in split(text, manifest.headings, chunker, engine.count_tokens)
    ]


async def _vectors(
    chunks: Sequence[IndexedChunk], known: dict[Digest, NDArray[np.float32]], engine: Embedder
) -> tuple[NDArray[np.float32], int]:
    """One row per chunk, and how many of the chunks had no known vector."""
    import numpy as np

    missing = {chunk.digest: passage(chunk.heading, chunk.text) for chunk in chunks if chunk.digest not in known}
    digests, texts = list(missing), list(missing.values())
    vectors = dict(known)
    for start in range(0, len(texts), _BATCH):
        rows = await engine.embed(texts[start : start + _BATCH])
        vectors.update(zip(digests[start : start + _BATCH], rows, strict=True))
    if not chunks:
        return np.zeros((0, engine.dimensions), np.float32), 0
    embedded = sum(chunk.digest in missing for chunk in chunks)
    return np.stack([vectors[chunk.digest] for chunk in chunks]).astype(np.float32), embedded
