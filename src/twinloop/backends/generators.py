"""Opens the generator that a manifest describes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from twinloop.backends.leases import Leases
from twinloop.backends.llamacpp.engine import LlamaCppEngine, gguf_of
from twinloop.backends.manifests import decode, secret_value
from twinloop.backends.openai_http.chat import OpenAiChatEngine
from twinloop.backends.openai_http.client import OpenAiClient, check_url
from twinloop.backends.weights import CATALOG, Catalog, Progress
from twinloop.core.digests import digest_json
from twinloop.core.errors import InvalidInput
from twinloop.llm.generation.ports import Chunk, EngineDescription, GenerationOptions, Message


class LlamaCppManifest(msgspec.Struct, frozen=True, tag_field="engine", tag="llamacpp", forbid_unknown_fields=True):
    weights: str
    context: int = 4096
    slots: int = 2


class OpenAiManifest(msgspec.Struct, frozen=True, tag_field="engine", tag="openai", forbid_unknown_fields=True):
    """``secret`` names the key, it never is the key. ``token_limit`` is the request field for the longest answer."""

    url: str
    model: str
    secret: str | None = None
    context: int | None = None
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"


_Manifest = LlamaCppManifest | OpenAiManifest
_Engine = LlamaCppEngine | OpenAiChatEngine


class Generators:
    """Implements ``twinloop.llm.generation.ports.ChatEngineFactory``."""

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

    async def open(self, manifest: Mapping[str, Any]) -> SharedChatEngine:
        wanted = self._decode(manifest)
        key = digest_json(msgspec.to_builtins(wanted))
        engine, give_back = await self._leases.take(key, lambda: self._start(wanted))
        return SharedChatEngine(engine, give_back)

    def states(self) -> list[tuple[str, str, str]]:
        """(name, state, detail) of every engine that is open now."""
        found = []
        for engine in self._leases.engines.values():
            about = engine.describe()
            state, detail = "ready", ""
            if isinstance(engine, LlamaCppEngine):
                state, detail = engine.supervisor.state, engine.supervisor.detail
            found.append((f"{about.engine}:{about.model}", state, detail))
        return found

    def _decode(self, manifest: Mapping[str, Any]) -> _Manifest:
        wanted: _Manifest = decode(manifest, _Manifest, "generator")
        match wanted:
            case LlamaCppManifest():
                gguf_of(wanted.weights, self._catalog)
                if not 256 <= wanted.context <= 1 << 20 or not 1 <= wanted.slots <= 64:
                    raise InvalidInput("A generator needs a context of 256 to 1048576 tokens and 1 to 64 slots.")
            case OpenAiManifest():
                check_url(wanted.url)
        return wanted

    async def _start(self, wanted: _Manifest) -> _Engine:
        if isinstance(wanted, OpenAiManifest):
            client = OpenAiClient(wanted.url, secret_value(wanted.secret, self._secret))
            return OpenAiChatEngine(client, wanted.model, context_tokens=wanted.context, token_limit=wanted.token_limit)
        return await LlamaCppEngine.open(
            wanted.weights,
            self._weights_dir,
            context=wanted.context,
            slots=wanted.slots,
            threads=self._threads,
            catalog=self._catalog,
            progress=self._progress,
        )


class SharedChatEngine:
    """One holder's share of an engine; ``aclose`` gives back the share."""

    def __init__(self, engine: _Engine, give_back: Callable[[], Awaitable[None]]) -> None:
        self._engine = engine
        self._give_back = give_back

    def stream(
        self, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()
    ) -> AsyncGenerator[Chunk, None]:
        return self._engine.stream(messages, options)

    def describe(self) -> EngineDescription:
        return self._engine.describe()

    async def aclose(self) -> None:
        await self._give_back()
