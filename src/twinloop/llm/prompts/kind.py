"""The kind ``prompt``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twinloop.core.digests import Digest
from twinloop.llm.documents.manifests import decode
from twinloop.llm.prompts.model import Prompt
from twinloop.llm.prompts.template import MARK, TemplatePrompt


class PromptKind:
    name = "prompt"

    def validate(self, manifest: Mapping[str, Any]) -> None:
        read_prompt(manifest)

    def requires(self, manifest: Mapping[str, Any]) -> Sequence[Digest]:
        return ()


def read_prompt(manifest: Mapping[str, Any]) -> Prompt | TemplatePrompt:
    """Raises InvalidInput, naming the field, when ``manifest`` is not one of a prompt in either shape."""
    if MARK in manifest:
        template = decode(manifest, TemplatePrompt, PromptKind.name)
        template.check()
        return template
    prompt = decode(manifest, Prompt, PromptKind.name)
    prompt.check()
    return prompt
