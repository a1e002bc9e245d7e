"""The OpenAI API's JSON, as far as Twinloop answers it.

Source: OpenAI's OpenAPI description (``CreateChatCompletionRequest``, ``CreateEmbeddingRequest`` and their responses).
Fields that are accepted and change nothing here (``metadata``, ``store``, …) are not declared; fields that
would change the answer are, so that they can be refused by name.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class ContentPart(msgspec.Struct, frozen=True):
    type: str
    text: str | None = None


class RequestMessage(msgspec.Struct, frozen=True):
    role: str
    content: str | list[ContentPart] | None = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class ChatCompletionRequest(msgspec.Struct, frozen=True):
    model: str
    messages: list[RequestMessage]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    # Who the end user is: keeps them on one side of a canary.
    user: str | None = None
    safety_identifier: str | None = None
    # Refused unless they ask for nothing.
    n: int | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    functions: list[Any] | None = None
    function_call: Any = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, Any] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    response_format: Any = None
    modalities: list[str] | None = None
    audio: Any = None
    prediction: Any = None
    web_search_options: Any = None
    moderation: Any = None
    reasoning_effort: str | None = None
    verbosity: str | None = None


class UrlCitation(msgspec.Struct, frozen=True):
    """``[start_index, end_index)`` are characters of the message; ``url`` names the revision and the characters in it."""

    start_index: int
    end_index: int
    url: str
    title: str


class Annotation(msgspec.Struct, frozen=True):
    url_citation: UrlCitation
    type: Literal["url_citation"] = "url_citation"


class Provenance(msgspec.Struct, frozen=True):
    """Twinloop's addition to an answer: what gave it, and what it cites."""

    release: str
    trace: str
    declined: bool = False
    citations: tuple[Any, ...] = ()


class ResponseMessage(msgspec.Struct, frozen=True):
    content: str
    annotations: tuple[Annotation, ...] = ()
    refusal: None = None
    role: Literal["assistant"] = "assistant"


class Choice(msgspec.Struct, frozen=True):
    message: ResponseMessage
    finish_reason: Literal["stop", "length"]
    index: int = 0
    logprobs: None = None


class CompletionUsage(msgspec.Struct, frozen=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(msgspec.Struct, frozen=True):
    id: str
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: CompletionUsage
    twinloop: Provenance
    object: Literal["chat.completion"] = "chat.completion"


class EmbeddingRequest(msgspec.Struct, frozen=True):
    model: str
    input: str | list[Any]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


class EmbeddingUsage(msgspec.Struct, frozen=True):
    prompt_tokens: int
    total_tokens: int


class Embedding(msgspec.Struct, frozen=True):
    index: int
    embedding: list[float] | str
    object: Literal["embedding"] = "embedding"


class EmbeddingList(msgspec.Struct, frozen=True):
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
    twinloop: Provenance
    object: Literal["list"] = "list"


class Model(msgspec.Struct, frozen=True):
    id: str
    created: int
    object: Literal["model"] = "model"
    owned_by: str = "twinloop"


class ModelList(msgspec.Struct, frozen=True):
    data: list[Model]
    object: Literal["list"] = "list"


class ErrorBody(msgspec.Struct, frozen=True):
    message: str
    type: str
    param: str | None = None
    code: str | None = None
    trace: str | None = None


class ErrorResponse(msgspec.Struct, frozen=True):
    error: ErrorBody
