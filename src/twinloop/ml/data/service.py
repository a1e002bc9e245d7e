"""Verbs of data: snapshot tables, look at them, and write tables that later stages make."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from twinloop.control.registry.model import Parent, Registered, Revision
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Blobs
from twinloop.core.digests import canonical_json, digest_json, parse_digest
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.core.ids import check_name
from twinloop.ml.data import sql
from twinloop.ml.data.model import KIND, Column, DataFile, DatasetManifest, FileInput, Preview, read_manifest
from twinloop.ml.data.ports import Analytics, Session

_PREVIEW_LIMIT = 1000
_SAME_ROWS_LOOKBACK = 20

Build = Callable[[Session, Path], None]
"""Writes one Parquet file at the path; runs in the analytical engine's thread."""


class Datasets:
    """Keeps tables as dataset revisions; their bytes are Parquet blobs."""

    def __init__(self, registry: Registry, blobs: Blobs, analytics: Analytics) -> None:
        self._registry = registry
        self._blobs = blobs
        self._analytics = analytics

    async def snapshot(
        self,
        who: Principal,
        name: str,
        files: Sequence[FileInput],
        *,
        source: Mapping[str, Any] | None = None,
        time_column: str | None = None,
        parents: Sequence[str] = (),
        run_id: str | None = None,
    ) -> Registered:
        """Make a dataset revision of Parquet blobs that were uploaded before.

        The same rows under the same name are the same revision, whatever their order, the bytes of their files or
        where they came from this time. ``parents`` are the revisions the rows were derived from.

        Raises:
            InvalidInput: not Parquet, columns that differ between files, a type datasets do not have, no time column.
            NotFound: a blob or a parent does not exist.
        """
        who.require(Role.developer)
        check_name(name)
        if not files or len({file.path for file in files}) != len(files):
            raise InvalidInput("A dataset needs at least one file, each under a path of its own.")
        ordered = sorted(files, key=lambda file: file.path)
        sizes = [await self._size(file.digest) for file in ordered]
        paths = [await self._blobs.local_path(parse_digest(file.digest)) for file in ordered]
        schema, counts, rows, digest = await self._analytics.run(lambda session: _measure(session, paths))
        manifest = DatasetManifest(
            files={
                file.path: DataFile(file.digest, size, count)
                for file, size, count in zip(ordered, sizes, counts, strict=True)
            },
            rows=rows,
            schema=schema,
            row_digest=digest,
            time_column=_time_column(schema, time_column),
            source=dict(source or {}),
        )
        canonical_json(manifest.source)
        return await self._register(who, name, manifest, await self._parents(who, parents), run_id)

    async def write(
        self,
        who: Principal,
        name: str,
        build: Build,
        *,
        source: Mapping[str, Any],
        parents: Sequence[Parent],
        time_column: str | None = None,
        run_id: str | None = None,
    ) -> Registered:
        """Make a dataset revision of the file that ``build`` writes; for the stages that come after data."""
        who.require(Role.developer)
        check_name(name)
        with tempfile.TemporaryDirectory(dir=self._analytics.scratch) as folder:
            path = Path(folder) / "part-0.parquet"

            def work(session: Session) -> tuple[tuple[Column, ...], int]:
                build(session, path)
                return sql.describe(session, path), _count(session, path)

            schema, rows = await self._analytics.run(work)
            blob = await self._blobs.put_file(path)
        manifest = DatasetManifest(
            files={"part-0.parquet": DataFile(blob.digest, blob.size, rows)},
            rows=rows,
            schema=schema,
            # The engine writes the same rows as the same bytes, and their order is part of what a stage made.
            row_digest=digest_json({"file": blob.digest}),
            time_column=_time_column(schema, time_column),
            source=dict(source),
        )
        return await self._register(who, name, manifest, tuple(parents), run_id)

    async def get(self, who: Principal, ref: str) -> tuple[Revision, DatasetManifest]:
        """Raises NotFound, or InvalidInput when the revision is not a dataset. A bare name means the newest."""
        revision = await self._registry.get(who, ref if "/" in ref or ":" in ref else f"{KIND}/{ref}")
        if revision.kind != KIND:
            raise InvalidInput(f"{revision.ref} is not a dataset. Name one as dataset/name or dataset/name@3.")
        return revision, read_manifest(revision.manifest)

    async def newest(self, who: Principal, name: str) -> tuple[Revision, DatasetManifest]:
        return await self.get(who, f"{KIND}/{name}")

    async def parts(self, manifest: DatasetManifest) -> list[sql.Part]:
        """The dataset's files on this machine, in order."""
        return [
            sql.Part(await self._blobs.local_path(parse_digest(file.digest)), file.rows)
            for _, file in sorted(manifest.files.items())
        ]

    async def rows(self, who: Principal, ref: str, limit: int = 20) -> Preview:
        """The first ``limit`` rows of a dataset."""
        if not 1 <= limit <= _PREVIEW_LIMIT:
            raise InvalidInput(f"limit must be between 1 and {_PREVIEW_LIMIT}.")
        _, manifest = await self.get(who, ref)
        parts = await self.parts(manifest)
        cells = ", ".join(_json_cell(column) for column in manifest.schema)
        query = f"SELECT {cells} FROM ({sql.scan(parts)}) ORDER BY {sql.ROW} LIMIT {limit}"
        found = await self._analytics.run(lambda session: session.fetch(query))
        names = [column.name for column in manifest.schema]
        return Preview(manifest.schema, [dict(zip(names, row, strict=True)) for row in found], manifest.rows)

    async def _size(self, digest: str) -> int:
        size = await self._blobs.size(parse_digest(digest))
        if size is None:
            raise NotFound(f"There is no blob {digest[:80]}. Upload the file first.")
        return size

    async def _parents(self, who: Principal, refs: Sequence[str]) -> tuple[Parent, ...]:
        found = [await self._registry.get(who, ref) for ref in refs]
        return tuple(Parent(role="derived_from", digest=revision.digest) for revision in found)

    async def _register(
        self, who: Principal, name: str, manifest: DatasetManifest, parents: tuple[Parent, ...], run_id: str | None
    ) -> Registered:
        origin = sorted((parent.role, parent.digest) for parent in parents)
        for known in await self._registry.revisions(who, KIND, name, limit=_SAME_ROWS_LOOKBACK):
            held = read_manifest(known.manifest)
            same_rows = (held.row_digest, held.time_column) == (manifest.row_digest, manifest.time_column)
            if same_rows and sorted((parent.role, parent.digest) for parent in known.parents) == origin:
                # Registering the known content again only adds the run to its history.
                return await self._registry.register(who, KIND, name, known.manifest, known.parents, run_id)
        return await self._registry.register(who, KIND, name, msgspec.to_builtins(manifest), parents, run_id)


