"""Manifests of the LLM lane's kinds, from JSON to typed values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from twinloop.core.errors import InvalidInput

T = TypeVar("T")


def decode(manifest: Mapping[str, Any], into: type[T], kind: str) -> T:
    """Raises InvalidInput, naming the field, when ``manifest`` is not one of ``kind``."""
    try:
        return msgspec.convert(manifest, into)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"This is not the manifest of a {kind}: {error}. Correct that field and register again."
        ) from error
