"""Datasets from a program: snapshot tables, look at them, read them back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twinloop.sdk import tables
from twinloop.sdk.client import Client
from twinloop.sdk.definitions import current_run_id
from twinloop.sdk.tracking.context import innermost

if TYPE_CHECKING:
    import pyarrow as pa

Json = dict[str, Any]


class Data:
    def __init__(self, client: Client) -> None:
        self._client = client

    def snapshot(
        self,
        name: str,
        table: Any,
        *,
        time_column: str | None = None,
        source: Mapping[str, Any] | None = None,
        parents: Sequence[str] = (),
    ) -> Json:
        """Keep a table as dataset ``name`` and return its revision; the same rows again are the same revision.

        Args:
            table: a CSV, zipped CSV or Parquet file, an Arrow table, a list of dicts, or a dict of columns.
            time_column: the column that says when a row happened.
            source: where the rows come from, in your words (JSON).
            parents: revisions the rows were derived from, such as ``dataset/flights@1``.

        Raises:
            InvalidInput: the table cannot be read, or has a column of a type datasets do not have.
        """
        blob = self._client.blobs.upload(tables.parquet_bytes(tables.arrow(table)))
        body = {
            "name": name,
            "files": [{"path": "part-0.parquet", "digest": blob["digest"]}],
            "source": dict(source or {}),
            "time_column": time_column,
            "parents": list(parents),
            "run_id": current_run_id(),
        }
        return self._client.call("POST", "/api/v1/datasets", body)["revision"]

    def get(self, ref: str) -> Json:
        """The revision of a dataset: ``name`` or ``dataset/name`` (newest), ``dataset/name@3``, or a digest."""
        return self._client.revisions.get(ref if "/" in ref or ":" in ref else f"dataset/{ref}")

    def rows(self, ref: str, limit: int = 20) -> Json:
        """The first rows: {columns, rows, total}."""
        return self._client.call("GET", "/api/v1/datasets/rows", query={"dataset": ref, "limit": limit})

    def arrow(self, ref: str) -> pa.Table:
        """The whole dataset as an Arrow table, its rows in order. Inside the block of a ``tl.run`` the run used it."""
        revision = self.get(ref)
        run = innermost()
        if run is not None:
            run.use(revision["ref"])
        files = revision["manifest"]["files"]
        return tables.from_parquet([self._client.blobs.read(files[path]["digest"]) for path in sorted(files)])
