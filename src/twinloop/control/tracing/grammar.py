"""What traces are searched by, in the grammar of ``control.search.reader``.

Entities are the trace itself (``trace``, ``attribute``), ``tag``, ``metadata``, ``span``, ``feedback``, ``expectation`` and
``issue``. A key with other characters than letters, digits, ``_``, ``-``, ``/`` and ``.`` stands in backticks or quotes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from twinloop.control.search.reader import (
    INVALID,
    LISTS,
    NUMBERS,
    PRESENCE,
    Clause,
    Identifier,
    Order,
    Reader,
    check_pattern,
    identifiers,
    read_orders,
)
from twinloop.control.tracing.info import SOURCE_RUN
from twinloop.control.tracing.tags import NAME
from twinloop.core.errors import InvalidInput

_REGEX = 1000

NUMERIC = frozenset({"timestamp_ms", "execution_time_ms", "end_time_ms"})
TEXT = frozenset({"request_id", "status", "client_request_id"})
_ALIASES = {"timestamp": "timestamp_ms", "execution_time": "execution_time_ms", "end_time": "end_time_ms"}
_FILTERED = (*NUMERIC, *_ALIASES, *TEXT, "name", "run_id", "prompt", "text")
_ORDERED = (*NUMERIC, *_ALIASES, "request_id", "status", "name", "run_id", "experiment_id")
_ENTITIES: dict[str, str] = {
    **dict.fromkeys(("attribute", "attributes", "trace"), "attribute"),
    **dict.fromkeys(("tag", "tags"), "tag"),
    **dict.fromkeys(("metadata", "request_metadata"), "metadata"),
    "span": "span",
    "feedback": "feedback",
    "expectation": "expectation",
    "issue": "issue",
}
_SPAN_KEYS = ("name", "status", "type")

_ORDER = NUMBERS - {"=", "!="}
_TEXTS = frozenset({"=", "!=", "LIKE", "ILIKE", "RLIKE"})
_IDENTIFIERS = identifiers(r"\w[\w.\-/]*(?:`[^`]+`)?")


@lru_cache(maxsize=256)
def parse_filter(text: str) -> tuple[Clause, ...]:
    """Read a filter; an empty one has no clauses.

    Raises:
        InvalidInput: it is not of this grammar; the message quotes the place.
    """
    reader = Reader(text, _IDENTIFIERS)
    return reader.clauses(lambda: _clause(reader))


def parse_order(texts: Sequence[str]) -> tuple[Order, ...]:
    """Read the items of an order, most significant first. Raises InvalidInput, also when a key comes twice."""
    return read_orders(texts, _IDENTIFIERS, _ordered)


def _ordered(reader: Reader) -> tuple[str, str]:
    entity, key = _named(_written(reader), _ORDERED)
    if entity not in ("attribute", "tag", "metadata", "run"):
        raise InvalidInput(f"Invalid identifier type '{entity}'. Order by attributes, tags or metadata.")
    return ("metadata", SOURCE_RUN) if entity == "run" else (entity, key)


def _written(reader: Reader) -> Identifier:
    return reader.identifier(INVALID, "Write trace.x, tag.x, metadata.x, span.x or feedback.x")


def _named(written: Identifier, attributes: Sequence[str]) -> tuple[str, str]:
    """What an identifier stands for: names, runs and prompts of a trace are kept elsewhere than its attributes."""
    key = written.key
    entity = "attribute" if written.entity is None else _ENTITIES.get(written.entity)
    if entity is None:
        valid = ", ".join(sorted(_ENTITIES))
        raise InvalidInput(f"Invalid entity type '{str(written.entity)[:60]}'. Valid values are {valid}.")
    if entity == "attribute" and key not in attributes:
        raise InvalidInput(
            f"Invalid attribute key '{key[:60]}' specified. Valid keys are {', '.join(sorted(attributes))}."
        )
    if entity == "span":
        return entity, _span_key(key)
    if entity == "issue" and key != "id":
        raise InvalidInput(f"Invalid issue attribute '{key[:60]}'. Supported attributes: id.")
    moved: dict[str, tuple[str, str]] = {
        "name": ("tag", NAME),
        "prompt": ("prompt", "prompt"),
        "run_id": ("run", "run_id"),
        "text": ("span", "content"),
    }
    if entity == "attribute":
        return moved.get(key, (entity, _ALIASES.get(key, key)))
    return ("run", "run_id") if entity == "metadata" and key == SOURCE_RUN else (entity, key)


def _span_key(key: str) -> str:
    if key.startswith("attributes."):
        name = key.removeprefix("attributes.").strip("`")
        if not name:
            raise InvalidInput("Span attribute name cannot be empty after 'attributes.'. Write span.attributes.name.")
        return f"attributes.{name}"
    if key not in (*_SPAN_KEYS, "content"):
        raise InvalidInput(
            f"Invalid span attribute '{key[:60]}'. Supported attributes: {', '.join(_SPAN_KEYS)}, "
            "attributes.<attribute_name>."
        )
    return key


def _clause(reader: Reader) -> Clause:
    written = _written(reader)
    comparator = reader.comparator()
    if comparator is None:
        raise reader.error(
            INVALID,
            "Compare with = != < <= > >= LIKE ILIKE RLIKE IN, NOT IN or IS [NOT] NULL",
        )
    entity, key = _named(written, _FILTERED)
    allowed = _comparators(entity, key)
    if comparator not in allowed:
        raise _refusal(entity, key, comparator, allowed)
    if comparator in PRESENCE:
        return Clause(entity, key, comparator, None)
    if comparator in LISTS:
        return Clause(entity, key, comparator, reader.strings())
    value = _value(reader, entity, key, comparator)
    if entity == "prompt" and str(value).count("/") != 1:
        raise InvalidInput(
            f"Invalid prompts filter value '{str(value)[:100]}'. Expected format: prompt = \"name/version\"."
        )
    return Clause(entity, key, comparator, value)


def _comparators(entity: str, key: str) -> frozenset[str]:
    if entity == "attribute":
        return NUMBERS if key in NUMERIC else _TEXTS | LISTS
    if entity in ("feedback", "expectation"):
        return _TEXTS | _ORDER | PRESENCE
    if entity == "span":
        return frozenset({"LIKE", "ILIKE"}) if key == "content" else _TEXTS | LISTS
    if entity in ("tag", "metadata", "run"):
        return _TEXTS | PRESENCE
    return frozenset({"="})


def _refusal(entity: str, key: str, comparator: str, allowed: frozenset[str]) -> InvalidInput:
    listed = ", ".join(sorted(allowed))
    if entity == "prompt":
        return InvalidInput(
            f"Invalid comparator '{comparator}' for prompts filter. Only '=' is supported with format: "
            'prompt = "name/version".'
        )
    if entity in ("span", "issue"):
        return InvalidInput(f"{entity}.{key} comparator '{comparator}' not one of {listed}.")
    if entity in ("feedback", "expectation"):
        return InvalidInput(f"assessment.{key} comparator '{comparator}' not one of {listed}.")
    return InvalidInput(f"Invalid comparator '{comparator}' not one of {listed}, for {entity} {key!r}.")


def _value(reader: Reader, entity: str, key: str, comparator: str) -> str | int | float:
    if (entity == "attribute" and key in NUMERIC) or comparator in _ORDER:
        number = reader.number()
        if number is None:
            what = f"{entity} when using comparator '{comparator}'" if comparator in _ORDER else f"{entity} {key!r}"
            raise InvalidInput(
                f"Expected a numeric value for {what}. Got value {reader.word()}. Write it without quotes."
            )
        return number
    text = reader.string()
    if text is None:
        raise InvalidInput(
            f"Expected a quoted string value for {entity} (e.g. 'my-value'). Got value {reader.word()} for {key!r}."
        )
    check_pattern(comparator, text)
    if comparator == "RLIKE":
        if len(text) > _REGEX:
            raise InvalidInput(f"A regular expression has more than {_REGEX} characters. Use a shorter one.")
        try:
            re.compile(text)
        except (re.error, RecursionError, OverflowError) as error:
            raise InvalidInput(f"Invalid regular expression {text[:80]!r}: {error}. See Python's module re.") from error
    return text


class NamedValue(NamedTuple):
    """``view.entity = 'value'`` or ``view.entity.key = 'value'``."""

    view: str
    entity: str
    key: str
    value: str


def parse_named_value(text: str) -> NamedValue:
    """Read a filter of trace metrics. Raises InvalidInput."""
    reader = Reader(text, _IDENTIFIERS)
    view, path = _written(reader)
    comparator = reader.comparator()
    if comparator is None:
        raise reader.error(INVALID, "Write trace.status = 'OK'")
    if comparator != "=":
        raise InvalidInput(f"Invalid comparator: '{comparator}', only '=' operator is supported.")
    if view is None:
        raise InvalidInput(
            f"Invalid identifier {path[:60]!r}. Columns should be specified as 'trace.<key>', 'span.<key>', "
            "'assessment.<key>'."
        )
    entity, _, key = path.partition(".")
    value = reader.string()
    if value is None:
        raise InvalidInput(
            f"Expected a quoted string value for {entity} value (e.g. 'my-value'). Got value {reader.word()}."
        )
    if not reader.at_end():
        raise InvalidInput(f"Invalid filter: '{text[:200]}'. Expected one filter clause.")
    return NamedValue(view, entity, key, value)
