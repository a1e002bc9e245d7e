"""The chunks of an index and their vectors as one Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twinloop.core.errors import MissingDependency, StorageCorrupt
from twinloop.llm.retrieval.model import ChunkTable, IndexedChunk

_PLAIN_COLUMNS = ("document", "start", "end", "heading", "text", "digest")


def write_table(table: ChunkTable, file: Path, dimensions: int) -> None:
    """Write the table; equal tables give equal bytes with the same version of pyarrow."""
    pa = _arrow()
    import pyarrow.parquet as parquet

    schema = pa.schema(
        [
            ("document", pa.int32()),
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("heading", pa.list_(pa.string())),
            ("text", pa.string()),
            ("digest", pa.string()),
            ("vector", pa.list_(pa.float32(), dimensions)),
        ]
    )
    columns = [[getattr(chunk, name) for chunk in table.chunks] for name in _PLAIN_COLUMNS]
    arrays = [pa.array(values, schema.field(name).type) for name, values in zip(_PLAIN_COLUMNS, columns, strict=True)]
    flat = pa.array(table.vectors.reshape(-1), pa.float32())
    arrays.append(pa.FixedSizeListArray.from_arrays(flat, dimensions))
    parquet.write_table(pa.table(arrays, schema=schema), file, compression="zstd", use_dictionary=False)


def read_table(file: Path) -> ChunkTable:
    """Raises StorageCorrupt when the file is not one ``write_table`` made."""
    pa = _arrow()
    import numpy as np
    import pyarrow.parquet as parquet

    try:
        table = parquet.read_table(file)
        vectors = table.column("vector").combine_chunks()
        width = vectors.type.list_size
        values = np.asarray(vectors.flatten(), dtype=np.float32).reshape(-1, width)
        rows = table.select(list(_PLAIN_COLUMNS)).to_pylist()
    except (pa.ArrowInvalid, KeyError, AttributeError) as error:
        raise StorageCorrupt(f"The index's file cannot be read ({error}). Build the index again.") from error
    return ChunkTable(tuple(IndexedChunk(**{**row, "heading": tuple(row["heading"])}) for row in rows), values)


def _arrow() -> Any:
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise MissingDependency("pyarrow", "llm") from error
    return pyarrow
