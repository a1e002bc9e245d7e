"""The second manifest of a ``prompt`` revision: a text or a list of messages with places for variables.

This is the prompt that MLflow's clients register. A place is ``{{name}}``; names are identifiers, or several joined by
dots (https://mlflow.org/docs/latest/genai/prompt-registry/).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from twinloop.core.errors import InvalidInput, NotOffered

MARK = "format"
"""The field that tells this manifest from one with a ``system`` text."""

_PLACE = re.compile(r"\{\{\s*([a-zA-Z_]\w*(?:\.[a-zA-Z_]\w*)*)\s*\}\}", re.ASCII)
_STATEMENT = re.compile(r"\{%.*?%\}", re.DOTALL)
_NAMES_SHOWN = 20


class TemplatePrompt(msgspec.Struct, frozen=True, omit_defaults=True):
    """``template`` is a text, or messages with ``role`` and ``content``. ``response_format`` is the JSON schema of the
    answer and ``model_config`` the settings that its author had in mind; both are kept as they were given."""

    format: Literal["text", "chat"]
    template: str | list[dict[str, Any]]
    response_format: Any = None
    model_config: dict[str, Any] | None = None

    def check(self) -> None:
        """Raise InvalidInput when the template is not of its format."""
        if self.format == "text":
            if not isinstance(self.template, str):
                raise InvalidInput("The template of a text prompt is a text. Give a string, or the format chat.")
            return
        if isinstance(self.template, str):
            raise InvalidInput("The template of a chat prompt is a list of messages. Give them, or the format text.")
        for number, message in enumerate(self.template):
            if not isinstance(message.get("role"), str):
                raise InvalidInput(f"Message {number} of the template has no role. Give each message role and content.")

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of all places, in the order they first occur."""
        return variables_of(self.template)

    @property
    def has_statements(self) -> bool:
        """Whether it is a program in Jinja's language, which is kept and not run."""
        return any(_STATEMENT.search(text) for text in _texts(self.template))


class Rendered(NamedTuple):
    """``text`` of a text prompt, or ``messages`` of a chat prompt."""

    text: str | None
    messages: list[dict[str, Any]] | None


def render_template(prompt: TemplatePrompt, values: Mapping[str, Any]) -> Rendered:
    """Fill every place; what a value holds is never looked at for places.

    Raises:
        InvalidInput: a variable has no value, or a value no variable; the message names them all.
        NotOffered: the template has statements.
    """
    if prompt.has_statements:
        raise NotOffered(
            "The template holds statements ({% … %}), which are not run here. Render it where it is used, or write it with "
            "plain variables."
        )
    check_values(prompt.variables, values)
    if isinstance(prompt.template, str):
        return Rendered(fill(prompt.template, values), None)
    return Rendered(None, [_filled(message, values) for message in prompt.template])


def check_values(variables: Sequence[str], values: Mapping[str, Any]) -> None:
    """Raise InvalidInput, naming all of them, when a variable has no value or a value no variable."""
    missing = [name for name in variables if name not in values]
    extra = [name for name in values if name not in variables]
    if missing or extra:
        parts = [f"no value for {_shown(missing)}"] if missing else []
        parts += [f"no place for {_shown(extra)}"] if extra else []
        known = _shown(variables) or "none"
        raise InvalidInput(f"There is {' and '.join(parts)}. The prompt's variables are: {known}.")


def variables_of(value: Any) -> tuple[str, ...]:
    """The names of the places in a text, or in all texts of a message or of several, in the order they first occur."""
    return tuple(dict.fromkeys(name for text in _texts(value) for name in _PLACE.findall(text)))


def fill(text: str, values: Mapping[str, Any]) -> str:
    """``text`` with the values of the variables that have one."""
    return _PLACE.sub(lambda place: _said(values[place[1]]) if place[1] in values else place[0], text)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return fill(value, values)
    if isinstance(value, Mapping):
        return {key: _filled(item, values) for key, item in value.items()}
    return [_filled(item, values) for item in value] if isinstance(value, list) else value


def _said(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _shown(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(name[:80] for name in names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
