"""The manifest of a ``prompt`` revision."""

from __future__ import annotations

from typing import Any

import msgspec

from twinloop.core.errors import InvalidInput

DECLINE = "The documents I was given do not answer this."


class Retrieval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of the documents an answer is made from.

    The ``k`` nearest chunks are read. When neither a chunk nor a sentence in one has a cosine of ``min_score`` to the
    question, it is declined. The generator is shown the ``excerpts`` best sentences of the chunks, or, with 0, the
    whole chunks: a small generator loses its way in much text. ``support`` is the share of a generated sentence's
    words, and of its neighbouring pairs of words, that must stand in the text it is cited to; else it is withheld.
    """

    k: int = 4
    min_score: float = 0.42
    excerpts: int = 0
    support: float = 0.8


class Sampling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    max_tokens: int = 160
    temperature: float = 0.0
    seed: int | None = 0


class Prompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``template`` is what the generator is sent for a question that has documents: ``{context}`` stands for the
    numbered passages, ``{question}`` for the question; all other braces are plain text."""

    system: str
    template: str = "{context}\n\nQuestion: {question}"
    retrieval: Retrieval = Retrieval()
    options: Sampling = Sampling()
    decline: str = DECLINE

    def check(self) -> None:
        """Raise InvalidInput, naming the field, when a value is out of range or the template lacks a place."""
        for place in ("{context}", "{question}"):
            if self.template.count(place) != 1:
                raise InvalidInput(f"template holds {place} {self.template.count(place)} times. Write it exactly once.")
        if not self.system.strip() or not self.decline.strip():
            raise InvalidInput("system and decline need text.")
        if not 1 <= self.retrieval.k <= 50 or not -1 <= self.retrieval.min_score <= 1:
            raise InvalidInput("retrieval needs k between 1 and 50 and min_score between -1 and 1.")
        if not 0 <= self.retrieval.excerpts <= 100 or not 0 <= self.retrieval.support <= 1:
            raise InvalidInput("retrieval needs excerpts between 0 and 100 and support between 0 and 1.")
        if not 1 <= self.options.max_tokens <= 32_768 or not 0 <= self.options.temperature <= 2:
            raise InvalidInput("options needs max_tokens between 1 and 32768 and temperature between 0 and 2.")

    def to_json(self) -> dict[str, Any]:
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built
