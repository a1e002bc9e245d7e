"""The parts of OpenAI's JSON that are sent and read, and their translation from and to the ports' values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from twinloop.core.errors import UpstreamError
from twinloop.llm.generation.ports import Chunk, FinishReason, GenerationOptions, Message, Usage

_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
}


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    """``delta`` in an event of a stream, ``message`` in a whole answer."""

    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _CachedTokens(msgspec.Struct):
    cached_tokens: int | None = 0


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _CachedTokens | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


class _Vector(msgspec.Struct):
    index: int
    embedding: list[float]


class _Embeddings(msgspec.Struct):
    data: list[_Vector]


_completion = msgspec.json.Decoder(_Completion)
_embeddings = msgspec.json.Decoder(_Embeddings)


class Event(msgspec.Struct, frozen=True):
    """One event of a chat stream, translated."""

    text: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None


def chat_request(
    model: str, messages: Sequence[Message], options: GenerationOptions, token_limit: str
) -> dict[str, Any]:
    """The body of ``POST chat/completions``; ``token_limit`` is the field that carries ``max_tokens``."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        token_limit: options.max_tokens,
    }
    if not options.whole:
        body.update(stream=True, stream_options={"include_usage": True})
    given = {"temperature": options.temperature, "top_p": options.top_p, "seed": options.seed}
    body.update({name: value for name, value in given.items() if value is not None})
    if options.stop:
        body["stop"] = list(options.stop)
    if options.json_schema is not None:
        schema = {"name": "answer", "strict": True, "schema": options.json_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def chat_event(data: bytes) -> Event:
    """An event of a stream, or a whole answer as one.

    Raises:
        UpstreamError: it is no chat completion, or carries the provider's error.
    """
    try:
        completion = _completion.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UpstreamError(f"The provider sent an event that is not a chat completion chunk: {error}.") from error
    if completion.error is not None:
        raise UpstreamError(f"The provider failed while it answered: {error_text(data)}")
    usage = None
    if completion.usage is not None:
        details = completion.usage.prompt_tokens_details
        cached = details.cached_tokens if details is not None else 0
        usage = Usage(completion.usage.prompt_tokens, completion.usage.completion_tokens, cached or 0)
    if not completion.choices:
        return Event(usage=usage)
    choice = completion.choices[0]
    finish = None if choice.finish_reason is None else _FINISH.get(choice.finish_reason, "stop")
    said = choice.delta or choice.message
    return Event((said.content if said is not None else None) or "", finish, usage)


def last_chunk(finish_reason: FinishReason | None, usage: Usage | None) -> Chunk:
    """Raises UpstreamError when the stream ended without saying why."""
    if finish_reason is None:
        raise UpstreamError("The provider closed the stream in the middle of the answer. Ask again.")
    return Chunk("", finish_reason, usage)


def embedding_rows(data: bytes, count: int, dimensions: int) -> list[list[float]]:
    """The vectors of ``POST embeddings`` in the order of the inputs.

    Raises:
        UpstreamError: not ``count`` vectors of ``dimensions`` numbers.
    """
    try:
        rows = sorted(_embeddings.decode(data).data, key=lambda row: row.index)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UpstreamError(f"The provider's answer is not an embeddings list: {error}.") from error
    if [row.index for row in rows] != list(range(count)):
        raise UpstreamError(f"The provider gave {len(rows)} vectors for {count} texts.")
    wrong = next((len(row.embedding) for row in rows if len(row.embedding) != dimensions), None)
    if wrong is not None:
        raise UpstreamError(
            f"The provider's vectors have {wrong} dimensions, not {dimensions}. Correct 'dimensions' in the embedder."
        )
    return [row.embedding for row in rows]


def error_text(data: bytes) -> str:
    """What an error body says, cut to 500 characters: the message of OpenAI's form, or the text itself."""
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        body = None
    found = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(found, dict):
        found = found.get("message", found.get("detail"))
    text = found if isinstance(found, str) else data.decode("utf-8", "replace")
    return " ".join(text.split())[:500] or "it said nothing"
