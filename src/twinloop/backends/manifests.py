"""Read the engine's part of a manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from twinloop.core.errors import InvalidInput

_FOREIGN = frozenset({"description", "files", "options"})  # fields of the revision that are not the engine's


def decode(manifest: Mapping[str, Any], form: Any, kind: str) -> Any:
    """The manifest as ``form``, a union of structs tagged by ``engine``.

    Raises:
        InvalidInput: an unknown engine, or a field that is missing, unknown or of the wrong type.
    """
    own = {name: value for name, value in manifest.items() if name not in _FOREIGN}
    try:
        return msgspec.convert(own, form)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"The {kind}'s manifest is wrong: {error}. See the reference of {kind}s for its fields."
        ) from error


def secret_value(name: str | None, lookup: Callable[[str], str | None]) -> str | None:
    """The secret called ``name``; None when no name is given.

    Raises:
        InvalidInput: a name is given but no such secret is set.
    """
    if name is None:
        return None
    value = lookup(name)
    if not value:
        raise InvalidInput(f"The secret {name!r} is not set. Set it in the server's environment or secrets file.")
    return value
