"""Reads filters and orders from left to right, into plain values; nothing of them is known here but how they are written.

    filter     = clause *( "AND" clause )
    clause     = identifier comparator value | identifier "IS" [ "NOT" ] "NULL"
    identifier = [ entity "." ] key
    comparator = "=" | "!=" | "<" | "<=" | ">" | ">=" | [ "NOT" ] "IN" | "LIKE" | "ILIKE" | "RLIKE"
    value      = number | string | "(" string *( "," string ) ")"
    order      = identifier [ "ASC" | "DESC" ]

A key with characters that an identifier does not have stands in backticks or quotes. A string stands in single or double
quotes; a doubled quote inside it is one quote. Words of the grammar are read in any case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from twinloop.core.errors import InvalidInput

Value = str | int | float | tuple[str, ...] | None

INVALID = "Invalid clause(s) in filter string"
NUMBERS = frozenset({"=", "!=", "<", "<=", ">", ">="})
LISTS = frozenset({"IN", "NOT IN"})
PRESENCE = frozenset({"IS NULL", "IS NOT NULL"})
PATTERNS = frozenset({"LIKE", "ILIKE", "RLIKE"})

_LENGTH = 200_000
_CLAUSES = 200
_ORDERS = 20
_ITEMS = 10_000
_PATTERN = 10_000

_SPACE = re.compile(r"\s*")
_COMPARATOR = re.compile(r"<=|>=|!=|=|<|>|(?:IS\s+NOT\s+NULL|IS\s+NULL|NOT\s+IN|IN|[IR]?LIKE)\b", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?!\w)")
_STRING = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*\"""")
_WORD = re.compile(r"[^\s,()]+")
_AND = re.compile(r"AND\b", re.IGNORECASE)
_DIRECTION = re.compile(r"(?:ASC|DESC)\b", re.IGNORECASE)
_OPEN, _COMMA, _CLOSE = re.compile(r"\("), re.compile(","), re.compile(r"\)")

_IN_LIST = "While parsing a list in the query"
_LIST_ADVICE = "Write a list of quoted strings: ('a', 'b')"


class Clause(NamedTuple):
    """One comparison. ``value`` is text, a number, a tuple for IN, or None for IS NULL and IS NOT NULL."""

    entity: str
    key: str
    comparator: str
    value: Value


class Order(NamedTuple):
    entity: str
    key: str
    ascending: bool


class Identifier(NamedTuple):
    """An identifier as it is written; ``entity`` is None where none stands."""

    entity: str | None
    key: str


def identifiers(key: str) -> re.Pattern[str]:
    """What matches an identifier whose bare keys are of the regular expression ``key``."""
    return re.compile(
        rf"""(?:(?P<entity>\w+|`[^`]+`)\s*\.\s*)?
             (?P<key> `[^`]+` | "(?:[^"]|"")+" | '(?:[^']|'')+' | {key} )""",
        re.VERBOSE,
    )


