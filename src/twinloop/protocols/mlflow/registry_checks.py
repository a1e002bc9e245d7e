"""What MLflow lets registered models, their tags and their aliases be called. Pure."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Sequence

from twinloop.control.registry.model import STAGES, Stage
from twinloop.control.tracking.names import check_key
from twinloop.core.errors import InvalidInput
from twinloop.protocols.mlflow.registry_wire import Tag

PROMPT_TEXT = "mlflow.prompt.text"
_TAG_LIMIT = 100_000
_ALIAS_LIMIT = 255
_VERSIONS_END = 2**63
_ALIAS = re.compile(r"[\w\-]*\Z")
_VERSION_ALIAS = re.compile(r"[vV]\d+\Z")
_STAGES: dict[str, Stage] = {stage.lower(): stage for stage in STAGES}


def required(value: str | None, name: str) -> str:
    """Raises InvalidInput when a value is missing or empty."""
    if not value:
        raise InvalidInput(
            f"Missing value for required parameter '{name}'. See MLflow's REST documentation for what the call takes."
        )
    return value


def check_title(title: str, name: str = "name") -> str:
    """A registered model's name. Raises InvalidInput when MLflow's clients could not address it."""
    if not title.strip():
        required("", name)
    if "/" in title or ":" in title:
        raise InvalidInput(f"Invalid model name '{title[:200]}'. Names cannot contain '/' or ':'.")
    plain = posixpath.normpath(title)
    if plain != title or plain == "." or plain.startswith(("..", "/")):
        raise InvalidInput(
            f"Invalid value {json.dumps(title[:200])} for parameter 'name' supplied: Names may be treated as files in certain "
            f"cases, and must not resolve to other names when treated as such. This name would resolve to {plain[:200]!r}"
        )
    return title


def number(version: str | None) -> int:
    """A version as a number; one that none can have is -1. Raises InvalidInput."""
    given = required(version, "version")
    try:
        found = int(given)
    except ValueError:
        raise InvalidInput(f"Parameter 'version' must be an integer, got '{given[:100]}'.") from None
    return found if abs(found) < _VERSIONS_END else -1


def tags(given: Sequence[Tag] | None) -> dict[str, str]:
    """Tags by key, the last of equal keys. Raises InvalidInput for a key or a value that MLflow would not keep."""
    return {key: value for tag in given or () for key, value in (tag_of(tag.key, tag.value),)}


def tag_of(key: str | None, value: str | None) -> tuple[str, str]:
    name = check_key(required(key, "key"), "key")
    text = value or ""
    if len(text) > _TAG_LIMIT:
        if name == PROMPT_TEXT:
            raise InvalidInput(f"Prompt text exceeds max length of {_TAG_LIMIT} characters.")
        raise InvalidInput(f"'value' exceeds the maximum length of {_TAG_LIMIT} characters")
    return name, text


def alias_of(alias: str | None) -> str:
    """Raises InvalidInput for a name that no alias can have."""
    name = required(alias, "alias")
    if not _ALIAS.match(name):
        raise InvalidInput(
            f"Invalid alias name: '{name[:200]}'. Names may only contain alphanumerics, underscores (_), and dashes (-)."
        )
    if len(name) > _ALIAS_LIMIT:
        raise InvalidInput(f"'Registered model alias name' exceeds the maximum length of {_ALIAS_LIMIT} characters")
    return name


def new_alias(alias: str | None) -> str:
    """An alias that may be set: one that does not mean something already."""
    name = alias_of(alias)
    if name.lower() == "latest":
        raise InvalidInput("'latest' alias name (case insensitive) is reserved. Choose another one.")
    if _VERSION_ALIAS.match(name):
        raise InvalidInput(f"Version alias name '{name[:100]}' is reserved. Choose one that is not a version.")
    return name


def stage_of(stage: str) -> Stage:
    """Stages are read in any case. Raises InvalidInput."""
    found = _STAGES.get(stage.lower())
    if found is None:
        raise InvalidInput(f"Invalid Model Version stage: {stage[:100]}. Value must be one of {', '.join(STAGES)}.")
    return found
