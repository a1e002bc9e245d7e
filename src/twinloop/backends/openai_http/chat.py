"""The chat engine over OpenAI's API."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence

from twinloop.backends.openai_http import wire
from twinloop.backends.openai_http.client import OpenAiClient
from twinloop.core.errors import InvalidInput
from twinloop.llm.generation.ports import (
    Chunk,
    EngineDescription,
    FinishReason,
    GenerationOptions,
    Message,
    Usage,
)


class OpenAiChatEngine:
    """Implements ``twinloop.llm.generation.ports.ChatEngine``. Owns its client."""

    def __init__(
        self,
        client: OpenAiClient,
        model: str,
        *,
        engine: str = "openai",
        context_tokens: int | None = None,
        digest: str | None = None,
        token_limit: str = "max_tokens",
    ) -> None:
        """``token_limit`` names the request field for the longest answer; newer OpenAI models want ``max_completion_tokens``."""
        self._client = client
        self._description = EngineDescription(engine, model, context_tokens, digest)
        self._token_limit = token_limit

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()
    ) -> AsyncGenerator[Chunk, None]:
        check_request(messages, options)
        body = wire.chat_request(self._description.model, messages, options, self._token_limit)
        if options.whole:
            answer = wire.chat_event(await self._client.json("chat/completions", body, patient=True))
            if answer.text:
                yield Chunk(answer.text)
            yield wire.last_chunk(answer.finish_reason, answer.usage)
            return
        finish: FinishReason | None = None
        usage: Usage | None = None
        async with contextlib.aclosing(self._client.events("chat/completions", body)) as events:
            async for data in events:
                event = wire.chat_event(data)
                finish = event.finish_reason or finish
                usage = event.usage or usage
                if event.text:
                    yield Chunk(event.text)
        yield wire.last_chunk(finish, usage)

    def describe(self) -> EngineDescription:
        return self._description

    async def aclose(self) -> None:
        await self._client.aclose()


def check_request(messages: Sequence[Message], options: GenerationOptions) -> None:
    """Raises InvalidInput for a request that no engine can answer."""
    if not messages:
        raise InvalidInput("There is no message to answer. Send at least one.")
    if options.max_tokens < 1:
        raise InvalidInput(f"max_tokens is {options.max_tokens}. Give 1 or more.")
    if options.temperature is not None and not 0 <= options.temperature <= 2:
        raise InvalidInput(f"temperature is {options.temperature}. Give a number from 0 to 2.")
    if options.top_p is not None and not 0 < options.top_p <= 1:
        raise InvalidInput(f"top_p is {options.top_p}. Give a number above 0, at most 1.")
