"""OpenAI requests to Twinloop's, and Twinloop's answers to OpenAI's. Pure."""

from __future__ import annotations

import base64
import re
import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twinloop.control.releases.answers import (
    ChatRequest,
    Citation,
    EmbedAnswer,
    EmbedRequest,
    Message,
    Usage,
)
from twinloop.core.errors import InvalidInput
from twinloop.protocols.openai.errors import InvalidParameter, UnsupportedParameter
from twinloop.protocols.openai.wire import (
    Annotation,
    ChatCompletion,
    ChatCompletionRequest,
    Choice,
    CompletionUsage,
    ContentPart,
    Embedding,
    EmbeddingList,
    EmbeddingRequest,
    EmbeddingUsage,
    Provenance,
    RequestMessage,
    ResponseMessage,
    UrlCitation,
)

_MAX_STOPS = 4
_MAX_INPUTS = 2048
_ROLES: dict[str, Any] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_MARK = re.compile(r"\[(\d{1,4})\]")


def _in(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value in values


def _empty(value: Any) -> bool:
    return not value


# For each field: whether a value asks for nothing, and what the caller can do otherwise.
_REFUSED: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("n", _in(1), "Leave it out or send 1, and ask again for another answer."),
    ("tools", _empty, "Leave it out; the release decides what an endpoint uses."),
    ("tool_choice", _in("none", "auto"), "Leave it out; the release decides what an endpoint uses."),
    ("functions", _empty, "Leave it out; the release decides what an endpoint uses."),
    ("function_call", _in("none", "auto"), "Leave it out; the release decides what an endpoint uses."),
    ("logprobs", _empty, "Leave it out or send false."),
    ("top_logprobs", _in(0), "Leave it out."),
    ("logit_bias", _empty, "Leave it out."),
    ("frequency_penalty", _in(0), "Leave it out or send 0."),
    ("presence_penalty", _in(0), "Leave it out or send 0."),
    ("response_format", _in({"type": "text"}), 'Leave it out or send {"type": "text"}.'),
    ("modalities", _in([], ["text"]), 'Leave it out or send ["text"].'),
    ("audio", _empty, "Leave it out; answers are text."),
    ("prediction", _empty, "Leave it out."),
    ("web_search_options", _in(), "Leave it out; endpoints search their own index."),
    ("moderation", _in(), "Leave it out."),
    ("reasoning_effort", _in("none"), "Leave it out; the released prompt sets how the model answers."),
    ("verbosity", _in(), "Leave it out; the released prompt sets how the model answers."),
)


def chat_request(wire: ChatCompletionRequest) -> ChatRequest:
    """Raises InvalidInput, naming the parameter, for what is wrong and for what endpoints do not do."""
    for field, asks_nothing, advice in _REFUSED:
        value = getattr(wire, field)
        if value is not None and not asks_nothing(value):
            raise UnsupportedParameter(field, advice)
    if not wire.messages:
        raise InvalidParameter("messages is empty. Send at least one message.", "messages")
    if wire.stream_options is not None and not wire.stream:
        raise InvalidParameter("stream_options needs stream: true. Leave it out or stream.", "stream_options")
    limit, limit_name = wire.max_completion_tokens, "max_completion_tokens"
    if limit is None:
        limit, limit_name = wire.max_tokens, "max_tokens"
    _check_range(limit_name, limit, 1, None)
    _check_range("temperature", wire.temperature, 0, 2)
    _check_range("top_p", wire.top_p, 0, 1)
    return ChatRequest(
        messages=tuple(_message(number, message) for number, message in enumerate(wire.messages)),
        max_tokens=limit,
        temperature=wire.temperature,
        top_p=wire.top_p,
        seed=wire.seed,
        stop=_stops(wire.stop),
        whole=not wire.stream,
    )


def _check_range(name: str, value: float | None, low: float, high: float | None) -> None:
    if value is None or (low <= value and (high is None or value <= high)):
        return
    bound = f"at least {low}" if high is None else f"between {low} and {high}"
    raise InvalidParameter(f"{name} is {value}, but it must be {bound}.", name)


def _stops(stop: str | list[str] | None) -> tuple[str, ...]:
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(stops) > _MAX_STOPS or "" in stops:
        raise InvalidParameter(f"stop takes up to {_MAX_STOPS} texts, none of them empty.", "stop")
    return stops


