"""The kind ``index``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twinloop.core.digests import Digest, parse_digest
from twinloop.core.errors import InvalidInput
from twinloop.llm.documents.manifests import decode
from twinloop.llm.retrieval.model import CHUNKS_FILE, IndexManifest


class IndexKind:
    name = "index"

    def validate(self, manifest: Mapping[str, Any]) -> None:
        index = decode(manifest, IndexManifest, self.name)
        if set(index.files) != {CHUNKS_FILE}:
            raise InvalidInput(f"files of an index holds {CHUNKS_FILE} and nothing else.")
        for digest in (
            index.embedder.digest,
            index.files[CHUNKS_FILE].digest,
            *(each.digest for each in index.documents),
        ):
            parse_digest(digest)
        if index.dimensions < 1 or index.chunks < 0:
            raise InvalidInput("An index has at least one dimension and no negative number of chunks.")

    def requires(self, manifest: Mapping[str, Any]) -> Sequence[Digest]:
        """The embedder, because queries must land in the same vector space. Documents are not: the index holds their text."""
        return (decode(manifest, IndexManifest, self.name).embedder.digest,)
