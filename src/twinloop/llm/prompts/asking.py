"""What a chat endpoint asks its generator, from a prompt in either shape.

A template fits when its only variables are ``question`` and ``context``: messages before the last are said first, and the
last is the user's. What an endpoint cannot honour is refused when it is released and not quietly left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from twinloop.core.errors import InvalidInput, Refused
from twinloop.llm.prompts.kind import read_prompt
from twinloop.llm.prompts.model import Prompt, Sampling
from twinloop.llm.prompts.template import TemplatePrompt, fill, variables_of

SYSTEM = "You are a helpful assistant."
"""What a template without a system message begins with; small generators need one."""

_QUESTION, _CONTEXT = "question", "context"
_PLACES = {_QUESTION: "{question}", _CONTEXT: "{context}"}
_OF_THE_MODEL = frozenset({"provider", "model_name"})


class Asking(NamedTuple):
    """``prompt`` as the endpoint uses it. ``wording`` is what the user's last message is put into when no documents are
    searched, with one place ``{{question}}``; None leaves the message as it is."""

    prompt: Prompt
    wording: str | None = None

    def worded(self, question: str) -> str:
        return question if self.wording is None else fill(self.wording, {_QUESTION: question})


def read_asking(ref: str, manifest: Mapping[str, Any], indexed: bool) -> Asking:
    """``indexed`` says that the endpoint searches an index.

    Raises:
        Refused: a template that a chat endpoint cannot use; the message says why and what to do.
        InvalidInput: not a prompt.
    """
    found = read_prompt(manifest)
    if isinstance(found, Prompt):
        return Asking(found)
    return _of_template(ref, found, indexed)


def _of_template(ref: str, template: TemplatePrompt, indexed: bool) -> Asking:
    system, asked = _messages(ref, template)
    strange = [name for name in template.variables if name not in _PLACES]
    if template.has_statements or strange:
        what = f"the variables {', '.join(strange)[:200]}" if strange else "statements ({% … %})"
        raise _unfit(ref, f"it has {what}, and a chat endpoint fills only {{{{question}}}} and {{{{context}}}}")
    if template.response_format is not None:
        raise _unfit(ref, "it asks for answers of a response_format, which a chat endpoint does not enforce")
    if variables_of(system):
        raise _unfit(ref, "its system message has variables, which belong into the user's message")
    places = [name for name in template.variables if name in _PLACES]
    if _QUESTION not in places:
        raise _unfit(ref, "it has no {{question}} for the user's message")
    if (_CONTEXT in places) != indexed:
        raise _unfit(
            ref,
            "it has no {{context}} for the passages of the index that is pinned with it"
            if indexed
            else "its {{context}} is filled from an index, and none is pinned with it",
        )
    options = _options(ref, template.model_config or {})
    if not indexed:
        return Asking(Prompt(system=system, options=options), asked)
    prompt = Prompt(system=system, template=fill(asked, _PLACES), options=options)
    try:
        prompt.check()
    except InvalidInput as error:
        raise _unfit(ref, error.message) from error
    return Asking(prompt)


def _messages(ref: str, template: TemplatePrompt) -> tuple[str, str]:
    """The system text and the user's message."""
    if isinstance(template.template, str):
        return SYSTEM, template.template
    said = [(message.get("role"), message.get("content")) for message in template.template]
    system = [text for role, text in said if role == "system" and isinstance(text, str)]
    asked = [text for role, text in said if role == "user" and isinstance(text, str)]
    if len(asked) != 1 or len(system) + 1 != len(said) or said[-1][0] != "user":
        raise _unfit(ref, "its messages are not system texts followed by one text of the user")
    return "\n\n".join(system).strip() or SYSTEM, asked[0]


def _options(ref: str, config: Mapping[str, Any]) -> Sampling:
    known = {name: config[name] for name in Sampling.__struct_fields__ if config.get(name) is not None}
    strange = sorted(
        name for name, value in config.items() if value is not None and name not in {*known, *_OF_THE_MODEL}
    )
    if strange:
        raise _unfit(
            ref, f"its model_config sets {', '.join(strange)[:200]}, which a chat endpoint does not take from a prompt"
        )
    try:
        options = msgspec.convert(known, Sampling)
        Prompt(system=SYSTEM, options=options).check()
    except (msgspec.ValidationError, InvalidInput) as error:
        raise _unfit(ref, f"its model_config does not fit: {error}") from error
    return options


def _unfit(ref: str, why: str) -> Refused:
    return Refused(
        f"{ref} cannot ask at a chat endpoint: {why.rstrip('.')}. Render it in your program, or register one that fits."
    )
