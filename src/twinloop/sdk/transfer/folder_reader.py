"""Reads an exported folder. Nothing of it is believed before every file has the digest that the index says."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from twinloop.control.artifacts.paths import check_path
from twinloop.control.transfer.model import Row
from twinloop.control.transfer.service import SHAPES
from twinloop.core.digests import is_digest
from twinloop.core.errors import InvalidInput
from twinloop.sdk.transfer.errors import BadFolder
from twinloop.sdk.transfer.layout import ARTIFACTS, BLOBS, FORMAT, INDEX, VERSION, Blob, Index, path_of
from twinloop.sdk.transfer.parquet_rows import read_parquet

_INDEX_LIMIT = 2**30
_LINE_LIMIT = 256 * 2**20
_DOCUMENT_LIMIT = 256 * 2**20
_CHUNK = 2**20
_TOLD = 10

Document = dict[str, Any]


class FolderReader:
    """An exported folder; call ``verify`` before anything else. Only files that the index names are ever opened."""

    def __init__(self, folder: Path) -> None:
        """Raises BadFolder when it is no exported folder, or one of a version that cannot be read."""
        self.folder = folder.absolute()
        path = self.folder / INDEX
        if not self.folder.is_dir() or not path.is_file():
            raise BadFolder(
                f"{folder} is no exported folder: there is no {INDEX} in it. Name one made by twinloop export."
            )
        if path.stat().st_size > _INDEX_LIMIT:
            raise BadFolder(f"{path} is larger than {_INDEX_LIMIT} bytes. It is not the index of an export.")
        try:
            self.index = msgspec.json.decode(path.read_bytes(), type=Index)
        except msgspec.DecodeError as error:
            raise BadFolder(f"{path} is not the index of an export: {error}.") from error
        if self.index.format != FORMAT or self.index.version != VERSION:
            raise BadFolder(
                f"{path} says {self.index.format[:40]!r} version {self.index.version}; this Twinloop reads {FORMAT} version "
                f"{VERSION}. Bring it back with the Twinloop that made it."
            )
        self.files = {entry.path: entry for entry in self.index.files}

    def verify(self, progress: Callable[[str], None] = lambda text: None) -> None:
        """Read every file once. Raises BadFolder, naming what is missing or changed, and then nothing was taken."""
        wrong: list[str] = []
        if len(self.files) != len(self.index.files):
            wrong.append("a file is named twice")
        for number, entry in enumerate(self.index.files):
            progress(f"verifying: {number} of {len(self.index.files)} files")
            objection = self._objection(entry.path, entry.size, entry.digest)
            if objection is not None:
                wrong.append(f"{entry.path[:200]!r} {objection}")
        if wrong:
            more = f", and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
            raise BadFolder(
                f"{self.folder} is not what was exported: {'; '.join(wrong[:_TOLD])}{more}. Nothing was taken."
            )

    def rows(self, shape: str) -> Iterator[Row]:
        """Rows of a shape that has a file of its own."""
        path = path_of(shape)
        if path is None or path not in self.files:
            return iter(())
        return read_parquet(self.place(path), SHAPES[shape]) if path.endswith(".parquet") else self._lines(path)

    def blobs(self) -> Iterator[Blob]:
        """Which file holds the bytes of which digest. Raises BadFolder when the index says otherwise."""
        if BLOBS not in self.files:
            return
        for row in self._lines(BLOBS):
            try:
                blob = msgspec.convert(row, Blob)
            except msgspec.ValidationError as error:
                raise BadFolder(f"{BLOBS} does not say which file holds which bytes: {error}.") from error
            entry = self.files.get(blob.path)
            if entry is None or entry.digest != blob.digest or entry.size != blob.size:
                raise BadFolder(
                    f"{BLOBS} says that {blob.path[:200]!r} holds {blob.digest[:80]}, and the index does not."
                )
            yield blob

    def documents(self, ending: str) -> Iterator[Document]:
        """Documents of the registry whose path ends so."""
        for path in sorted(self.files):
            if (
                path.startswith("registry/")
                and path.endswith(".json")
                and path.endswith("@card.json") == (ending == "card")
            ):
                yield self.document(path)

    def document(self, path: str) -> Document:
        if self.files[path].size > _DOCUMENT_LIMIT:
            raise BadFolder(f"{path} is larger than {_DOCUMENT_LIMIT} bytes.")
        try:
            return msgspec.json.decode(self.place(path).read_bytes(), type=Document)
        except msgspec.DecodeError as error:
            raise BadFolder(f"{path} is not a document of the registry: {error}.") from error

    def place(self, path: str) -> Path:
        """A file that the index names."""
        return self.folder / self.files[path].path

    def artifact(self, path: str) -> str | None:
        """The digest of an artifact's bytes in this folder."""
        entry = self.files.get(f"{ARTIFACTS}/{path}")
        return None if entry is None else entry.digest

    def _objection(self, path: str, size: int, digest: str) -> str | None:
        try:
            check_path(path)
        except InvalidInput:
            return "leads out of the folder, or is no path"
        if not is_digest(digest):
            return "has no digest"
        try:
            return self._compared(path, size, digest)
        except OSError as error:
            return f"cannot be read ({error.strerror})"

    def _compared(self, path: str, size: int, digest: str) -> str | None:
        place = self.folder
        for name in path.split("/"):
            place /= name
            if stat.S_ISLNK(os.lstat(place).st_mode):
                return "is a link"
        if not place.is_file():
            return "is not a file"
        if place.stat().st_size != size:
            return f"has {place.stat().st_size} bytes and not {size}"
        sha = hashlib.sha256()
        for chunk in chunks_of(place):
            sha.update(chunk)
        return None if f"sha256:{sha.hexdigest()}" == digest else "was changed: it has another digest"

    def _lines(self, path: str) -> Iterator[Row]:
        decoder = msgspec.json.Decoder(Document)
        with self.place(path).open("rb") as file:
            number = 0
            while line := file.readline(_LINE_LIMIT):
                number += 1
                try:
                    yield decoder.decode(line)
                except msgspec.DecodeError as error:
                    raise BadFolder(f"Line {number} of {path} is not JSON: {error}.") from error


def chunks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
