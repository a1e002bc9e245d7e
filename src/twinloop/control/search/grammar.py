"""The grammar of MLflow's searches for runs, experiments, models and datasets: what a ``Vocabulary`` says can be searched."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
from twinloop.core.errors import InvalidInput

_TEXT = frozenset({"=", "!=", "LIKE", "ILIKE"})
_IDENTIFIERS = identifiers(r"\w[\w.]*")
_NO_VALUE = re.compile(r"(?:TRUE|FALSE|NULL|AND)\b", re.IGNORECASE)
_BARE = re.compile(r"\w+")
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)


@dataclass(frozen=True)
class Vocabulary:
    """What can be searched: the names of entities, and the attributes by type; ``listed`` attributes take IN.

    ``listed_pairs`` says that params and tags take it too. ``fixed`` are entities whose keys are given: their values are
    text, and rows are not ordered by them. ``unknown`` is how an error about an attribute that is none of these begins.
    ``whole`` are numeric attributes that are whole numbers; these may be written in quotes.
    """

    entities: Mapping[str, str]
    numeric: frozenset[str]
    text: frozenset[str]
    listed: frozenset[str]
    aliases: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unknown: str = "Invalid attribute key"
    listed_pairs: bool = False
    whole: frozenset[str] = frozenset()


def parse_filter(text: str, vocabulary: Vocabulary) -> tuple[Clause, ...]:
    """Read a filter; an empty one has no clauses.

    Raises:
        InvalidInput: it is not of this grammar; the message quotes the place.
    """
    reader = Reader(text, _IDENTIFIERS)
    return reader.clauses(lambda: _clause(reader, vocabulary))


def parse_order(texts: Sequence[str], vocabulary: Vocabulary) -> tuple[Order, ...]:
    """Read the items of an order, most significant first. Raises InvalidInput, also when a key comes twice."""

    def named(reader: Reader) -> tuple[str, str]:
        entity, key = _named(_written(reader), vocabulary)
        if entity in vocabulary.fixed:
            raise InvalidInput(
                f"Invalid order_by entity type '{entity}' for {key!r}. Order by attributes, metrics, params or tags."
            )
        return entity, key

    return read_orders(texts, _IDENTIFIERS, named)


def _clause(reader: Reader, vocabulary: Vocabulary) -> Clause:
    written = _written(reader)
    comparator = reader.comparator()
    if comparator is None:
        what = INVALID if reader.at_end() else "Invalid comparator"
        raise reader.error(what, "Use = != < <= > >= LIKE ILIKE IN, NOT IN, IS NULL or IS NOT NULL")
    if comparator not in PRESENCE and (reader.at_end() or reader.at(_NO_VALUE)):
        raise reader.error(INVALID, "A comparison needs a number or a quoted string")
    entity, key = _named(written, vocabulary)
    allowed = _comparators(entity, key, vocabulary)
    if comparator not in allowed:
        raise _refusal(entity, key, comparator, allowed, vocabulary)
    if comparator in PRESENCE:
        return Clause(entity, key, comparator, None)
    if comparator in LISTS:
        return Clause(entity, key, comparator, reader.strings())
    if allowed is NUMBERS:
        number = _whole(reader, key) if key in vocabulary.whole else _number(reader, entity, key)
        return Clause(entity, key, comparator, number)
    text = _text(reader, entity, key)
    check_pattern(comparator, text)
    return Clause(entity, key, comparator, text)


def _written(reader: Reader) -> Identifier:
    return reader.identifier(
        "Expected an identifier", "Write metrics.x, params.x, tags.x or an attribute; put other keys in backticks"
    )


def _named(written: Identifier, vocabulary: Vocabulary) -> tuple[str, str]:
    """What an identifier stands for. Raises InvalidInput when there is no such thing."""
    entity = "attribute" if written.entity is None else vocabulary.entities.get(written.entity)
    if entity is None:
        valid = ", ".join(sorted(set(vocabulary.entities.values())))
        raise InvalidInput(f"Invalid entity type {str(written.entity)[:60]!r}. Valid values are {valid}.")
    key = written.key
    if entity == "attribute":
        key = vocabulary.aliases.get(key, key)
        valid_keys = vocabulary.numeric | vocabulary.text
        if key not in valid_keys:
            raise InvalidInput(
                f"{vocabulary.unknown} '{key[:60]}' specified. Valid keys are {', '.join(sorted(valid_keys))}."
            )
    elif entity in vocabulary.fixed and key not in vocabulary.fixed[entity]:
        raise InvalidInput(
            f"Invalid {entity} key '{key[:60]}' specified. Valid keys are {', '.join(sorted(vocabulary.fixed[entity]))}."
        )
    return entity, key


def _comparators(entity: str, key: str, vocabulary: Vocabulary) -> frozenset[str]:
    if entity == "metric" or (entity == "attribute" and key in vocabulary.numeric):
        return NUMBERS
    if entity in ("param", "tag"):
        return _TEXT | PRESENCE | LISTS if vocabulary.listed_pairs else _TEXT | PRESENCE
    if entity in vocabulary.fixed or key in vocabulary.listed:
        return _TEXT | LISTS
    return _TEXT


def _refusal(entity: str, key: str, comparator: str, allowed: frozenset[str], vocabulary: Vocabulary) -> InvalidInput:
    if comparator in PRESENCE:
        return InvalidInput(f"IS NULL / IS NOT NULL is only supported for tags and params, not for {entity} {key!r}.")
    if comparator in LISTS and entity == "attribute" and key in vocabulary.text:
        return InvalidInput(
            f"Only {sorted(vocabulary.listed)} attributes support comparison with a list of quoted string values."
        )
    return InvalidInput(
        f"Invalid comparator '{comparator}' for {entity} {key!r}. It takes one of: {', '.join(sorted(allowed))}."
    )


def _whole(reader: Reader, key: str) -> int:
    quoted = reader.string()
    found = _number(reader, "attribute", key) if quoted is None else quoted
    if isinstance(found, int):
        return found
    if isinstance(found, str) and _WHOLE.fullmatch(found):
        return int(found)
    raise InvalidInput(f"Invalid value for numeric attribute '{key}': {str(found)[:60]!r}. Write a whole number.")


def _number(reader: Reader, entity: str, key: str) -> int | float:
    found = reader.number()
    if found is None:
        raise reader.error(f"Expected numeric value type for {entity} {key!r}", "Write a number without quotes")
    return found


def _text(reader: Reader, entity: str, key: str) -> str:
    found = reader.string()
    if found is None:
        word = None if reader.at_number() else reader.take(_BARE)
        if word is not None:
            raise InvalidInput(
                "Parameter value is either not quoted or unidentified quote types used for string value "
                f"{word[:60]}. Use either single or double quotes."
            )
        raise reader.error(
            f"Expected a quoted string value for {entity} {key!r}",
            "Put it in single or double quotes (e.g. 'my-value')",
        )
    return found
