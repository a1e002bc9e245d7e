"""Pieces of SQL over dataset files: quoting, types, row order and the row digest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from twinloop.core.digests import Digest, digest_json
from twinloop.core.errors import InvalidInput
from twinloop.ml.data.model import Column, ColumnType
from twinloop.ml.data.ports import Session

ROW = "__row"
"""Name of the column that numbers the rows of a dataset from 0, in order."""

_TYPES: dict[str, ColumnType] = {
    "TINYINT": "int64",
    "SMALLINT": "int64",
    "INTEGER": "int64",
    "BIGINT": "int64",
    "UTINYINT": "int64",
    "USMALLINT": "int64",
    "UINTEGER": "int64",
    "FLOAT": "float64",
    "DOUBLE": "float64",
    "VARCHAR": "string",
    "BOOLEAN": "bool",
    "TIMESTAMP": "timestamp",
    "DATE": "date",
}

SQL_TYPES: dict[ColumnType, str] = {
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "string": "VARCHAR",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMP",
    "date": "DATE",
}


class Part(NamedTuple):
    """A Parquet file on this machine and how many rows it has."""

    path: Path
    rows: int


def name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def scan(parts: Sequence[Part]) -> str:
    """A SELECT over the files in order, with the column ``__row``."""
    selects = []
    offset = 0
    for part in parts:
        source = f"read_parquet({text(str(part.path))}, file_row_number = true)"
        selects.append(f"SELECT * EXCLUDE (file_row_number), file_row_number + {offset} AS {ROW} FROM {source}")
        offset += part.rows
    return " UNION ALL ".join(selects)


def describe(session: Session, path: Path) -> tuple[Column, ...]:
    """The columns of a Parquet file.

    Raises:
        InvalidInput: not Parquet, a column of a type datasets do not have, or a reserved name.
    """
    found = []
    for column, kind, *_ in session.fetch(f"DESCRIBE SELECT * FROM read_parquet({text(str(path))})"):
        if kind not in _TYPES:
            raise InvalidInput(
                f"Column {column!r} has the type {kind}, which a dataset cannot hold. Convert it to one of: "
                f"{', '.join(SQL_TYPES)} (timestamps in UTC, without a zone)."
            )
        if column.startswith("__"):
            raise InvalidInput(
                f"Column {column!r} begins with two underscores, which are kept for Twinloop. Rename it."
            )
        found.append(Column(column, _TYPES[kind]))
    return tuple(found)


def row_digest(session: Session, relation: str, columns: Sequence[Column]) -> tuple[int, Digest]:
    """Count and digest of the rows of ``relation``, whatever their order.

    Each row is written as text, hashed with MD5, and the hashes are added up (AdHash, Bellare and Micciancio 1997): a
    sum, unlike an exclusive or, does not cancel equal rows. It tells equal tables from changed ones and is no defence
    against forgery: the sha256 of every file is in the manifest too.
    """
    cells = ", ".join(f"coalesce({_cell(c)}, '|0')" for c in columns)
    count, low, high = session.fetch(
        "SELECT count(*), coalesce(sum(md5_number_lower(line)), 0)::VARCHAR, coalesce(sum(md5_number_upper(line)), 0)::VARCHAR"
        f" FROM (SELECT concat_ws('|1', {cells}) AS line FROM {relation})"
    )[0]
    sums = hashlib.sha256(f"{low},{high}".encode()).hexdigest()
    return count, digest_json({"rows": count, "sums": sums, "schema": [[c.name, c.type] for c in columns]})


def _cell(column: Column) -> str:
    written = f"{name(column.name)}::VARCHAR"
    return f"replace({written}, '|', '||')" if column.type == "string" else written
