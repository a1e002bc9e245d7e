"""The filter and order grammar of MLflow's trace searches, read into plain values.

    filter     = clause *( "AND" clause )
    clause     = identifier comparator value | identifier "IS" [ "NOT" ] "NULL"
    identifier = [ entity "." ] key            ; without an entity it is an attribute of the trace
    comparator = "=" | "!=" | "<" | "<=" | ">" | ">=" | [ "NOT" ] "IN" | "LIKE" | "ILIKE" | "RLIKE"
    value      = number | string | "(" string *( "," string ) ")"
    order      = identifier [ "ASC" | "DESC" ]

Entities are the trace itself (``trace``, ``attribute``), ``tag``, ``metadata``, ``span``, ``feedback``, ``expectation`` and
``issue``. A key with other characters than letters, digits, ``_``, ``-``, ``/`` and ``.`` stands in backticks or quotes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from twinloop.control.tracing.info import SOURCE_RUN
from twinloop.control.tracing.tags import NAME
from twinloop.core.errors import InvalidInput

Entity = Literal["attribute", "tag", "metadata", "span", "feedback", "expectation", "issue", "run", "prompt"]
Value = str | int | float | tuple[str, ...] | None

_LENGTH = 200_000
_CLAUSES = 200
_ITEMS = 10_000
_PATTERN = 10_000
_REGEX = 1000
_ORDERS = 20

NUMERIC = frozenset({"timestamp_ms", "execution_time_ms", "end_time_ms"})
TEXT = frozenset({"request_id", "status", "client_request_id"})
_ALIASES = {"timestamp": "timestamp_ms", "execution_time": "execution_time_ms", "end_time": "end_time_ms"}
_FILTERED = (*NUMERIC, *_ALIASES, *TEXT, "name", "run_id", "prompt", "text")
_ORDERED = (*NUMERIC, *_ALIASES, "request_id", "status", "name", "run_id", "experiment_id")
_LISTED = ("name", "status", "request_id", "run_id", "client_request_id")
_ENTITIES: dict[str, Entity] = {
    **dict.fromkeys(("attribute", "attributes", "trace"), "attribute"),
    **dict.fromkeys(("tag", "tags"), "tag"),
    **dict.fromkeys(("metadata", "request_metadata"), "metadata"),
    "span": "span",
    "feedback": "feedback",
    "expectation": "expectation",
    "issue": "issue",
}
_SPAN_KEYS = ("name", "status", "type")

_ORDER = frozenset({"<", "<=", ">", ">="})
_NUMBERS = _ORDER | {"=", "!="}
_TEXTS = frozenset({"=", "!=", "LIKE", "ILIKE", "RLIKE"})
_LISTS = frozenset({"IN", "NOT IN"})
_PRESENCE = frozenset({"IS NULL", "IS NOT NULL"})

_SPACE = re.compile(r"\s*")
_IDENTIFIER = re.compile(
    r"""(?:(?P<entity>\w+|`[^`]+`)\s*\.\s*)?
        (?P<key> `[^`]+` | "(?:[^"]|"")+" | '(?:[^']|'')+' | \w[\w.\-/]*(?:`[^`]+`)? )""",
    re.VERBOSE,
)
_COMPARATOR = re.compile(r"<=|>=|!=|=|<|>|(?:IS\s+NOT\s+NULL|IS\s+NULL|NOT\s+IN|IN|[IR]?LIKE)\b", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?!\w)")
_STRING = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*\"""")
_WORD = re.compile(r"[^\s,()]+")
_AND = re.compile(r"AND\b", re.IGNORECASE)
_DIRECTION = re.compile(r"(?:ASC|DESC)\b", re.IGNORECASE)
_OPEN, _COMMA, _CLOSE = re.compile(r"\("), re.compile(","), re.compile(r"\)")


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


@lru_cache(maxsize=256)
def parse_filter(text: str) -> tuple[Clause, ...]:
    """Read a filter; an empty one has no clauses.

    Raises:
        InvalidInput: it is not of this grammar; the message quotes the place.
    """
    if len(text) > _LENGTH:
        raise InvalidInput(f"The filter has {len(text)} characters; {_LENGTH} is the most. Search in several steps.")
    reader = _Reader(text)
    clauses: list[Clause] = []
    while not reader.at_end():
        if clauses and reader.take(_AND) is None:
            raise reader.error(
                "Invalid clause(s) in filter string", "Join clauses with AND; there is no OR, no grouping"
            )
        clauses.append(_clause(reader))
        if len(clauses) > _CLAUSES:
            raise InvalidInput(f"The filter has more than {_CLAUSES} clauses. Search in several steps.")
    return tuple(clauses)


def parse_order(texts: Sequence[str]) -> tuple[Order, ...]:
    """Read the items of an order, most significant first. Raises InvalidInput, also when a key comes twice."""
    if len(texts) > _ORDERS:
        raise InvalidInput(f"order_by has {len(texts)} items; {_ORDERS} is the most.")
    orders: list[Order] = []
    for text in texts:
        reader = _Reader(text[:_LENGTH])
        entity, key = _named(*reader.identifier(), _ORDERED)
        if entity not in ("attribute", "tag", "metadata", "run"):
            raise InvalidInput(f"Invalid identifier type '{entity}'. Order by attributes, tags or metadata.")
        direction = reader.take(_DIRECTION)
        if not reader.at_end():
            raise InvalidInput(
                f"Invalid order_by clause '{text[:80]}'. Could not be parsed. Write: identifier ASC, or identifier DESC."
            )
        named = ("metadata", SOURCE_RUN) if entity == "run" else (entity, key)
        orders.append(Order(*named, direction is None or direction.upper() == "ASC"))  # type: ignore[arg-type]
    if len({order[:2] for order in orders}) < len(orders):
        raise InvalidInput(f"`order_by` contains duplicate fields: {list(texts)}. Name each once.")
    return tuple(orders)


class _Reader:
    """Reads one text from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
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

    def word(self) -> str:
        """What stands here, for a message."""
        found = _STRING.match(self._text, self._at) or _WORD.match(self._text, self._at)
        return found.group()[:60] if found else ""

    def identifier(self) -> tuple[str | None, str]:
        """The entity, where one is written, and the key."""
        found = _IDENTIFIER.match(self._text, self._at)
        if found is None:
            raise self.error(
                "Invalid clause(s) in filter string", "Write trace.x, tag.x, metadata.x, span.x or feedback.x"
            )
        self._at = found.end()
        self._skip()
        return found["entity"], _unquote(found["key"])

    def number(self) -> int | float | None:
        found = self.take(_NUMBER)
        if found is None:
            return None
        return int(found) if found.lstrip("+-").isdigit() and len(found) <= 18 else float(found)

    def string(self) -> str | None:
        found = self.take(_STRING)
        return None if found is None else found[1:-1].replace(found[0] * 2, found[0])

    def strings(self) -> tuple[str, ...]:
        advice = "Write a list of quoted strings: ('a', 'b')"
        if self.take(_OPEN) is None:
            raise self.error("Expected a list", advice)
        items: list[str] = []
        while True:
            item = self.string()
            if item is None:
                raise self.error("Expected a quoted string in the list", advice)
            items.append(item)
            if len(items) > _ITEMS:
                raise InvalidInput(f"A list has more than {_ITEMS} items. Search in several steps.")
            if self.take(_COMMA) is None or (items and self._text[self._at : self._at + 1] == ")"):
                break
        if self.take(_CLOSE) is None:
            raise self.error("The list is not closed", advice)
        return tuple(items)

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at


