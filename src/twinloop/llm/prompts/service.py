"""The verb of prompts: render one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from twinloop.control.registry.model import Revision
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import Principal, Role
from twinloop.core.errors import InvalidInput
from twinloop.llm.prompts.kind import PromptKind, read_prompt
from twinloop.llm.prompts.model import Prompt
from twinloop.llm.prompts.render import place_values
from twinloop.llm.prompts.template import Rendered, check_values, render_template

_KIND = PromptKind.name


class RenderedPrompt(NamedTuple):
    """What a prompt says with its variables filled, and which revision that was."""

    revision: Revision
    rendered: Rendered


class Prompts:
    """Renders prompts of the registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def render(self, who: Principal, ref: str, values: Mapping[str, Any]) -> RenderedPrompt:
        """Fill the variables of ``ref``: ``prompt/name@3``, ``name@alias`` or ``name``, the newest.

        A prompt with a system text has the variables ``context`` and ``question``.

        Raises:
            NotFound: there is no such prompt.
            InvalidInput: a variable lacks a value, or a value its variable; or the revision is not a prompt.
            NotOffered: the template has statements.
        """
        who.require(Role.viewer)
        revision = await self._registry.get(who, ref if "/" in ref or ":" in ref else f"{_KIND}/{ref}")
        if revision.kind != _KIND:
            raise InvalidInput(f"{revision.ref} is not a prompt. Name one as prompt/name or prompt/name@3.")
        found = read_prompt(revision.manifest)
        rendered = _of_answering(found, values) if isinstance(found, Prompt) else render_template(found, values)
        return RenderedPrompt(revision, rendered)


def _of_answering(prompt: Prompt, values: Mapping[str, Any]) -> Rendered:
    """The messages of a prompt with a system text, the passages being given as the text that stands for them."""
    check_values(("context", "question"), values)
    asked = place_values(prompt.template, {name: str(value) for name, value in values.items()})
    return Rendered(None, [{"role": "system", "content": prompt.system}, {"role": "user", "content": asked}])