class Reader:
    """A place in a text, and what can be read from there. ``identifiers`` matches one identifier.

    Raises:
        InvalidInput: the text is longer than any filter.
    """

    def __init__(self, text: str, identifiers: re.Pattern[str]) -> None:
        if len(text) > _LENGTH:
            raise InvalidInput(
                f"The filter has {len(text)} characters; {_LENGTH} is the most. Search in several steps."
            )
        self._text = text
        self._identifiers = identifiers
        self._at = 0
        self._skip()

    def at_end(self) -> bool:
        return self._at == len(self._text)

    def at(self, pattern: re.Pattern[str]) -> bool:
        return pattern.match(self._text, self._at) is not None

    def at_number(self) -> bool:
        return self.at(_NUMBER)

    def take(self, pattern: re.Pattern[str]) -> str | None:
        """What matches here, read; None, with nothing read, when it does not."""
        found = pattern.match(self._text, self._at)
        if found is None:
            return None
        self._at = found.end()
        self._skip()
        return found.group()

    def word(self) -> str:
        """What stands here, for a message."""
        found = _STRING.match(self._text, self._at) or _WORD.match(self._text, self._at)
        return found.group()[:60] if found else ""

    def error(self, what: str, advice: str) -> InvalidInput:
        """An error that quotes this place."""
        return InvalidInput(f"{what}: {self._text[self._at :][:60]!r} at character {self._at}. {advice}.")

    def identifier(self, what: str, advice: str) -> Identifier:
        """Raises InvalidInput, which says ``what`` is wrong and gives ``advice``, when none stands here."""
        found = self._identifiers.match(self._text, self._at)
        if found is None:
            raise self.error(what, advice)
        self._at = found.end()
        self._skip()
        entity = found["entity"]
        return Identifier(None if entity is None else entity.strip("`"), _unquote(found["key"]))

    def comparator(self) -> str | None:
        """A comparator in capitals and with single spaces."""
        found = self.take(_COMPARATOR)
        return None if found is None else " ".join(found.upper().split())

    def number(self) -> int | float | None:
        found = self.take(_NUMBER)
        if found is None:
            return None
        return int(found) if found.lstrip("+-").isdigit() and len(found) <= 18 else float(found)

    def string(self) -> str | None:
        found = self.take(_STRING)
        return None if found is None else _unquote(found)

    def strings(self) -> tuple[str, ...]:
        """A list of at least one string. Raises InvalidInput."""
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
            raise self.error(f"{INVALID}: the list is not closed", _LIST_ADVICE)
        return tuple(items)

    def ascending(self) -> bool:
        """The direction of an order; up where none is written."""
        found = self.take(_DIRECTION)
        return found is None or found.upper() == "ASC"

    def clauses(self, clause: Callable[[], Clause]) -> tuple[Clause, ...]:
        """All that is left, each read by ``clause``. Raises InvalidInput."""
        found: list[Clause] = []
        while not self.at_end():
            if found and self.take(_AND) is None:
                raise self.error(INVALID, "Join clauses with AND; there is no OR and no grouping")
            found.append(clause())
            if len(found) > _CLAUSES:
                raise InvalidInput(f"The filter has more than {_CLAUSES} clauses. Search in several steps.")
        return tuple(found)

    def _item(self) -> str:
        found = self.string()
        if found is not None:
            return found
        if self.at_end():
            raise self.error(f"{INVALID}: the list is not closed", _LIST_ADVICE)
        if self.at_number():
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


def read_orders(
    texts: Sequence[str], identifiers: re.Pattern[str], named: Callable[[Reader], tuple[str, str]]
) -> tuple[Order, ...]:
    """Read the items of an order, most significant first; ``named`` reads entity and key.

    Raises:
        InvalidInput: an item is none, or a key comes twice.
    """
    if len(texts) > _ORDERS:
        raise InvalidInput(f"order_by has {len(texts)} items; {_ORDERS} is the most.")
    orders: list[Order] = []
    for text in texts:
        reader = Reader(text, identifiers)
        entity, key = named(reader)
        ascending = reader.ascending()
        if not reader.at_end():
            raise InvalidInput(
                f"Invalid order_by clause '{text[:120]}'. Could not be parsed. Write: identifier ASC, or identifier DESC."
            )
        orders.append(Order(entity, key, ascending))
    if len({order[:2] for order in orders}) < len(orders):
        raise InvalidInput(f"`order_by` contains duplicate fields: {list(texts)}. Name each once.")
    return tuple(orders)


def check_pattern(comparator: str, text: str) -> None:
    """Raises InvalidInput when ``text`` is longer than any pattern."""
    if comparator in PATTERNS and len(text) > _PATTERN:
        raise InvalidInput(f"A pattern has more than {_PATTERN} characters. Use a shorter one.")


def _unquote(written: str) -> str:
    quote = written[0]
    if quote == "`":
        return written[1:-1]
    return written[1:-1].replace(quote * 2, quote) if quote in "'\"" else written.replace("`", "")