def _message(number: int, message: RequestMessage) -> Message:
    where = f"messages[{number}]"
    role = _ROLES.get(message.role)
    if role is None:
        raise InvalidParameter(
            f"{where}.role is {message.role[:40]!r}. Use system, developer, user or assistant; "
            "tool messages are not supported.",
            f"{where}.role",
        )
    for field in ("tool_calls", "function_call", "audio"):
        if getattr(message, field):
            raise UnsupportedParameter(f"{where}.{field}", "Send the message's text only.")
    if message.content is None:
        raise InvalidParameter(f"{where}.content is missing. Send text.", f"{where}.content")
    if isinstance(message.content, str):
        return Message(role, message.content)
    return Message(role, "".join(_part(where, index, part) for index, part in enumerate(message.content)))


def _part(where: str, index: int, part: ContentPart) -> str:
    name = f"{where}.content[{index}]"
    if part.type != "text":
        raise UnsupportedParameter(name, f"It is of type {part.type[:40]!r}; send parts of type text only.")
    if part.text is None:
        raise InvalidParameter(f"{name}.text is missing. Send the part's text.", f"{name}.text")
    return part.text


def completion_usage(usage: Usage) -> CompletionUsage:
    return CompletionUsage(usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens + usage.completion_tokens)


def citation_url(citation: Citation) -> str:
    """``twinloop:document/handbook/intro.md@2#char=10,200``: the revision, and the characters in it (RFC 5147)."""
    return f"twinloop:{citation.document}#char={citation.start},{citation.end}"


def annotate(text: str, citations: Sequence[Citation]) -> tuple[Annotation, ...]:
    """One annotation per ``[n]`` in the text that has a citation; a citation without a mark covers the whole text."""
    by_number = {citation.number: citation for citation in citations}
    found = []
    marked = set()
    for mark in _MARK.finditer(text):
        number = int(mark.group(1))
        if number in by_number:
            marked.add(number)
            found.append(_annotation(by_number[number], mark.start(), mark.end()))
    found.extend(_annotation(c, 0, len(text)) for c in citations if c.number not in marked)
    return tuple(found)


def _annotation(citation: Citation, start: int, end: int) -> Annotation:
    return Annotation(UrlCitation(start, end, citation_url(citation), citation.title))


def chat_completion(
    *, model: str, created: int, text: str, finish: str | None, usage: Usage, provenance: Provenance
) -> ChatCompletion:
    """A whole answer. A declined one finishes with ``stop``; ``twinloop.declined`` says so."""
    message = ResponseMessage(content=text, annotations=annotate(text, provenance.citations))
    return ChatCompletion(
        id=completion_id(provenance.trace),
        created=created,
        model=model,
        choices=(Choice(message, "length" if finish == "length" else "stop"),),
        usage=completion_usage(usage),
        twinloop=provenance,
    )


def completion_id(trace: str) -> str:
    return f"chatcmpl-{trace}"


def embed_request(wire: EmbeddingRequest) -> EmbedRequest:
    """Raises InvalidInput, naming the parameter; token arrays are refused because tokenizers differ between embedders."""
    if wire.dimensions is not None:
        raise UnsupportedParameter("dimensions", "Leave it out; the released embedder sets it.")
    texts = [wire.input] if isinstance(wire.input, str) else wire.input
    if any(isinstance(item, int | list) and not isinstance(item, bool) for item in texts):
        raise UnsupportedParameter("input", "It holds token ids; send a text or a list of texts.")
    if not 1 <= len(texts) <= _MAX_INPUTS:
        raise InvalidParameter(f"input holds {len(texts)} texts. Send between 1 and {_MAX_INPUTS}.", "input")
    for number, item in enumerate(texts):
        if not isinstance(item, str) or not item:
            raise InvalidParameter(f"input[{number}] is not a text with at least one character.", f"input[{number}]")
    return EmbedRequest(tuple(texts))


def embedding_list(wire: EmbeddingRequest, answer: EmbedAnswer, provenance: Provenance) -> EmbeddingList:
    encode = _base64 if wire.encoding_format == "base64" else list
    tokens = answer.usage.prompt_tokens
    return EmbeddingList(
        data=[Embedding(index, encode(vector)) for index, vector in enumerate(answer.vectors)],
        model=wire.model,
        usage=EmbeddingUsage(tokens, tokens),
        twinloop=provenance,
    )


def _base64(vector: Iterable[float]) -> str:
    """Little-endian float32, as OpenAI sends them."""
    values = array("f", vector)
    if sys.byteorder == "big":
        values.byteswap()
    return base64.b64encode(values.tobytes()).decode("ascii")


def check_model(name: str) -> str:
    if not name:
        raise InvalidInput("model is empty. Name an endpoint; GET /v1/models lists them.")
    return name
