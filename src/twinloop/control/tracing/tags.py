"""Which tags and metadata a trace may have, and which of its tags are derived from the rest of it."""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache

import msgspec

from twinloop.core.errors import InvalidInput

NAME = "mlflow.traceName"
LOCATION = "mlflow.artifactLocation"
SPANS = "mlflow.trace.spansLocation"
IN_STORE = "TRACKING_STORE"

COLUMNS = {"twinloop.release": "release", "twinloop.endpoint": "endpoint"}
"""Tags that say which of our releases answered, by the column that knows it."""

KEY_LIMIT = 250
VALUE_LIMIT = 8000
NAME_LIMIT = 4096
SESSION_LIMIT = 250
_KEY = re.compile(r"[/\w.\- :]*\Z")


@lru_cache(maxsize=10_000)
def check_key(key: str) -> str:
    """Return ``key`` if it can name a tag.

    Raises:
        InvalidInput: over 250 characters, a character outside letters, digits, ``_ - . : /`` and space, or a path that
            means another one (``a/../b``).
    """
    shown = msgspec.json.encode(key[:300]).decode()
    if not _KEY.match(key):
        raise InvalidInput(
            f"Invalid value {shown} for parameter 'key' supplied: Names may only contain alphanumerics, underscores (_), "
            "dashes (-), periods (.), spaces ( ), colon(:) and slashes (/)."
        )
    resolved = posixpath.normpath(key)
    if resolved != key or resolved == "." or resolved.startswith(("..", "/")):
        raise InvalidInput(
            f"Invalid value {shown} for parameter 'key' supplied: Names may be treated as files in certain cases, and must "
            f"not resolve to other names when treated as such. This name would resolve to {resolved[:80]!r}."
        )
    if len(key) > KEY_LIMIT:
        raise InvalidInput(f"'key' exceeds the maximum length of {KEY_LIMIT} characters. Use a shorter one.")
    return key


def check_lengths(name: str | None = None, session: str | None = None) -> None:
    """Raises InvalidInput: unlike other tags and metadata, a trace's name and its session are not cut."""
    for what, given, limit in (("Trace name", name, NAME_LIMIT), ("Session ID", session, SESSION_LIMIT)):
        if given is not None and len(given) > limit:
            raise InvalidInput(f"'{what}' exceeds the maximum length of {limit} characters. Use a shorter one.")


def usable(key: str) -> bool:
    """Whether ``key`` can name a tag, for tags that come with spans and are left out when they cannot."""
    try:
        check_key(key)
    except InvalidInput:
        return False
    return True