def _measure(session: Session, paths: Sequence[Path]) -> tuple[tuple[Column, ...], list[int], int, str]:
    schemas = [sql.describe(session, path) for path in paths]
    for number, schema in enumerate(schemas, start=1):
        if schema != schemas[0]:
            raise InvalidInput(
                f"File {number} (by path) has other columns than the first. Make names, types and order equal."
            )
    counts = [_count(session, path) for path in paths]
    parts = [sql.Part(path, count) for path, count in zip(paths, counts, strict=True)]
    rows, digest = sql.row_digest(session, f"({sql.scan(parts)})", schemas[0])
    return schemas[0], counts, rows, digest


def _count(session: Session, path: Path) -> int:
    return int(session.fetch(f"SELECT count(*) FROM read_parquet({sql.text(str(path))})")[0][0])


def _time_column(schema: Sequence[Column], wanted: str | None) -> str | None:
    if wanted is None:
        return None
    for column in schema:
        if column.name == wanted:
            if column.type in ("timestamp", "date"):
                return wanted
            raise InvalidInput(
                f"The time column {wanted!r} has the type {column.type}. Give a timestamp or date column."
            )
    raise InvalidInput(
        f"There is no column {wanted!r} to be the time column. Columns are: {', '.join(c.name for c in schema)}."
    )


def _json_cell(column: Column) -> str:
    quoted = sql.name(column.name)
    if column.type == "timestamp":
        return f"strftime({quoted}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    if column.type == "date":
        return f"{quoted}::VARCHAR"
    if column.type == "float64":
        return f"CASE WHEN isfinite({quoted}) THEN {quoted} END"
    return quoted
