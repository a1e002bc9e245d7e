"""The chat engine over a supervised llama.cpp."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import msgspec

from twinloop.backends import cores
from twinloop.backends.llamacpp.process import Supervisor
from twinloop.backends.openai_http.chat import OpenAiChatEngine
from twinloop.backends.weights import CATALOG, Catalog, Progress
from twinloop.core.errors import DeadlineExceeded, InvalidInput, MissingDependency, Unavailable
from twinloop.llm.generation.ports import Chunk, EngineDescription, GenerationOptions, Message

_SYSTEM = Message("system", "You are a helpful assistant. Answer briefly.")


class LlamaCppEngine:
    """Implements ``twinloop.llm.generation.ports.ChatEngine``. Owns its supervisor."""

    def __init__(self, supervisor: Supervisor, description: EngineDescription) -> None:
        self.supervisor = supervisor
        self._description = description

    @classmethod
    async def open(
        cls,
        weights: str,
        weights_dir: Path,
        *,
        context: int = 4096,
        slots: int = 2,
        threads: int | None = None,
        catalog: Catalog = CATALOG,
        progress: Progress | None = None,
    ) -> LlamaCppEngine:
        """Fetch the weights, start the process and wait until the model is loaded.

        Args:
            context: tokens of prompt and answer together that one request may use.
            slots: requests answered at a time; further ones wait in the engine.
            threads: defaults to the cores this process may use.

        Raises:
            InvalidInput: the catalog entry holds no GGUF file.
            MissingDependency: xllamacpp is not installed.
            Unavailable: the weights cannot be fetched, or the process does not start.
        """
        file = gguf_of(weights, catalog)
        require_xllamacpp()
        paths = await catalog.fetch_async(weights, weights_dir, progress)
        supervisor = Supervisor(paths[file], context=context, slots=slots, threads=threads or cores.available())
        await supervisor.start()
        digest = "sha256:" + catalog.entry(weights).file(file).sha256
        return cls(supervisor, EngineDescription("llamacpp", weights, context, digest))

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()
    ) -> AsyncGenerator[Chunk, None]:
        """As the port says. A request that a dying process took and did not begin is given once to the next process."""
        # Without a system message SmolLM2's template puts in one of its own that speaks of its maker.
        if messages and messages[0].role != "system":
            messages = [_SYSTEM, *messages]
        # A stream is what lets the engine notice that nobody waits any more.
        options = msgspec.structs.replace(options, whole=False)
        client = await self.supervisor.client()
        try:
            async with contextlib.aclosing(OpenAiChatEngine(client, "local").stream(messages, options)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        except DeadlineExceeded:
            raise
        except Unavailable:
            if not await self.supervisor.replaced(client):
                raise
        client = await self.supervisor.client()
        async with contextlib.aclosing(OpenAiChatEngine(client, "local").stream(messages, options)) as chunks:
            async for chunk in chunks:
                yield chunk

    def describe(self) -> EngineDescription:
        return self._description

    async def aclose(self) -> None:
        await self.supervisor.aclose()


def gguf_of(weights: str, catalog: Catalog = CATALOG) -> str:
    """The name of the entry's GGUF file; raises InvalidInput when there is none."""
    for file in catalog.entry(weights).files:
        if file.name.endswith(".gguf"):
            return file.name
    raise InvalidInput(f"The weights {weights!r} hold no GGUF file, which llama.cpp needs. Choose other weights.")


def require_xllamacpp() -> None:
    from importlib.util import find_spec

    if find_spec("xllamacpp") is None:
        raise MissingDependency("xllamacpp", "llm")
