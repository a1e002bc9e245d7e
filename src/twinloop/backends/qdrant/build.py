"""Build one shard in a process of its own: ``python -m twinloop.backends.qdrant.build FOLDER``.

qdrant-edge 0.9 holds the interpreter's lock while it builds the HNSW graph (3 s for 14,000 vectors of 384), and a
server must not stand still for that long. Reads ``points.msgpack`` and ``vectors.npy``, writes ``shard/``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twinloop.backends.parent import end_with_parent
from twinloop.backends.qdrant.files import SHARD, VECTORS, Points, read_points, sync_tree

LABELS = "labels"
_BATCH = 1000


def build(folder: Path) -> None:
    import numpy as np
    import qdrant_edge as edge

    points = read_points(folder)
    vectors = np.load(folder / VECTORS, mmap_mode="r")
    (folder / SHARD).mkdir()
    shard = edge.EdgeShard.create(
        str(folder / SHARD),
        edge.EdgeConfig(
            vectors=edge.EdgeVectorParams(size=points.dimensions, distance=edge.Distance.Cosine),
            max_search_threads=1,
            wal_enabled=False,  # the folder becomes visible only once it is complete
        ),
    )
    for start in range(0, len(vectors), _BATCH):
        rows = range(start, min(start + _BATCH, len(vectors)))
        batch = [edge.Point(id=row, vector=vectors[row].tolist(), payload=_payload(points, row)) for row in rows]
        shard.update(edge.UpdateOperation.upsert_points(batch))
    if points.labels:
        shard.update(edge.UpdateOperation.create_field_index(LABELS, edge.PayloadSchemaType.Keyword))
    shard.optimize()
    shard.flush()
    shard.close()
    (folder / VECTORS).unlink()
    sync_tree(folder)


def _payload(points: Points, row: int) -> dict[str, list[str]] | None:
    return {LABELS: points.labels[row]} if points.labels else None


if __name__ == "__main__":
    end_with_parent()
    build(Path(sys.argv[1]))
