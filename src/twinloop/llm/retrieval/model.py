"""What an index holds and what a search finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from twinloop.core.digests import Digest
from twinloop.llm.documents.chunks import Chunker

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNKS_FILE = "chunks.parquet"


class Pinned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ref: str
    digest: Digest


class IndexedDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ref: str
    digest: Digest
    title: str


class IndexFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    digest: Digest
    size: int


class IndexManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest of an ``index`` revision.

    ``vector_space`` is the digest the embedder had (``Embedder.digest``): only vectors of the same space compare.
    """

    documents: tuple[IndexedDocument, ...]
    embedder: Pinned
    vector_space: str
    dimensions: int
    chunker: Chunker
    chunks: int
    files: dict[str, IndexFile]

    def to_json(self) -> dict[str, Any]:
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built


class IndexedChunk(msgspec.Struct, frozen=True):
    """Characters ``[start, end)`` of the document at position ``document`` of the manifest.

    ``text`` is those characters. ``digest`` is over what was embedded for it: its heading path and readable text.
    """

    document: int
    start: int
    end: int
    heading: tuple[str, ...]
    text: str
    digest: Digest


class ChunkTable(msgspec.Struct, frozen=True):
    """Row i of ``vectors`` (n, dimensions; float32, unit length) belongs to ``chunks[i]``."""

    chunks: tuple[IndexedChunk, ...]
    vectors: NDArray[np.float32]


class Retrieved(msgspec.Struct, frozen=True):
    """A chunk found for a query, with its cosine similarity and the document it lies in."""

    chunk: IndexedChunk
    document: IndexedDocument
    score: float


class Built(msgspec.Struct, frozen=True):
    """The index and what it took: vectors ``embedded`` anew, ``reused`` from the revision before, ``removed`` with their text."""

    index: str
    digest: Digest
    created: bool
    documents: int
    chunks: int
    embedded: int
    reused: int
    removed: int
