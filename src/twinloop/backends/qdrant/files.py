"""What lies in an index's folder: ``shard/`` is Qdrant's, ``points.msgpack`` is ours."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

SHARD = "shard"
POINTS = "points.msgpack"
VECTORS = "vectors.npy"  # only while the index is built


class Points(msgspec.Struct, frozen=True):
    """Row i of the vectors is Qdrant's point i and the caller's ``ids[i]``; ``labels`` is empty when no row has any."""

    dimensions: int
    ids: list[str]
    labels: list[list[str]]


def write_points(folder: Path, points: Points) -> None:
    (folder / POINTS).write_bytes(msgspec.msgpack.encode(points))


def read_points(folder: Path) -> Points:
    return msgspec.msgpack.decode((folder / POINTS).read_bytes(), type=Points)


def sync_tree(folder: Path) -> None:
    """Make every file and folder below, and the folder itself, outlive a power cut."""
    for path in [*folder.rglob("*"), folder]:
        sync(path)


def sync(path: Path) -> None:
    """Make one file, or the names in one folder, outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
