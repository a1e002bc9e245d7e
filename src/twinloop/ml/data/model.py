"""What a dataset revision says about itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from twinloop.core.digests import Digest, parse_digest
from twinloop.core.errors import InvalidInput

ColumnType = Literal["int64", "float64", "string", "bool", "timestamp", "date"]
"""Types of a column. ``timestamp`` has microseconds and is in UTC; ``date`` is a calendar day without a zone."""

KIND = "dataset"


class Column(msgspec.Struct, frozen=True):
    name: str
    type: ColumnType


class DataFile(msgspec.Struct, frozen=True):
    """One Parquet file of a dataset: the blob with its bytes, its size in bytes and its number of rows."""

    digest: str
    size: int
    rows: int


class DatasetManifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Manifest of a revision of kind ``dataset``.

    ``files`` maps a path to its file; rows are ordered by path, then by their place in the file. ``row_digest`` tells equal
    tables from changed ones: of a snapshot it is over the rows and the schema, whatever the order of rows and how they are
    spread over files; of a table that a stage of the lane wrote it stands for the file. ``source`` says where the rows
    came from, in the producer's words.
    """

    files: dict[str, DataFile]
    rows: int
    schema: tuple[Column, ...]
    row_digest: str
    time_column: str | None = None
    source: dict[str, Any] = {}

    def column(self, name: str) -> Column | None:
        return next((column for column in self.schema if column.name == name), None)


class FileInput(msgspec.Struct, frozen=True):
    """A Parquet blob to take into a dataset under ``path``."""

    path: str
    digest: str


class Preview(msgspec.Struct, frozen=True):
    """The first rows of a dataset as JSON objects; timestamps and dates are ISO-8601 text."""

    columns: tuple[Column, ...]
    rows: list[dict[str, Any]]
    total: int


def read_manifest(manifest: Mapping[str, Any]) -> DatasetManifest:
    """Raises InvalidInput, naming the field, when ``manifest`` is not one of a dataset."""
    try:
        return msgspec.convert(manifest, DatasetManifest)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"This is not the manifest of a dataset: {error}. Make datasets with a snapshot.") from error


class DatasetKind:
    """The registry's view of kind ``dataset``."""

    name = KIND

    def validate(self, manifest: Mapping[str, Any]) -> None:
        dataset = read_manifest(manifest)
        if not dataset.schema:
            raise InvalidInput("The dataset has no columns. Give Parquet files with at least one.")
        for file in dataset.files.values():
            parse_digest(file.digest)

    def requires(self, manifest: Mapping[str, Any]) -> Sequence[Digest]:
        return ()
