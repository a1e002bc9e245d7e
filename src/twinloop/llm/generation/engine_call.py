"""One call of the generator, recorded as a span with OpenTelemetry's ``gen_ai`` attributes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Literal

from twinloop.control.releases.answers import Usage
from twinloop.control.tracing.model import SpanBuilder
from twinloop.llm.generation.ports import ChatEngine, GenerationOptions, Message

_CHARS_PER_TOKEN = 4


class EngineCall:
    """Streams one answer's text; afterwards ``usage`` and ``finish`` tell how it ended."""

    def __init__(self, engine: ChatEngine, messages: Sequence[Message], options: GenerationOptions) -> None:
        self._engine = engine
        self._messages = messages
        self._options = options
        self.text = ""
        self.usage = Usage()
        self.finish: Literal["stop", "length"] = "stop"

    async def stream(self, parent: SpanBuilder) -> AsyncGenerator[str, None]:
        """Pieces of text. Closing it early stops the engine, and then ``usage`` is an estimate."""
        described = self._engine.describe()
        span = parent.child(f"chat {described.model}", kind="client")
        span.attributes |= _request_attributes(described.engine, described.model, self._options)
        span.attributes["gen_ai.input.messages"] = [_message(m.role, m.content) for m in self._messages]
        pieces = 0
        counted = False
        with span:
            try:
                async with aclosing(self._engine.stream(self._messages, self._options)) as chunks:
                    async for chunk in chunks:
                        if chunk.usage is not None:
                            self.usage = Usage(chunk.usage.input_tokens, chunk.usage.output_tokens)
                            counted = True
                        if chunk.finish_reason is not None:
                            self.finish = "length" if chunk.finish_reason == "length" else "stop"
                        if chunk.text:
                            pieces += 1
                            self.text += chunk.text
                            yield chunk.text
                span.status = "ok"
            except GeneratorExit:
                span.status = "ok"
                span.attributes["twinloop.stopped_early"] = True
                raise
            finally:
                if not counted:
                    sent = sum(len(message.content) for message in self._messages)
                    self.usage = Usage(sent // _CHARS_PER_TOKEN, pieces)
                    span.attributes["twinloop.usage.estimated"] = True
                span.attributes |= {
                    "gen_ai.usage.input_tokens": self.usage.prompt_tokens,
                    "gen_ai.usage.output_tokens": self.usage.completion_tokens,
                    "gen_ai.response.finish_reasons": [self.finish],
                    "gen_ai.output.messages": [_message("assistant", self.text)],
                }


def _request_attributes(engine: str, model: str, options: GenerationOptions) -> dict[str, Any]:
    wanted = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": engine,
        "gen_ai.request.model": model,
        "gen_ai.request.max_tokens": options.max_tokens,
        "gen_ai.request.temperature": options.temperature,
        "gen_ai.request.top_p": options.top_p,
        "gen_ai.request.seed": options.seed,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _message(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": content}]}
