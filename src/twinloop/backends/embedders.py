"""Opens the embedder that a manifest describes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from twinloop.backends.leases import Leases
from twinloop.backends.manifests import decode, secret_value
from twinloop.backends.minilm.embedder import MiniLmEmbedder
from twinloop.backends.minilm.model import precision_of
from twinloop.backends.openai_http.client import OpenAiClient, check_url
from twinloop.backends.openai_http.embedder import OpenAiEmbedder
from twinloop.backends.weights import CATALOG, Catalog, Progress
from twinloop.core.digests import digest_json
from twinloop.core.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MiniLmManifest(msgspec.Struct, frozen=True, tag_field="engine", tag="minilm-onnx", forbid_unknown_fields=True):
    weights: str


class OpenAiManifest(msgspec.Struct, frozen=True, tag_field="engine", tag="openai", forbid_unknown_fields=True):
    """``secret`` names the key, it never is the key."""

    url: str
    model: str
    dimensions: int
    secret: str | None = None
    max_tokens: int = 512
    batch: int = 64
    send_dimensions: bool = False


_Manifest = MiniLmManifest | OpenAiManifest
_Engine = MiniLmEmbedder | OpenAiEmbedder


class Embedders:
    """Implements ``twinloop.llm.embeddings.ports.EmbedderFactory``."""

    def __init__(
        self,
        weights_dir: Path,
        *,
        secret: Callable[[str], str | None] = lambda name: None,
        catalog: Catalog = CATALOG,
        progress: Progress | None = None,
        threads: int | None = None,
    ) -> None:
        """``secret`` gives the value of a secret by name, or None; ``threads`` bounds a local engine."""
        self._weights_dir = weights_dir
        self._secret = secret
        self._catalog = catalog
        self._progress = progress
        self._threads = threads
        self._leases: Leases[_Engine] = Leases()

    def validate(self, manifest: Mapping[str, Any]) -> None:
        self._decode(manifest)

    async def open(self, manifest: Mapping[str, Any]) -> SharedEmbedder:
        wanted = self._decode(manifest)
        key = digest_json(msgspec.to_builtins(wanted))
        engine, give_back = await self._leases.take(key, lambda: self._start(wanted))
        return SharedEmbedder(engine, give_back)

    def _decode(self, manifest: Mapping[str, Any]) -> _Manifest:
        wanted: _Manifest = decode(manifest, _Manifest, "embedder")
        match wanted:
            case MiniLmManifest():
                precision_of(wanted.weights)
            case OpenAiManifest():
                check_url(wanted.url)
                if min(wanted.dimensions, wanted.max_tokens, wanted.batch) < 1:
                    raise InvalidInput("An embedder's dimensions, max_tokens and batch must be 1 or more.")
        return wanted

    async def _start(self, wanted: _Manifest) -> _Engine:
        if isinstance(wanted, MiniLmManifest):
            return await MiniLmEmbedder.open(
                wanted.weights,
                self._weights_dir,
                catalog=self._catalog,
                progress=self._progress,
                threads=self._threads,
            )
        client = OpenAiClient(wanted.url, secret_value(wanted.secret, self._secret))
        return OpenAiEmbedder(
            client,
            wanted.url,
            wanted.model,
            wanted.dimensions,
            max_tokens=wanted.max_tokens,
            batch=wanted.batch,
            send_dimensions=wanted.send_dimensions,
        )


class SharedEmbedder:
    """One holder's share of an embedder; ``aclose`` gives back the share."""

    def __init__(self, engine: _Engine, give_back: Callable[[], Awaitable[None]]) -> None:
        self._engine = engine
        self.dimensions = engine.dimensions
        self.digest = engine.digest
        self.max_tokens = engine.max_tokens
        self._give_back = give_back

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return await self._engine.embed(texts)

    def count_tokens(self, text: str) -> int:
        return self._engine.count_tokens(text)

    async def aclose(self) -> None:
        await self._give_back()
