"""Tables in a program as canonical Parquet: one form for the same rows, whatever they came from."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.core.errors import InvalidInput, MissingDependency

if TYPE_CHECKING:
    import pyarrow as pa

_ROW_GROUP = 122_880
_NULLS = ["", "NA", "NaN", "nan", "null", "NULL", "None"]


def arrow(source: Any) -> pa.Table:
    """Read an Arrow table, a list of dicts, a dict of columns, or a file: ``.csv``, ``.csv.zip``, ``.csv.gz``, ``.parquet``.

    In CSV, empty cells and ``NA`` are missing; times are ISO-8601.

    Raises:
        InvalidInput: the source is none of these, or cannot be read.
        MissingDependency: pyarrow is not installed.
    """
    pa = _pyarrow()
    if isinstance(source, pa.Table):
        return source
    try:
        if isinstance(source, dict):
            return pa.table(source)
        if isinstance(source, list):
            return pa.Table.from_pylist(source)
        if isinstance(source, str | Path):
            return _read(Path(source))
    except pa.ArrowException as error:
        raise InvalidInput(f"The table cannot be read: {str(error)[:200]}. Mend the rows and try again.") from error
    raise InvalidInput(f"A {type(source).__name__} is not a table. Give a file, an Arrow table or a list of dicts.")


def _read(path: Path) -> pa.Table:
    from pyarrow import csv, parquet

    if not path.is_file():
        raise InvalidInput(f"There is no file {path}.")
    if path.suffix == ".parquet":
        return parquet.read_table(path)
    options = csv.ConvertOptions(null_values=_NULLS, strings_can_be_null=True)
    if path.name.endswith((".csv", ".csv.gz")):
        return csv.read_csv(path, convert_options=options)
    if path.name.endswith(".csv.zip"):
        return csv.read_csv(io.BytesIO(_unzipped(path)), convert_options=options)
    raise InvalidInput(f"{path.name} is not a kind of table this reads. Give .csv, .csv.zip, .csv.gz or .parquet.")


def _unzipped(path: Path) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".csv")]
            if len(names) != 1:
                raise InvalidInput(f"{path.name} holds {len(names)} CSV files. Give an archive with one.")
            return archive.read(names[0])
    except zipfile.BadZipFile as error:
        raise InvalidInput(f"{path.name} is not a zip archive.") from error


def canonical(table: pa.Table) -> pa.Table:
    """Columns as int64, float64, string, bool, timestamp (microseconds, UTC, no zone) or date; NaN becomes null.

    Raises:
        InvalidInput: a column of another type, or a name that comes twice.
    """
    pa = _pyarrow()
    if len(set(table.column_names)) != table.num_columns:
        raise InvalidInput("A column name comes twice. Give each column its own name.")
    columns = []
    for name in table.column_names:
        columns.append(_canonical_column(name, table[name]))
    return pa.table(columns, names=table.column_names)


def _canonical_column(name: str, column: Any) -> Any:
    pa = _pyarrow()
    import pyarrow.compute as compute

    kind = column.type
    types = pa.types
    if types.is_dictionary(kind):
        return _canonical_column(name, column.cast(kind.value_type))
    if types.is_integer(kind):
        return column.cast(pa.int64())
    if types.is_floating(kind) or types.is_decimal(kind):
        numbers = column.cast(pa.float64())
        return compute.if_else(compute.is_nan(numbers), None, numbers)
    if types.is_boolean(kind):
        return column
    if types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind):
        return column.cast(pa.string())
    if types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", kind.tz)).cast(pa.timestamp("us"))
    if types.is_date(kind):
        return column.cast(pa.date32())
    raise InvalidInput(f"Column {name!r} has the type {kind}, which a dataset cannot hold. Convert or drop it.")


def parquet_bytes(table: pa.Table) -> bytes:
    """The table as Parquet; the same rows and schema give the same bytes with the same version of Arrow."""
    from pyarrow import parquet

    sink = io.BytesIO()
    parquet.write_table(
        canonical(table).replace_schema_metadata(None),
        sink,
        row_group_size=_ROW_GROUP,
        compression="zstd",
        compression_level=1,
        version="2.6",
        store_schema=False,
    )
    return sink.getvalue()


def from_parquet(parts: Sequence[bytes]) -> pa.Table:
    pa = _pyarrow()
    from pyarrow import parquet

    return pa.concat_tables([parquet.read_table(io.BytesIO(part)) for part in parts])


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise MissingDependency("pyarrow", "ml") from None
    return pyarrow
