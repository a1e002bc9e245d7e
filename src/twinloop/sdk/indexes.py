"""Indexes from a program: build and evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twinloop.sdk.client import Client
from twinloop.sdk.definitions import current_run_id

Json = dict[str, Any]


class Indexes:
    def __init__(self, client: Client) -> None:
        self._client = client

    def build(
        self,
        name: str,
        documents: Sequence[str],
        embedder: str,
        max_tokens: int = 200,
        overlap_tokens: int = 30,
    ) -> Json:
        """Build ``index/<name>`` over document revisions, cut into chunks of up to ``max_tokens``.

        Only text that the newest revision of the index does not hold is embedded. Returns {index: ref, digest, created,
        documents, chunks, embedded, reused, removed}. Inside a pipeline step the index is linked to the run.
        """
        body = {
            "name": name,
            "documents": list(documents),
            "embedder": embedder,
            "chunker": {"max_tokens": max_tokens, "overlap_tokens": overlap_tokens},
            "run_id": current_run_id(),
        }
        return self._client.call("POST", "/api/v1/indexes", body)

    def evaluate(self, index: str, seed: int = 0) -> Json:
        """Record ``known_item_recall_at_5`` as evidence for the index, and return the evidence."""
        return self._client.call("POST", "/api/v1/indexes/evaluate", {"index": index, "seed": seed})
