"""The filter and order grammar of MLflow's searches, read into plain values.

    filter     = clause *( "AND" clause )
    clause     = identifier comparator value | identifier "IS" [ "NOT" ] "NULL"
    identifier = [ entity "." ] key            ; without an entity it is an attribute
    comparator = "=" | "!=" | "<" | "<=" | ">" | ">=" | [ "NOT" ] "IN" | "LIKE" | "ILIKE"
    value      = number | string | "(" string *( "," string ) ")"
    order      = identifier [ "ASC" | "DESC" ]

A key with characters outside letters, digits, ``_`` and ``.`` stands in backticks or quotes. A string stands in single
or double quotes; a doubled quote inside it is one quote. Words of the grammar are read in any case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from twinloop.core.errors import InvalidInput

Entity = Literal["attribute", "metric", "param", "tag", "dataset"]
Value = str | int | float | tuple[str, ...] | None

_LENGTH = 200_000
_CLAUSES = 200
_ORDERS = 20
_ITEMS = 10_000
_PATTERN = 10_000

_NUMERIC = frozenset({"=", "!=", "<", "<=", ">", ">="})
_TEXT = frozenset({"=", "!=", "LIKE", "ILIKE"})
_LIST = frozenset({"IN", "NOT IN"})
_PRESENCE = frozenset({"IS NULL", "IS NOT NULL"})

_SPACE = re.compile(r"\s*")
_IDENTIFIER = re.compile(
    r"""(?:(?P<entity>\w+|`[^`]+`)\s*\.\s*)?
        (?P<key> `[^`]+` | "(?:[^"]|"")+" | '(?:[^']|'')+' | \w[\w.]* )""",
    re.VERBOSE,
)
_COMPARATOR = re.compile(r"<=|>=|!=|=|<|>|(?:IS\s+NOT\s+NULL|IS\s+NULL|NOT\s+IN|IN|I?LIKE)\b", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?!\w)")
_STRING = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*\"""")
_WORD = re.compile(r"\w+")
_NO_VALUE = re.compile(r"(?:TRUE|FALSE|NULL)\b", re.IGNORECASE)
_AND = re.compile(r"AND\b", re.IGNORECASE)
_DIRECTION = re.compile(r"(?:ASC|DESC)\b", re.IGNORECASE)


class Clause(NamedTuple):
    """One comparison. ``value`` is text, a number, a tuple for IN, or None for IS NULL and IS NOT NULL."""

    entity: Entity
    key: str
    comparator: str
    value: Value


class Order(NamedTuple):
    entity: Entity
    key: str
    ascending: bool


@dataclass(frozen=True)
class Vocabulary:
    """What can be searched: the names of entities, and the attributes by type; ``listed`` attributes take IN.

    ``unknown`` is how an error about an attribute that is none of these begins.
    """

    entities: Mapping[str, Entity]
    numeric: frozenset[str]
    text: frozenset[str]
    listed: frozenset[str]
    aliases: Mapping[str, str] = field(default_factory=dict)
    unknown: str = "Invalid attribute key"


_ATTRIBUTES: dict[str, Entity] = dict.fromkeys(("attribute", "attributes", "attr", "run"), "attribute")
_TAGS: dict[str, Entity] = dict.fromkeys(("tag", "tags"), "tag")

RUNS = Vocabulary(
    entities={
        **_ATTRIBUTES,
        **_TAGS,
        **dict.fromkeys(("metric", "metrics"), "metric"),
        **dict.fromkeys(("param", "params", "parameter", "parameters"), "param"),
        **dict.fromkeys(("dataset", "datasets"), "dataset"),
    },
    numeric=frozenset({"start_time", "end_time"}),
    text=frozenset({"run_id", "run_name", "user_id", "status", "artifact_uri"}),
    listed=frozenset({"run_id"}),
    aliases={
        "created": "start_time",
        "Created": "start_time",
        "run name": "run_name",
        "Run name": "run_name",
        "Run Name": "run_name",
    },
)

EXPERIMENTS = Vocabulary(
    entities={"attribute": "attribute", "attributes": "attribute", **_TAGS},
    numeric=frozenset({"creation_time", "last_update_time"}),
    text=frozenset({"name", "experiment_id"}),
    listed=frozenset({"experiment_id"}),
)

_INVALID = "Invalid clause(s) in filter string"
_IN_LIST = "While parsing a list in the query"
_LIST_ADVICE = "Write a list of quoted strings: ('a', 'b')"
_DATASET_KEYS = frozenset({"name", "digest", "context"})


def parse_filter(text: str, vocabulary: Vocabulary) -> tuple[Clause, ...]:
    """Read a filter; an empty one has no clauses.

    Raises:
        InvalidInput: it is not of this grammar; the message quotes the place.
    """
    if len(text) > _LENGTH:
        raise InvalidInput(f"The filter has {len(text)} characters; {_LENGTH} is the most. Search in several steps.")
    reader = _Reader(text, vocabulary)
    clauses: list[Clause] = []
    while not reader.at_end():
        if clauses and reader.take(_AND) is None:
            raise reader.error(_INVALID, "Join clauses with AND; there is no OR and no grouping")
        clauses.append(reader.clause())
        if len(clauses) > _CLAUSES:
            raise InvalidInput(f"The filter has more than {_CLAUSES} clauses. Search in several steps.")
    return tuple(clauses)


def parse_order(texts: Sequence[str], vocabulary: Vocabulary) -> tuple[Order, ...]:
    """Read the items of an order, most significant first. Raises InvalidInput, also when a key comes twice."""
    if len(texts) > _ORDERS:
        raise InvalidInput(f"order_by has {len(texts)} items; {_ORDERS} is the most.")
    orders: list[Order] = []
    for text in texts:
        if len(text) > _LENGTH:
            raise InvalidInput("An item of order_by is too long.")
        reader = _Reader(text, vocabulary)
        entity, key = reader.identifier()
        if entity == "dataset":
            raise InvalidInput(
                f"Invalid order_by entity type 'dataset' in {text[:80]!r}. Order by attributes, metrics, params or tags."
            )
        direction = reader.take(_DIRECTION)
        if not reader.at_end():
            raise InvalidInput(f"Invalid order_by clause '{text[:120]}'. Write: identifier ASC, or identifier DESC.")
        orders.append(Order(entity, key, direction is None or direction.upper() == "ASC"))
    if len({order[:2] for order in orders}) < len(orders):
        raise InvalidInput(f"`order_by` contains duplicate fields: {list(texts)}. Name each once.")
    return tuple(orders)


class _Reader:
    """Reads one text from left to right."""

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        self._text = text
        self._at = 0
        self._words = vocabulary
        self._skip()

    def at_end(self) -> bool:
        return self._at == len(self._text)

    def take(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self._text, self._at)
        if found is None:
            return None
        self._at = found.end()
        self._skip()
        return found.group()

    def error(self, what: str, advice: str) -> InvalidInput:
        return InvalidInput(f"{what}: {self._text[self._at :][:60]!r} at character {self._at}. {advice}.")

    def clause(self) -> Clause:
        written = self._written()
        found = self.take(_COMPARATOR)
        if found is None:
            what = _INVALID if self.at_end() else "Invalid comparator"
            raise self.error(what, "Use = != < <= > >= LIKE ILIKE IN, NOT IN, IS NULL or IS NOT NULL")
        comparator = " ".join(found.upper().split())
        if comparator not in _PRESENCE and (self.at_end() or _NO_VALUE.match(self._text, self._at)):
            raise self.error(_INVALID, "A comparison needs a number or a quoted string")
        entity, key = self._named(written)
        allowed = self._comparators(entity, key)
        if comparator not in allowed and comparator in _PRESENCE:
            raise InvalidInput(
                f"IS NULL / IS NOT NULL is only supported for tags and params, not for {entity} {key!r}."
            )
        if comparator not in allowed and comparator in _LIST and entity == "attribute" and key in self._words.text:
            raise InvalidInput(
                f"Only {sorted(self._words.listed)} attributes support comparison with a list of quoted string values."
            )
        if comparator not in allowed:
            raise InvalidInput(
                f"Invalid comparator '{comparator}' for {entity} {key!r}. It takes one of: {', '.join(sorted(allowed))}."
            )
        if comparator in _PRESENCE:
            return Clause(entity, key, comparator, None)
        if comparator in _LIST:
            return Clause(entity, key, comparator, self._list())
        if entity == "metric" or (entity == "attribute" and key in self._words.numeric):
            return Clause(entity, key, comparator, self._number(entity, key))
        value = self._string(f"a quoted string value for {entity} {key!r}")
        if comparator in ("LIKE", "ILIKE") and len(value) > _PATTERN:
            raise InvalidInput(f"A pattern has more than {_PATTERN} characters. Use a shorter one.")
        return Clause(entity, key, comparator, value)

    def identifier(self) -> tuple[Entity, str]:
        return self._named(self._written())

    def _written(self) -> re.Match[str]:
        """An identifier as it is written, before it is known whether there is such a thing."""
        found = _IDENTIFIER.match(self._text, self._at)
        if found is None:
            raise self.error(
                "Expected an identifier",
                "Write metrics.x, params.x, tags.x or an attribute; put other keys in backticks",
            )
        self._at = found.end()
        self._skip()
        return found

    def _named(self, found: re.Match[str]) -> tuple[Entity, str]:
        named = found["entity"]
        if named is None:
            entity: Entity | None = "attribute"
        else:
            entity = self._words.entities.get(named.strip("`"))
        if entity is None:
            raise InvalidInput(
                f"Invalid entity type {named[:60]!r}. Valid values are {', '.join(sorted(set(self._words.entities.values())))}."
            )
        return entity, self._key(entity, found["key"])

    def _key(self, entity: Entity, written: str) -> str:
        key = written[1:-1] if written[0] == "`" else _unquote(written)
        if entity == "attribute":
            key = self._words.aliases.get(key, key)
            valid = self._words.numeric | self._words.text
            if key not in valid:
                raise InvalidInput(
                    f"{self._words.unknown} '{key[:60]}' specified. Valid keys are {', '.join(sorted(valid))}."
                )
        if entity == "dataset" and key not in _DATASET_KEYS:
            raise InvalidInput(
                f"Invalid dataset key '{key[:60]}' specified. Valid keys are {', '.join(sorted(_DATASET_KEYS))}."
            )
        return key

    def _comparators(self, entity: Entity, key: str) -> frozenset[str]:
        if entity == "metric" or (entity == "attribute" and key in self._words.numeric):
            return _NUMERIC
        if entity in ("param", "tag"):
            return _TEXT | _PRESENCE
        if entity == "dataset" or key in self._words.listed:
            return _TEXT | _LIST
        return _TEXT

    def _number(self, entity: Entity, key: str) -> int | float:
        found = self.take(_NUMBER)
        if found is None:
            raise self.error(f"Expected numeric value type for {entity} {key!r}", "Write a number without quotes")
        if found.lstrip("+-").isdigit() and len(found) <= 18:
            return int(found)
        return float(found)

    def _string(self, what: str) -> str:
        found = self.take(_STRING)
        if found is None:
            word = _WORD.match(self._text, self._at)
            if word is not None and not _NUMBER.match(self._text, self._at):
                raise InvalidInput(
                    "Parameter value is either not quoted or unidentified quote types used for string value "
                    f"{word[0][:60]}. Use either single or double quotes."
                )
            raise self.error(f"Expected {what}", "Put it in single or double quotes (e.g. 'my-value')")
        return _unquote(found)

    def _list(self) -> tuple[str, ...]:
        if self.take(_OPEN) is None:
            raise self.error("Expected a list", _LIST_ADVICE)
        if self.take(_CLOSE) is not None:
            raise self.error(
                f"{_IN_LIST}, expected a non-empty list of string values, but got empty list", _LIST_ADVICE
            )
        items = [self._item()]
        while self.take(_COMMA) is not None:
            if self.take(_CLOSE) is not None:
                return tuple(items)
            items.append(self._item())
            if len(items) > _ITEMS:
                raise InvalidInput(f"A list has more than {_ITEMS} items. Search in several steps.")
        if self.take(_CLOSE) is None:
            raise self.error(f"{_INVALID}: the list is not closed", _LIST_ADVICE)
        return tuple(items)

    def _item(self) -> str:
        found = self.take(_STRING)
        if found is not None:
            return _unquote(found)
        if self.at_end():
            raise self.error(f"{_INVALID}: the list is not closed", _LIST_ADVICE)
        if _NUMBER.match(self._text, self._at):
            raise self.error(
                f"{_IN_LIST}, expected string value, punctuation, or whitespace, but got different type in list",
                _LIST_ADVICE,
            )
        raise self.error(
            f"{_IN_LIST}, expected a non-empty list of string values, but got ill-formed list", _LIST_ADVICE
        )

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at


_OPEN, _COMMA, _CLOSE = re.compile(r"\("), re.compile(","), re.compile(r"\)")


def _unquote(written: str) -> str:
    quote = written[0]
    return written[1:-1].replace(quote * 2, quote) if quote in "'\"" else written
