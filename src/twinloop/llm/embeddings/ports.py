"""What the LLM lane needs of an engine that turns texts into vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Embedder(Protocol):
    """An open embedding engine. Safe to use from many tasks at once."""

    @property
    def dimensions(self) -> int:
        """Length of every vector."""
        ...

    @property
    def digest(self) -> str:
        """Identity of everything that shapes a vector: weights, tokenizer, pooling, quantisation.

        Vectors of two embedders may be compared if and only if their digests are equal.
        """
        ...

    @property
    def max_tokens(self) -> int:
        """Longer texts are cut here, so chunk below it."""
        ...

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape ``(len(texts), dimensions)``, rows of length 1, in the order of ``texts``.

        Raises:
            InvalidInput: a text cannot be encoded.
            Unavailable: the engine is closed, down or too slow.
            UpstreamError: the provider answered with an error.
        """
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of ``text`` before any cut, special tokens included; an estimate where the tokenizer is unknown."""
        ...

    async def aclose(self) -> None:
        """Give the engine back. Calling it twice is allowed."""
        ...


class EmbedderFactory(Protocol):
    """Opens the engine that the manifest of an ``embedder`` revision describes.

    ``{"engine": "minilm-onnx", "weights": "all-MiniLM-L6-v2-int8"}`` or
    ``{"engine": "openai", "url": "https://…/v1", "model": "…", "dimensions": 1536, "secret": "NAME"}``.
    The fields ``description``, ``files`` and ``options`` belong to the revision and are left alone; any other is refused.
    """

    def validate(self, manifest: Mapping[str, Any]) -> None:
        """Check the manifest without opening anything.

        Raises:
            InvalidInput: an unknown engine or weights name, or a field that is missing or of the wrong type.
        """
        ...

    async def open(self, manifest: Mapping[str, Any]) -> Embedder:
        """Embedders of equal manifests share one engine; it ends when the last of them is closed.

        Raises:
            InvalidInput: as ``validate``.
            Unavailable: the weights cannot be fetched now.
            MissingDependency: the engine's package is not installed.
        """
        ...
