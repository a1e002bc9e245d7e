"""Requests and answers of the endpoint types, free of any wire format. Protocols decode into these; lanes answer them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

EndpointKind = Literal["predict", "chat", "embed", "search"]


class PredictRequest(msgspec.Struct, frozen=True):
    """``columns`` maps an input's name to one value per row (JSON scalars, None when missing); all of length ``rows``."""

    columns: dict[str, list[Any]]
    rows: int


class PredictAnswer(msgspec.Struct, frozen=True):
    """``columns`` maps an output's name to one value per row, in the request's order."""

    columns: dict[str, list[Any]]
    rows: int


class Message(msgspec.Struct, frozen=True):
    role: Literal["system", "user", "assistant", "tool"]
    content: str


class ChatRequest(msgspec.Struct, frozen=True):
    """A conversation; options that are None take the released prompt's values. ``max_tokens`` counts new tokens.

    ``whole`` says that the caller waits for the end anyway, so that nobody has to take the answer apart for it.
    """

    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    whole: bool = False


class Citation(msgspec.Struct, frozen=True):
    """Where a statement comes from: characters ``[start, end)`` of the document's text, under ``heading`` (a path)."""

    number: int
    document: str
    title: str
    heading: tuple[str, ...]
    start: int
    end: int
    quote: str
    score: float


class Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class ChatDelta(msgspec.Struct, frozen=True):
    """A piece of an answer. The last one has ``finish`` and ``usage``; ``citations`` come with the text they support."""

    text: str = ""
    citations: tuple[Citation, ...] = ()
    finish: Literal["stop", "length", "declined"] | None = None
    usage: Usage | None = None


class EmbedRequest(msgspec.Struct, frozen=True):
    texts: tuple[str, ...]


class EmbedAnswer(msgspec.Struct, frozen=True):
    """``vectors`` has one list of float32 values per text, L2-normalised."""

    vectors: list[list[float]]
    usage: Usage


class SearchRequest(msgspec.Struct, frozen=True):
    query: str
    k: int = 10


class SearchAnswer(msgspec.Struct, frozen=True):
    hits: tuple[Citation, ...]


Request = PredictRequest | ChatRequest | EmbedRequest | SearchRequest
Answer = PredictAnswer | EmbedAnswer | SearchAnswer
