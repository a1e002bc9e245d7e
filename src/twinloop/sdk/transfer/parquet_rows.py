"""Rows of a shape in a Parquet file, and back. JSON columns are text; a value that is NaN is NaN."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from sqlalchemy import Boolean, Float, Integer

from twinloop.control.store.schema import Json
from twinloop.control.transfer.model import Row
from twinloop.control.transfer.shape import Shape
from twinloop.core.errors import MissingDependency
from twinloop.sdk.transfer.errors import BadFolder

_GROUP = 20_000


def write_parquet(file: Any, shape: Shape, rows: Iterable[Row]) -> int:
    """Write rows into an open file, a row group of 20,000 in memory at a time; returns how many there were."""
    pa, pq = _arrow()
    schema = _schema(pa, shape)
    # Statistics leave NaN out, and a reader may conclude from them that there is none.
    told = [name for name in shape.columns if not isinstance(shape.typed[name].type, Float)]
    count = 0
    with pq.ParquetWriter(pa.PythonFile(file, mode="w"), schema, compression="zstd", write_statistics=told) as writer:
        for part in _parts(rows):
            count += len(part)
            columns = {name: [_out(shape, name, row) for row in part] for name in shape.columns}
            writer.write_table(pa.table(columns, schema=schema))
    return count


def read_parquet(path: Any, shape: Shape) -> Iterator[Row]:
    """Raises BadFolder when the file is not what ``write_parquet`` writes."""
    pa, pq = _arrow()
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_GROUP):
                for row in batch.to_pylist():
                    yield _in(shape, row)
    except (pa.ArrowException, OSError, msgspec.DecodeError) as error:
        raise BadFolder(f"{path} cannot be read as Parquet ({str(error)[:200]}). Export again.") from error


def _out(shape: Shape, name: str, row: Row) -> Any:
    value = row[name]
    if name == "value" and row.get("is_nan"):
        return math.nan
    if value is not None and isinstance(shape.typed[name].type, Json):
        return msgspec.json.encode(value, order="deterministic").decode()
    return value


def _in(shape: Shape, row: Row) -> Row:
    made = dict(row)
    for name, value in row.items():
        column = shape.typed.get(name)
        if column is not None and isinstance(column.type, Json) and isinstance(value, str):
            made[name] = msgspec.json.decode(value)
        elif isinstance(value, float) and math.isnan(value):
            made[name] = 0.0
    return made


def _schema(pa: Any, shape: Shape) -> Any:
    fields = []
    for name in shape.columns:
        kind = shape.typed[name].type
        if isinstance(kind, Boolean):
            arrow = pa.bool_()
        elif isinstance(kind, Integer):
            arrow = pa.int64()
        else:
            arrow = pa.float64() if isinstance(kind, Float) else pa.string()
        fields.append(pa.field(name, arrow))
    return pa.schema(fields)


def _parts(rows: Iterable[Row]) -> Iterator[list[Row]]:
    part: list[Row] = []
    for row in rows:
        part.append(row)
        if len(part) >= _GROUP:
            yield part
            part = []
    if part:
        yield part


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingDependency("pyarrow", "ml") from error
    return pa, pq
