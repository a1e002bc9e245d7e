"""A shape is a table as it is carried: which columns, what tells rows apart, whom they belong to, what a row may hold."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, Connection, Float, Integer, String, Table

from twinloop.control.store.schema import Json
from twinloop.control.store.sql import BulkInsert
from twinloop.control.transfer.model import Row, Scope, Sum
from twinloop.core.errors import InvalidInput

TEXT_LIMIT = 16 * 2**20
"""Characters of one text."""
_INT32 = 2**31
_INT64 = 2**63
_DEPTH = 64
_encode = msgspec.json.Encoder(order="deterministic").encode


def _anything(row: Row) -> None:
    pass


Reader = Callable[[Connection, str, Sequence[Scope] | None, Sequence[Any] | None, int], list[Row]]
Writer = Callable[[Connection, str, Sequence[Row]], int]
Admit = Callable[[Connection, str, Sequence[Row]], list[str | None]]
Summer = Callable[[Connection, str, Sequence[Scope]], dict[Scope, Sum]]


class Need(NamedTuple):
    """A row's ``columns``, unless they are null, have the values of ``owned_by`` in some row of the shape ``owner``."""

    columns: tuple[str, ...]
    owner: str
    owned_by: tuple[str, ...]


@dataclass(frozen=True)
class Shape:
    """What a row is, whom it belongs to, and what it may hold.

    ``key`` tells rows of a tenant apart and orders them; ``scope`` names whom a row belongs to. ``needs`` are rows of
    other shapes that must be there. ``lookups`` are other columns that rows may be asked for by. ``virtual`` are columns
    of a ``reader`` and ``writer`` of its own, for what is not carried as its table has it; ``hidden`` ones are not
    carried, and are given ``fixed`` values. ``defaults`` are for columns that whoever sends rows may leave out.
    ``check`` raises InvalidInput for what no column says; ``admit`` says of each of some rows why it cannot be taken
    beside what is there, or None.
    """

    name: str
    table: Table
    key: tuple[str, ...]
    scope: tuple[str, ...]
    needs: tuple[Need, ...] = ()
    lookups: tuple[tuple[str, ...], ...] = ()
    hidden: frozenset[str] = frozenset()
    virtual: Mapping[str, Column[Any]] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[[Row], None] = _anything
    admit: Admit | None = None
    reader: Reader | None = None
    writer: Writer | None = None
    summer: Summer | None = None

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """What is carried: the key first, then the rest by name, so that files of two versions of the schema compare."""
        return (*self.key, *sorted(name for name in self.typed if name not in self.key))

    @cached_property
    def typed(self) -> dict[str, Column[Any]]:
        """The columns that are carried, by name."""
        own = {str(c.name): c for c in self.table.c if c.name != "tenant" and c.name not in self.hidden}
        return {**own, **self.virtual}

    def key_of(self, row: Mapping[str, Any]) -> list[Any]:
        return [row.get(name) for name in self.key]

    @cached_property
    def insertion(self) -> BulkInsert:
        """Adds rows, given as what ``flat`` makes of them; one whose key is there already is left as it is."""
        stored = [name for name in self.columns if name not in self.virtual]
        return BulkInsert(self.table, ("tenant", *self.fixed, *stored), ("tenant", *self.key))

    def flat(self, tenant: str, rows: Iterable[Row]) -> list[Any]:
        """The values of rows one after another, as a driver takes them."""
        texts = frozenset(name for name, column in self.typed.items() if isinstance(column.type, Json))
        stored = [(name, name in texts) for name in self.columns if name not in self.virtual]
        fixed = (tenant, *self.fixed.values())
        found: list[Any] = []
        for row in rows:
            found.extend(fixed)
            found.extend(_as_text(row[name]) if text else row[name] for name, text in stored)
        return found

    def checked(self, row: Row) -> Row:
        """A row with every column, each with a value of its kind.

        Raises:
            InvalidInput: a column is unknown or lacks a value, or a value does not fit.
        """
        return self.reading(list(row))(list(row.values()))

    def reading(self, columns: Sequence[str]) -> Callable[[Sequence[Any]], Row]:
        """What makes a checked row of the values of ``columns``; it and what it returns raise as ``checked`` does."""
        unknown = [name for name in columns if name not in self.columns]
        if unknown:
            raise InvalidInput(
                f"There is no column {unknown[0][:60]!r} in {self.name}. Send what this version exports."
            )
        plan = [
            (name, columns.index(name) if name in columns else None, self._fitting[name], self.defaults.get(name))
            for name in self.columns
        ]

        def read(values: Sequence[Any]) -> Row:
            made = {name: fit(default if at is None else values[at]) for name, at, fit, default in plan}
            self.check(made)
            return made

        return read

    @cached_property
    def _fitting(self) -> dict[str, Callable[[Any], Any]]:
        return {name: _fitting(column) for name, column in self.typed.items()}


