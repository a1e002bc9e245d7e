"""A prompt, passages and a question become messages, so that text from documents stays text.

Passages stand between ``<passage n="1">`` and ``</passage>``. Nothing inside one can close it, open another, or form a
control token of a chat template such as ``<|im_end|>``: the ``<`` of such a sequence is replaced by a look-alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from twinloop.llm.prompts.model import Prompt

_PLACE = re.compile(r"\{(context|question)\}")
_FENCE = re.compile(r"<(?=\s*/?\s*passage\b)", re.IGNORECASE)
_CONTROL = re.compile(r"<(?=\|)|(?<=\|)>|<(?=/?s>|/?(?:start|end)_of_turn>|[｜])|\[(?=/?(?:INST|SYS)\])", re.IGNORECASE)
_LOOKS_LIKE = {"<": "‹", ">": "›", "[": "⟦"}


class Passage(NamedTuple):
    """What a document says, and under which title and heading."""

    source: str
    text: str


def render(prompt: Prompt, question: str, passages: Sequence[Passage]) -> str:
    """The user message for a question. Braces in passages and question are left as they are."""
    values = {
        "context": "\n".join(_fenced(number, passage) for number, passage in enumerate(passages, 1)),
        "question": inert(question),
    }
    return place_values(prompt.template, values)


def place_values(template: str, values: Mapping[str, str]) -> str:
    """``template`` with the texts for ``context`` and ``question``, once over, so that braces in them are left as they are."""
    return _PLACE.sub(lambda place: values[place[1]], template)


def inert(text: str) -> str:
    """Text without sequences that an engine could take for control tokens of its chat template."""
    return _CONTROL.sub(lambda found: _LOOKS_LIKE[found[0]], text)


def _fenced(number: int, passage: Passage) -> str:
    text = _FENCE.sub("‹", inert(passage.text))
    source = _FENCE.sub("‹", inert(passage.source)).replace('"', "'")
    return f'<passage n="{number}" from="{source}">\n{text}\n</passage>'
