"""Which keys may be logged, and a name for a run that was given none."""

from __future__ import annotations

import posixpath
import random
import re
from collections.abc import Mapping
from functools import lru_cache

from twinloop.core.errors import InvalidInput

KEY_LIMIT = 250
PARAM_LIMIT = 6000
TAG_LIMIT = 8000
EXPERIMENT_TAG_LIMIT = 20_000
EXPERIMENT_NAME_LIMIT = 500

_KEY = re.compile(r"[/\w.\- :]+\Z")
_FIRST = (
    "amber",
    "bold",
    "brisk",
    "calm",
    "clever",
    "crisp",
    "deft",
    "early",
    "fair",
    "fleet",
    "keen",
    "lucid",
    "quiet",
)
_SECOND = (
    "alder",
    "birch",
    "brook",
    "cedar",
    "crane",
    "delta",
    "finch",
    "fjord",
    "heron",
    "larch",
    "otter",
    "reed",
    "wren",
)


@lru_cache(maxsize=10_000)
def check_key(key: str, what: str) -> str:
    """Return ``key`` if it can name a metric, param or tag.

    Raises:
        InvalidInput: empty, over 250 characters, a character outside letters, digits, ``_ - . : /`` and space, or a
            path that means another one (``a/../b``).
    """
    if not _KEY.match(key):
        raise InvalidInput(
            f"Invalid value {key[:80]!r} for parameter '{what}' supplied: Names may only contain alphanumerics, "
            "underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/)."
        )
    plain = posixpath.normpath(key)
    if plain != key or plain == "." or plain.startswith(("..", "/")):
        raise InvalidInput(
            f"Invalid value {key[:80]!r} for parameter '{what}' supplied: Names may be treated as files in certain cases, "
            f"and must not resolve to other names when treated as such. This name would resolve to {plain[:80]!r}."
        )
    if len(key) > KEY_LIMIT:
        raise InvalidInput(f"'{what}' exceeds the maximum length of {KEY_LIMIT} characters. Use a shorter one.")
    return key


def check_pairs(pairs: Mapping[str, str], what: str, limit: int) -> None:
    """Check the keys and the lengths of the values of params or tags."""
    for key, value in pairs.items():
        check_key(key, f"{what} key")
        if len(value) > limit:
            raise InvalidInput(
                f"The value of {what} {key!r} exceeds the maximum length of {limit} characters. Log long text as an artifact."
            )


def check_experiment_name(name: str) -> str:
    if not name.strip():
        raise InvalidInput(f"Invalid experiment name: {name!r}. Give it at least one character.")
    if len(name) > EXPERIMENT_NAME_LIMIT:
        raise InvalidInput(f"'name' exceeds the maximum length of {EXPERIMENT_NAME_LIMIT} characters.")
    return name


def random_name() -> str:
    """A name such as ``brisk-heron-412``; not unique."""
    return f"{random.choice(_FIRST)}-{random.choice(_SECOND)}-{random.randrange(1000)}"