def _fitting(column: Column[Any]) -> Callable[[Any], Any]:
    """What returns a value if it fits the column; most values are of exactly its type, and pass after one look."""
    kind = column.type
    limit = _INT64 if isinstance(kind, BigInteger) else _INT32
    length = kind.length if isinstance(kind, String) and kind.length else TEXT_LIMIT

    def slowly(value: Any) -> Any:
        return _value(column, value)

    def whole(value: Any) -> Any:
        return value if type(value) is int and -limit <= value < limit else slowly(value)

    def number(value: Any) -> Any:
        return value if type(value) is float and math.isfinite(value) else slowly(value)

    def text(value: Any) -> Any:
        plain = type(value) is str and len(value) <= length and value.isascii() and "\0" not in value
        return value if plain else slowly(value)

    def truth(value: Any) -> Any:
        return value if type(value) is bool else slowly(value)

    quick: dict[type[Any], Callable[[Any], Any]] = {Boolean: truth, Integer: whole, Float: number, String: text}
    if isinstance(kind, Json):
        return slowly
    return next((fit for each, fit in quick.items() if isinstance(kind, each)), slowly)


def _as_text(value: Any) -> str | None:
    return None if value is None else _encode(value).decode()


def _value(column: Column[Any], value: Any) -> Any:
    """``value`` if it fits the column; whole numbers fit columns of floats."""
    if value is None:
        if not column.nullable:
            raise InvalidInput(f"The column {column.name} has no value. Give it one.")
        return None
    objection = _objection(column.type, value)
    if objection is not None:
        raise InvalidInput(f"The column {column.name} {objection}.")
    return float(value) if isinstance(column.type, Float) else value


def _objection(kind: Any, value: Any) -> str | None:
    match kind:
        case Json():
            return _json(value, _DEPTH)
        case Boolean():
            return None if isinstance(value, bool) else "must be true or false"
        case Integer():
            limit = _INT64 if isinstance(kind, BigInteger) else _INT32
            fits = isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit
            return None if fits else "must be a whole number that fits"
        case Float():
            fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            return None if fits else "must be a finite number"
        case String():
            return _text(value, kind.length or TEXT_LIMIT)
    raise AssertionError(f"no column has the type {kind!r}")


def _text(value: Any, limit: int) -> str | None:
    if not isinstance(value, str):
        return "must be text"
    if len(value) > limit:
        return f"holds {len(value)} characters and {limit} are the most"
    if "\0" in value:
        return "holds a NUL character"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode"
    return None


def _json(value: Any, depth: int) -> str | None:
    if depth == 0:
        return f"is nested more than {_DEPTH} levels deep"
    children: Sequence[Any] = ()
    if isinstance(value, str):
        return _text(value, TEXT_LIMIT)
    if isinstance(value, Mapping):
        children = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple):
        children = value
    elif isinstance(value, float) and not math.isfinite(value):
        return "holds NaN or an infinity"
    return next((said for child in children if (said := _json(child, depth - 1)) is not None), None)


def sum_of(shape: Shape, rows: Iterable[Mapping[str, Any]], without: Sequence[str] = ()) -> Sum:
    """Count and digest of rows: in the order of their key, each as the JSON list of its values in the other columns."""
    return sum_of_values(shape, [[row[name] for name in shape.columns] for row in rows], without)


def sum_of_values(shape: Shape, rows: Iterable[Sequence[Any]], without: Sequence[str] = ()) -> Sum:
    """The same of rows that are given as values, in the order of the shape's columns; the key stands first."""
    width = len(shape.key)
    ordered = sorted(rows, key=lambda row: tuple(row[:width]))
    kept = [at for at, name in enumerate(shape.columns) if name not in without]
    sha = hashlib.sha256()
    for row in ordered:
        sha.update(_encode([row[at] for at in kept]))
        sha.update(b"\n")
    return Sum(len(ordered), f"sha256:{sha.hexdigest()}")
