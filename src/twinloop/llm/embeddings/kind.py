"""The kind ``embedder``: which engine turns texts into vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twinloop.core.digests import Digest
from twinloop.llm.embeddings.ports import EmbedderFactory


class EmbedderKind:
    name = "embedder"

    def __init__(self, embedders: EmbedderFactory) -> None:
        self._embedders = embedders

    def validate(self, manifest: Mapping[str, Any]) -> None:
        self._embedders.validate(manifest)

    def requires(self, manifest: Mapping[str, Any]) -> Sequence[Digest]:
        return ()
