"""What the LLM lane needs of an engine that writes text."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "content_filter", "tool_calls"]


class Message(msgspec.Struct, frozen=True):
    role: Role
    content: str


class GenerationOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to sample. ``None`` leaves a value to the engine. ``json_schema`` forces an answer that is JSON of that schema.

    ``whole`` allows the engine to give the text as one chunk, which costs a provider's client far less.
    """

    max_tokens: int = 256
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: dict[str, Any] | None = None
    whole: bool = False


class Usage(msgspec.Struct, frozen=True):
    """Tokens as the engine counted them; ``cached_tokens`` of the input were not computed again."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0


class Chunk(msgspec.Struct, frozen=True):
    """A piece of the answer. The last, and only it, has a ``finish_reason``; ``usage`` comes with it when known."""

    text: str
    finish_reason: FinishReason | None = None
    usage: Usage | None = None


class EngineDescription(msgspec.Struct, frozen=True):
    """Who answers: for traces and prices. ``digest`` names the weights, ``None`` where a provider hides them."""

    engine: str
    model: str
    context_tokens: int | None = None
    digest: str | None = None


class ChatEngine(Protocol):
    """An open generator. Safe to use from many tasks at once; requests beyond its slots wait in the engine."""

    def stream(
        self, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()
    ) -> AsyncGenerator[Chunk, None]:
        """Generate one answer, piece by piece. Use with ``contextlib.aclosing``: closing early stops the engine's work.

        Raises, from the iteration:
            InvalidInput: no message, or the prompt does not fit the context.
            Unavailable: the engine is starting, down or overloaded; nothing was generated, try again.
            DeadlineExceeded: it took too long.
            UpstreamError: the provider refused or failed; the message carries what it said.
        """
        ...

    def describe(self) -> EngineDescription: ...

    async def aclose(self) -> None:
        """Give the engine back. Calling it twice is allowed."""
        ...


class ChatEngineFactory(Protocol):
    """Opens the engine that the manifest of a ``generator`` revision describes.

    ``{"engine": "llamacpp", "weights": "smollm2-135m-instruct-q4_1", "context": 4096}`` or
    ``{"engine": "openai", "url": "https://…/v1", "model": "…", "secret": "NAME"}``.
    The fields ``description``, ``files`` and ``options`` belong to the revision and are left alone; any other is refused.
    """

    def validate(self, manifest: Mapping[str, Any]) -> None:
        """Check the manifest without opening anything.

        Raises:
            InvalidInput: an unknown engine or weights name, or a field that is missing or of the wrong type.
        """
        ...

    async def open(self, manifest: Mapping[str, Any]) -> ChatEngine:
        """Engines of equal manifests share one process; it ends when the last of them is closed.

        Raises:
            InvalidInput: as ``validate``.
            Unavailable: the weights cannot be fetched now, or the engine does not start.
            MissingDependency: the engine's package is not installed.
        """
        ...