def _named(written: str | None, key: str, attributes: Sequence[str]) -> tuple[Entity, str]:
    """What an identifier stands for: names, runs and prompts of a trace are kept elsewhere than its attributes."""
    entity = "attribute" if written is None else _ENTITIES.get(written.strip("`"))
    if entity is None:
        valid = ", ".join(sorted(_ENTITIES))
        raise InvalidInput(f"Invalid entity type '{str(written)[:60]}'. Valid values are {valid}.")
    if entity == "attribute" and key not in attributes:
        raise InvalidInput(
            f"Invalid attribute key '{key[:60]}' specified. Valid keys are {', '.join(sorted(attributes))}."
        )
    if entity == "span":
        return entity, _span_key(key)
    if entity == "issue" and key != "id":
        raise InvalidInput(f"Invalid issue attribute '{key[:60]}'. Supported attributes: id.")
    moved: dict[str, tuple[Entity, str]] = {
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


def _clause(reader: _Reader) -> Clause:
    written = reader.identifier()
    found = reader.take(_COMPARATOR)
    if found is None:
        raise reader.error(
            "Invalid clause(s) in filter string",
            "Compare with = != < <= > >= LIKE ILIKE RLIKE IN, NOT IN or IS [NOT] NULL",
        )
    entity, key = _named(*written, _FILTERED)
    comparator = " ".join(found.upper().split())
    allowed = _comparators(entity, key)
    if comparator not in allowed:
        raise _refusal(entity, key, comparator, allowed)
    if comparator in _PRESENCE:
        return Clause(entity, key, comparator, None)
    if comparator in _LISTS:
        return Clause(entity, key, comparator, reader.strings())
    value = _value(reader, entity, key, comparator)
    if entity == "prompt" and str(value).count("/") != 1:
        raise InvalidInput(
            f"Invalid prompts filter value '{str(value)[:100]}'. Expected format: prompt = \"name/version\"."
        )
    return Clause(entity, key, comparator, value)


def _comparators(entity: Entity, key: str) -> frozenset[str]:
    if entity == "attribute":
        return _NUMBERS if key in NUMERIC else _TEXTS | _LISTS
    if entity in ("feedback", "expectation"):
        return _TEXTS | _ORDER | _PRESENCE
    if entity == "span":
        return frozenset({"LIKE", "ILIKE"}) if key == "content" else _TEXTS | _LISTS
    if entity in ("tag", "metadata", "run"):
        return _TEXTS | _PRESENCE
    return frozenset({"="})


def _refusal(entity: Entity, key: str, comparator: str, allowed: frozenset[str]) -> InvalidInput:
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


def _value(reader: _Reader, entity: Entity, key: str, comparator: str) -> str | int | float:
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
    if comparator in ("LIKE", "ILIKE", "RLIKE") and len(text) > _PATTERN:
        raise InvalidInput(f"A pattern has more than {_PATTERN} characters. Use a shorter one.")
    if comparator == "RLIKE":
        if len(text) > _REGEX:
            raise InvalidInput(f"A regular expression has more than {_REGEX} characters. Use a shorter one.")
        try:
            re.compile(text)
        except (re.error, RecursionError, OverflowError) as error:
            raise InvalidInput(f"Invalid regular expression {text[:80]!r}: {error}. See Python's module re.") from error
    return text


def _unquote(written: str) -> str:
    quote = written[0]
    if quote == "`":
        return written[1:-1]
    return written[1:-1].replace(quote * 2, quote) if quote in "'\"" else written.replace("`", "")


class NamedValue(NamedTuple):
    """``view.entity = 'value'`` or ``view.entity.key = 'value'``."""

    view: str
    entity: str
    key: str
    value: str


def parse_named_value(text: str) -> NamedValue:
    """Read a filter of trace metrics. Raises InvalidInput."""
    reader = _Reader(text[:_LENGTH])
    view, path = reader.identifier()
    comparator = reader.take(_COMPARATOR)
    if comparator is None:
        raise reader.error("Invalid clause(s) in filter string", "Write trace.status = 'OK'")
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
    return NamedValue(view.strip("`"), entity, key, value)
