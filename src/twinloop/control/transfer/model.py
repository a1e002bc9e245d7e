"""What is carried, and what became of it."""

from __future__ import annotations

from typing import Any

import msgspec

Row = dict[str, Any]

Scope = tuple[str | int, ...]
"""Names what rows belong to: ``(run,)``, ``(kind, name)``, ``(kind, name, number)``."""


class Block(msgspec.Struct, frozen=True):
    """Rows of one shape, without repeating the names of their columns."""

    shape: str
    columns: list[str]
    rows: list[list[Any]]

    def items(self) -> list[Row]:
        """Rows as dictionaries. Raises ValueError when one has another length than there are columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Refusal(msgspec.Struct, frozen=True):
    """A row that was not taken, by what tells it apart, and why."""

    shape: str
    key: list[Any]
    why: str


class Outcome(msgspec.Struct, frozen=True):
    """How many rows of each shape are new here, how many were here already, and which were refused."""

    added: dict[str, int]
    kept: dict[str, int]
    refused: list[Refusal]


class Page(msgspec.Struct, frozen=True):
    """Rows in the order of their key; ``after`` goes on behind the last of them, None at the end."""

    block: Block
    after: list[Any] | None


class Sum(msgspec.Struct, frozen=True):
    """How many rows something has, and the digest of all of them."""

    count: int
    digest: str


def block_of(shape: str, rows: list[Row]) -> Block:
    """Rows, all with the same columns, as a block."""
    columns = list(rows[0]) if rows else []
    return Block(shape, columns, [list(row.values()) for row in rows])
