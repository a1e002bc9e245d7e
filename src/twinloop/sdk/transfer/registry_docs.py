"""Rows of the registry as documents, one for a name and one for a revision, and back."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from twinloop.control.transfer.model import Row
from twinloop.control.transfer.service import SHAPES
from twinloop.core.digests import is_digest
from twinloop.sdk.transfer.layout import CARD, REVISION

_CARD = ("kind", "name")
_NUMBERED = ("kind", "name", "number")
Rows = Mapping[str, Iterable[Row]]
Document = dict[str, Any]


def card_documents(tables: Rows) -> Iterator[tuple[str, Document]]:
    """(path, document) of each name; ``tables`` are rows of the shapes of ``CARD``, by their key."""
    for (kind, name), found in _joined(tables, _CARD):
        yield f"registry/{kind}/{name}@card.json", _document(_CARD, (kind, name), found)


def revision_documents(tables: Rows) -> Iterator[tuple[str, Document]]:
    """(path, document) of each revision; ``tables`` are rows of the shapes of ``REVISION``, by their key."""
    for (kind, name, number), found in _joined(tables, _NUMBERED):
        yield f"registry/{kind}/{name}@{number}.json", _document(_NUMBERED, (kind, name, number), found)


def rows_of(document: Document) -> dict[str, list[Row]]:
    """The rows that a document was made of, by shape. Raises KeyError or TypeError when it is not one."""
    key = _NUMBERED if "number" in document else _CARD
    own = {name: document[name] for name in key}
    found: dict[str, list[Row]] = {}
    for shape in REVISION if "number" in document else CARD:
        rows = [{**own, **row} for row in document[shape]]
        if shape == "registry_events":
            rows = [{**row, "position": position} for position, row in enumerate(rows)]
        found[shape] = rows
    return found


def blobs_in(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """(digest, name) of everything in a manifest that may be a file: digests, with where they stand."""
    if isinstance(value, str):
        if is_digest(value):
            yield value, "/".join(path)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from blobs_in(item, path if key in ("files", "digest") else (*path, str(key)))
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from blobs_in(item, (*path, str(position)))


def _document(names: tuple[str, ...], key: tuple[Any, ...], found: Mapping[str, list[Row]]) -> Document:
    hidden = {*names, "position"}
    shapes = REVISION if len(names) == len(_NUMBERED) else CARD
    parts = {
        shape: [{name: value for name, value in row.items() if name not in hidden} for row in found.get(shape, ())]
        for shape in shapes
    }
    return {**dict(zip(names, key, strict=True)), **parts}


def _joined(tables: Rows, by: tuple[str, ...]) -> Iterator[tuple[tuple[Any, ...], dict[str, list[Row]]]]:
    """Rows of several shapes, all in the order of ``by``, together by the values of those columns."""

    def keyed(shape: str, rows: Iterable[Row]) -> Iterator[tuple[tuple[Any, ...], str, list[Any], Row]]:
        for row in rows:
            yield tuple(row[name] for name in by), shape, SHAPES[shape].key_of(row), row

    merged = heapq.merge(*(keyed(shape, rows) for shape, rows in tables.items()), key=lambda item: item[:3])
    for key, items in groupby(merged, key=lambda item: item[0]):
        found: dict[str, list[Row]] = {}
        for _, shape, _, row in items:
            found.setdefault(shape, []).append(row)
        yield key, found
