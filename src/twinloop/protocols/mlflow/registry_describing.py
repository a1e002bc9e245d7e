"""What a version registered by MLflow's clients is: a described folder of files, or a prompt's template."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from twinloop.control.security.model import Principal
from twinloop.core.errors import InvalidInput
from twinloop.ml.training.describing import Packages, Source
from twinloop.protocols.mlflow.registry import Described, Given
from twinloop.protocols.mlflow.registry_checks import PROMPT_TEXT
from twinloop.protocols.mlflow.registry_translate import PROMPT, PROMPT_TYPE

_RESPONSE_FORMAT = "_mlflow_prompt_response_format"
_MODEL_CONFIG = "_mlflow_prompt_model_config"


class Describing:
    """Implements Describe over the packages of the artifact tree."""

    def __init__(self, packages: Packages) -> None:
        self._packages = packages

    async def __call__(self, who: Principal, given: Given) -> Described:
        if given.kind == PROMPT:
            return Described(prompt_manifest(given.tags))
        found = await self._packages.describe(who, Source(given.source, given.run_id, given.model_id, given.storage))
        return Described(msgspec.to_builtins(found), detail=found.told())


def prompt_manifest(tags: Mapping[str, str]) -> dict[str, Any]:
    """The template that the tags of a prompt's version hold. Raises InvalidInput when they are not what they say."""
    text = tags.get(PROMPT_TEXT, "")
    chat = tags.get(PROMPT_TYPE) == "chat"
    manifest: dict[str, Any] = {
        "format": "chat" if chat else "text",
        "template": _json(text, PROMPT_TEXT) if chat else text,
    }
    for tag, name in ((_RESPONSE_FORMAT, "response_format"), (_MODEL_CONFIG, "model_config")):
        if tags.get(tag):
            manifest[name] = _json(tags[tag], tag)
    return manifest


def _json(text: str, tag: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"The tag {tag} is not valid JSON: {error}. Register the prompt with MLflow's client."
        ) from error
