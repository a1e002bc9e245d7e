"""Writes what is selected as one folder of open formats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

import msgspec

from twinloop.control.artifacts.paths import check_path, join
from twinloop.control.transfer.model import Row
from twinloop.control.transfer.others import LEFT_OUT
from twinloop.control.transfer.service import SHAPES
from twinloop.core.clock import iso
from twinloop.core.errors import InvalidInput, StorageCorrupt
from twinloop.sdk.transfer.folder_writer import FolderWriter, pretty
from twinloop.sdk.transfer.layout import (
    ARTIFACTS,
    BLOBS,
    CARD,
    FILES,
    FORMAT,
    RECORDS,
    REVISION,
    TRACES,
    TRACKING,
    VERSION,
    Blob,
    Index,
    lines,
    path_of,
)
from twinloop.sdk.transfer.parquet_rows import write_parquet
from twinloop.sdk.transfer.registry_docs import blobs_in, card_documents, revision_documents
from twinloop.sdk.transfer.selection import EVERYTHING, select
from twinloop.sdk.transfer.sink import Sink
from twinloop.version import __version__

_LINES = 1_000
_REVISIONS = 200

Progress = Callable[[str], None]


class Export:
    """One export of a Twinloop into a folder that is not there yet."""

    def __init__(self, source: Sink, what: str, folder: Path, progress: Progress = lambda text: None) -> None:
        """Raises Conflict when the folder is not empty, NotFound when there is nothing of that name."""
        self._source = source
        self._what = what
        self._selection = select(source, what)
        self._folder = FolderWriter(folder)
        self._progress = progress
        self._counts: Counter[str] = Counter()
        self._blobs: dict[str, Blob] = {}
        self._paths: set[str] = set()
        self._folders: set[str] = set()

    def run(self, now_ns: int) -> Index:
        """Write everything, and give the folder its name last."""
        for shape in TRACKING:
            self._progress(f"{shape} …")
            with self._folder.open(str(path_of(shape))) as file:
                self._counts[shape] = write_parquet(file, SHAPES[shape], self._selection.rows(shape))
        for shape in (*TRACES, *RECORDS):
            if shape != "artifacts":
                self._progress(f"{shape} …")
                self._write_lines(shape, self._selection.rows(shape))
        self._write_artifacts()
        self._write_registry()
        blobs = [msgspec.to_builtins(self._blobs[digest]) for digest in sorted(self._blobs)]
        if blobs:
            self._folder.write(BLOBS, (lines(part) for part in _parts(blobs, _LINES)))
        index = Index(
            format=FORMAT,
            version=VERSION,
            what=self._what,
            made_at=iso(now_ns),
            made_by=f"twinloop {__version__}",
            counts={shape: count for shape, count in sorted(self._counts.items()) if count},
            files=sorted(self._folder.files, key=lambda file: file.path),
            left_out=dict(sorted(LEFT_OUT.items())) if self._what == EVERYTHING else {},
        )
        self._folder.finish(index)
        return index

    def _write_lines(self, shape: str, rows: Iterable[Row]) -> None:
        parts = _parts(rows, _LINES)
        first = next(parts, None)
        if first is None:
            return
        with self._folder.open(str(path_of(shape))) as file:
            for part in chain([first], parts):
                self._counts[shape] += len(part)
                file.write(lines(part))

    def _write_artifacts(self) -> None:
        """Files of the artifact tree at their paths, and the rows that say what each is."""

        def written() -> Iterator[Row]:
            for row in self._selection.rows("artifacts"):
                path = join(row["folder"], row["name"])
                self._progress(f"artifacts: {self._counts['artifacts']} files")
                self._write_blob(row["digest"], f"{ARTIFACTS}/{check_path(path)}")
                yield row

        self._write_lines("artifacts", written())

    def _write_registry(self) -> None:
        cards = {shape: self._counted(shape) for shape in CARD}
        for path, document in card_documents(cards):
            self._folder.write(path, [pretty(document)])
        waiting: list[Row] = []
        for path, document in revision_documents({shape: self._counted(shape) for shape in REVISION}):
            self._progress(f"registry: {self._counts['revisions']} revisions")
            self._folder.write(path, [pretty(document)])
            for row in document["revisions"]:
                waiting.append({"place": f"{document['kind']}/{document['name']}@{document['number']}", **row})
            if len(waiting) >= _REVISIONS:
                self._write_files(waiting)
                waiting = []
        self._write_files(waiting)

    def _counted(self, shape: str) -> Iterator[Row]:
        for row in self._selection.rows(shape):
            self._counts[shape] += 1
            yield row

    def _write_files(self, revisions: list[Row]) -> None:
        """The files that revisions are made of, each once; a digest that is no file names another revision."""
        found = [(row["place"], digest, name) for row in revisions for digest, name in blobs_in(row["manifest"])]
        unknown = {digest for _, digest, _ in found if digest not in self._blobs}
        sizes = self._source.sizes(unknown)
        for place, digest, name in found:
            if digest in sizes and digest not in self._blobs:
                self._write_blob(digest, self._free(f"{FILES}/{place}", digest, name))

    def _free(self, folder: str, digest: str, name: str) -> str:
        """A path for a file; its digest where it has no name that can be one, or shares it with another."""
        try:
            path = f"{folder}/{check_path(name)}"
        except InvalidInput:
            path = f"{folder}/{digest.removeprefix('sha256:')}"
        above = {path[:end] for end, char in enumerate(path) if char == "/"}
        taken = path in self._paths or path in self._folders or not above.isdisjoint(self._paths)
        return f"{folder}/{digest.removeprefix('sha256:')}" if taken else path

    def _write_blob(self, digest: str, path: str) -> None:
        entry = self._folder.write(path, self._source.client.stream("GET", f"/api/v1/blobs/{digest}"))
        if entry.digest != digest:
            raise StorageCorrupt(f"The blob {digest} is damaged: its bytes have the digest {entry.digest}.")
        self._blobs.setdefault(digest, Blob(digest, entry.size, path))
        self._paths.add(path)
        self._folders.update(path[:end] for end, char in enumerate(path) if char == "/")


def _parts(rows: Iterable[Row], many: int) -> Iterator[list[Row]]:
    part: list[Row] = []
    for row in rows:
        part.append(row)
        if len(part) >= many:
            yield part
            part = []
    if part:
        yield part
