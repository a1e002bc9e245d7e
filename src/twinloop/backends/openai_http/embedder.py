"""The embedder over OpenAI's API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twinloop.backends.openai_http import wire
from twinloop.backends.openai_http.client import OpenAiClient
from twinloop.core.digests import digest_json
from twinloop.core.errors import UpstreamError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BYTES_PER_TOKEN = 3  # below what common tokenizers need for prose, so the estimate errs towards too many tokens


class OpenAiEmbedder:
    """Implements ``twinloop.llm.embeddings.ports.Embedder``. Owns its client.

    The digest covers URL, model and dimensions: a provider that changes a model under its name goes unseen.
    """

    def __init__(
        self,
        client: OpenAiClient,
        url: str,
        model: str,
        dimensions: int,
        *,
        max_tokens: int = 512,
        batch: int = 64,
        send_dimensions: bool = False,
    ) -> None:
        """``send_dimensions`` asks the provider for shortened vectors; servers that cannot shorten refuse the field."""
        self.dimensions = dimensions
        self.max_tokens = max_tokens
        self.digest: str = digest_json({"engine": "openai", "url": url, "model": model, "dimensions": dimensions})
        self._client = client
        self._batch = batch
        self._fixed: dict[str, Any] = {"model": model, "encoding_format": "float"}
        if send_dimensions:
            self._fixed["dimensions"] = dimensions

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        vectors = np.empty((len(texts), self.dimensions), np.float32)
        for start in range(0, len(texts), self._batch):
            part = list(texts[start : start + self._batch])
            answer = await self._client.json("embeddings", {**self._fixed, "input": part})
            vectors[start : start + len(part)] = wire.embedding_rows(answer, len(part), self.dimensions)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.all(np.isfinite(lengths) & (lengths > 0)):
            raise UpstreamError("The provider sent a vector of length 0 or not finite. Check the embedder's model.")
        return np.asarray(vectors / lengths, np.float32)

    def count_tokens(self, text: str) -> int:
        return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN) + 2

    async def aclose(self) -> None:
        await self._client.aclose()
