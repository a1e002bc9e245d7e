"""Which keys may be logged, and a name for a run that was given none."""

from __future__ import annotations

import json
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
_chance = random.SystemRandom()
# Adjectives that MLflow gives runs too, for clients that look a name over.
_FIRST = (
    "able",
    "bold",
    "bright",
    "calm",
    "clean",
    "fearless",
    "gentle",
    "gifted",
    "nimble",
    "orderly",
    "peaceful",
    "persistent",
    "polite",
    "rare",
    "silent",
    "sincere",
    "skillful",
    "thoughtful",
    "useful",
    "wise",
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
    if not isinstance(key, str):
        raise InvalidInput(f"{key!r} cannot be a {what}. Give it a name that is text.")
    where = f"Invalid value {json.dumps(key[:80])} for parameter '{'name' if what.startswith('metric') else 'key'}' supplied"
    if not _KEY.match(key):
        raise InvalidInput(
            f"{where}: Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), "
            f"colon(:) and slashes (/). It is a {what}."
        )
    plain = posixpath.normpath(key)
    if plain != key or plain == "." or plain.startswith(("..", "/")):
        raise InvalidInput(
            f"{where}: Names may be treated as files in certain cases, and must not resolve to other names when treated "
            f"as such. This name would resolve to {plain[:80]!r}. It is a {what}."
        )
    if len(key) > KEY_LIMIT:
        said = {"metric key": "Metric name", "param key": "Param key"}.get(what, "key")
        raise InvalidInput(f"'{said}' exceeds the maximum length of {KEY_LIMIT} characters. Use a shorter one.")
    return key


def check_pairs(pairs: Mapping[str, str], what: str, limit: int) -> None:
    """Check the keys and the lengths of the values of params or tags."""
    for key, value in pairs.items():
        check_key(key, f"{what} key")
        if len(value) > limit:
            raise InvalidInput(
                f"'value' exceeds the maximum length of {limit} characters: the {what} {key!r}. Log long text as an artifact."
            )


def check_lengths(pairs: Mapping[str, str], limit: int) -> None:
    """Check the lengths of tags that a client gives a new run, which may have any characters in their keys."""
    for key, value in pairs.items():
        if not key or len(key) > KEY_LIMIT:
            raise InvalidInput(
                f"'key' exceeds the maximum length of {KEY_LIMIT} characters, or is empty: {key[:80]!r}."
            )
        if len(value) > limit:
            raise InvalidInput(f"'value' exceeds the maximum length of {limit} characters: the tag {key!r}.")


def check_limit(limit: int, most: int) -> None:
    """Check how many items a page may have. Raises InvalidInput."""
    if limit < 1:
        raise InvalidInput(
            f"Invalid value {limit} for parameter 'max_results' supplied. It must be a positive integer, {most} at most."
        )
    if limit > most:
        raise InvalidInput(
            f"Invalid value {limit} for parameter 'max_results' supplied. It must be at most {most}. "
            "Turn pages with the token of the page before."
        )


def check_experiment_name(name: str) -> str:
    if not name.strip():
        raise InvalidInput(f"Invalid experiment name: {name!r}. Give it at least one character.")
    if len(name) > EXPERIMENT_NAME_LIMIT:
        raise InvalidInput(f"'name' exceeds the maximum length of {EXPERIMENT_NAME_LIMIT} characters.")
    return name


def random_name() -> str:
    """A name such as ``calm-heron-412``; not unique. The program's own random numbers stay what they are."""
    return f"{_chance.choice(_FIRST)}-{_chance.choice(_SECOND)}-{_chance.randrange(1000)}"
