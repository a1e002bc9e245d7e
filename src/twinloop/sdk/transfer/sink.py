"""The Twinloop that a transfer reads from or writes to, in blocks that its server takes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from twinloop.control.transfer.model import Block, Outcome, Page, Row, Scope, Sum
from twinloop.control.transfer.service import SHAPES
from twinloop.core.errors import NotFound
from twinloop.sdk.client import Client
from twinloop.sdk.transfer.found import Refused

Tables = Mapping[str, Sequence[Row]]

_AT = "/api/v1/transfer"
_INT64 = 2**63
_ROWS = 20_000
_BYTES = 64 * 2**20
_SCOPES = 1_000
_PAGE = 20_000


class Sink:
    """Writes rows and files into one Twinloop, and reads them. Counts what it added, and keeps what was refused."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.added: Counter[str] = Counter()
        self.refused: list[Refused] = []

    def put(self, tables: Tables, *, derive: str = "") -> None:
        """Add rows, in the order in which they are given where they are too many for one transaction.

        With ``derive``, the name of where they come from, the lineage of runs is made here from their inputs and models.
        """
        for blocks in _blocks(tables):
            body = {"blocks": [msgspec.structs.asdict(block) for block in blocks], "derive": derive}
            self.take(msgspec.convert(self.client.call("POST", f"{_AT}/rows", body), Outcome))

    def fit(self, tables: Tables) -> dict[str, list[Row]]:
        """The rows that can be sent at all; the others are refused here."""
        found: dict[str, list[Row]] = {}
        for shape, rows in tables.items():
            found[shape] = []
            for row in rows:
                objection = _objection(row)
                if objection is None:
                    found[shape].append(row)
                else:
                    key = "/".join(_shown(row.get(name)) for name in SHAPES[shape].key)
                    self.refused.append((shape, key, objection))
        return found

    def take(self, outcome: Outcome) -> None:
        """Count what became of something."""
        self.added.update(outcome.added)
        self.refused += [(item.shape, "/".join(map(str, item.key)), item.why) for item in outcome.refused]

    def rows(self, shape: str, scopes: Sequence[Scope] | None = None, by: Sequence[str] | None = None) -> Iterator[Row]:
        """Rows by key; of some owners, or with some values of the columns ``by``."""
        for part in [None] if scopes is None else _parts(scopes, _SCOPES):
            after: list[Any] | None = None
            while True:
                query = {"shape": shape, "by": by, "scopes": part, "after": after, "limit": _PAGE}
                page = msgspec.convert(self.client.call("POST", f"{_AT}/pages", query), Page)
                yield from page.block.items()
                after = page.after
                if after is None:
                    break

    def sums(self, shape: str, scopes: Sequence[Scope], without: Sequence[str] = ()) -> dict[Scope, Sum]:
        """Count and digest of the rows of each scope, over all columns but some."""
        found: dict[Scope, Sum] = {}
        for part in _parts(scopes, _SCOPES):
            answer = self.client.call("POST", f"{_AT}/sums", {"shape": shape, "scopes": part, "without": without})
            found.update(zip(map(tuple, part), msgspec.convert(answer["sums"], list[Sum]), strict=True))
        return found

    def sizes(self, digests: Iterable[str]) -> dict[str, int]:
        """Size in bytes of those digests that are blobs there."""
        found: dict[str, int] = {}
        for part in _parts(sorted(set(digests)), _SCOPES):
            found.update(self.client.call("POST", f"{_AT}/sizes", {"digests": part})["sizes"])
        return found

    def files(self, folder: str) -> dict[str, Row]:
        """Files below a folder of the artifact tree, by path relative to it."""
        found = self.client.call("GET", "/api/v1/artifact-list", query={"folder": folder, "deep": "true"})
        return {item["path"].removeprefix(f"{folder}/"): item for item in found["artifacts"]}

    def put_file(self, path: str, chunks: Iterable[bytes], size: int) -> Row:
        """Store a file of the artifact tree; returns its size and digest."""
        target = f"/api/v1/artifacts/{quote(path, safe='/')}"
        kept: Row = self.client.call("PUT", target, content=chunks, headers={"content-length": str(size)})
        return kept

    def has_blob(self, digest: str) -> bool:
        try:
            for _ in self.client.send("HEAD", f"/api/v1/blobs/{digest}").body:
                pass
        except NotFound:
            return False
        return True


def _blocks(tables: Tables) -> Iterator[list[Block]]:
    """Rows of several shapes in as few requests as fit; what fits into one is one transaction."""
    waiting: list[Block] = []
    rows = size = 0
    for shape, found in tables.items():
        for row in found:
            values = list(row.values())
            weight = 64 + sum(len(value) for value in values if isinstance(value, str))
            if rows >= _ROWS or (rows and size + weight > _BYTES):
                yield waiting
                waiting, rows, size = [], 0, 0
            if not waiting or waiting[-1].shape != shape or waiting[-1].columns != list(row):
                waiting.append(Block(shape, list(row), []))
            waiting[-1].rows.append(values)
            rows, size = rows + 1, size + weight
    if waiting:
        yield waiting


def _objection(row: Row) -> str | None:
    """Why a row cannot be written as JSON; None when it can."""
    for value in row.values():
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                return "it holds text that is not valid Unicode"
        elif type(value) is int and not -_INT64 <= value < _INT64:
            return "it holds a number of more than 64 bits"
        elif isinstance(value, dict | list):
            try:
                msgspec.json.encode(value)
            except (UnicodeEncodeError, OverflowError, TypeError, RecursionError):
                return "it holds something that JSON cannot say"
    return None


def _shown(value: Any) -> str:
    return str(value)[:200].encode("ascii", "backslashreplace").decode()


def _parts(values: Sequence[Any], many: int) -> Iterator[list[Any]]:
    for start in range(0, len(values), many):
        yield list(values[start : start + many])


def merged(tables: Iterable[Tables]) -> dict[str, list[Row]]:
    """Rows of many items by shape."""
    found: dict[str, list[Row]] = defaultdict(list)
    for each in tables:
        for shape, rows in each.items():
            found[shape] += rows
    return found
