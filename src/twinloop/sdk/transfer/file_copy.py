"""Copies files of a source into the artifact tree, each digest taken while the bytes pass."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from twinloop.control.transfer.model import Row, Sum
from twinloop.core.errors import TwinloopError, Unavailable
from twinloop.sdk.transfer.checkpoint import Checkpoint, File
from twinloop.sdk.transfer.errors import SourceUnreadable
from twinloop.sdk.transfer.found import FoundFile, Owner, Source
from twinloop.sdk.transfer.report import Tally
from twinloop.sdk.transfer.sink import Sink

_AT_ONCE = 4


class Files(NamedTuple):
    """Whose files, where they lie at the source, and in which folder of the artifact tree they go."""

    owner: Owner
    id: str
    location: str
    place: str


class FileCopy:
    """``writing`` False only reads both sides."""

    def __init__(self, source: Source, sink: Sink, checkpoint: Checkpoint, writing: bool, recheck: bool) -> None:
        self._source = source
        self._sink = sink
        self._checkpoint = checkpoint
        self._writing = writing
        self._recheck = recheck
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="twinloop-import")
        self.added = 0
        self.bytes_added = 0

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def copy(self, wanted: Sequence[Files]) -> None:
        """Copy everything of several owners, some at a time. What cannot be read is refused, and the rest goes on."""
        by_owner: dict[Owner, dict[str, str]] = {}
        for item in wanted:
            by_owner.setdefault(item.owner, {})[item.id] = item.location
        there = {owner: self._source.with_files(owner, places) for owner, places in by_owner.items()}
        for done in self._pool.map(self._copy_all, [item for item in wanted if item.id in there[item.owner]]):
            self.added += done[0]
            self.bytes_added += done[1]

    def _copy_all(self, item: Files) -> tuple[int, int]:
        added = size = 0
        try:
            listed = list(self._source.files(item.owner, item.id, item.location))
            here = self._sink.files(item.place) if listed else {}
        except Unavailable:
            raise
        except TwinloopError as error:
            self._refuse(item, "", error.message)
            return 0, 0
        for file in listed:
            if file.refused is not None:
                self._refuse(item, file.path, file.refused)
                continue
            try:
                if self._copy_one(item, file, here):
                    added, size = added + 1, size + file.size
            except Unavailable:
                raise
            except TwinloopError as error:
                self._refuse(item, file.path, error.message)
        return added, size

    def _copy_one(self, item: Files, file: FoundFile, here: Mapping[str, Row]) -> bool:
        """Whether the file is new here. One that is here already is read and compared, and never replaced."""
        held = None if self._recheck else self._checkpoint.file(item.place, file.path)
        known = here.get(file.path)
        if held is not None and held.size == file.size and known is not None and known["digest"] == held.digest:
            return False
        digesting = Digesting(self._source.read(item.owner, item.id, item.location, file))
        new = known is None and self._writing
        if new:
            kept = self._sink.put_file(f"{item.place}/{file.path}", digesting, file.size)
            if kept["digest"] != digesting.digest:
                raise SourceUnreadable(f"What arrived has the digest {kept['digest']} and not {digesting.digest}.")
        else:
            for _ in digesting:
                pass
        self._checkpoint.keep_file(item.place, File(file.path, file.size, digesting.digest))
        return new

    def _refuse(self, item: Files, path: str, why: str) -> None:
        name = f"{item.id}/{path}" if path else item.id
        self._sink.refused.append((f"files of {item.owner.replace('_', ' ')}", name, why))


class Digesting:
    """Passes chunks on and takes their digest on the way."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._sha = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._sha.update(chunk)
            yield chunk

    @property
    def digest(self) -> str:
        return f"sha256:{self._sha.hexdigest()}"


def compare_files(checkpoint: Checkpoint, sink: Sink) -> tuple[Tally, Tally]:
    """Files and bytes: what was read at the source, beside what the artifact tree holds at the same places."""
    files, sizes = Tally("files"), Tally("bytes of files")
    for place, read in checkpoint.places():
        here = sink.files(place)
        there = {f"{place}/{file.path}": file for file in read}
        known = {f"{place}/{file.path}": here[file.path] for file in read if file.path in here}
        files.compare(
            {name: Sum(1, file.digest) for name, file in there.items()},
            {name: Sum(1, file["digest"]) for name, file in known.items()},
        )
        sizes.compare(
            {name: Sum(file.size, "") for name, file in there.items()},
            {name: Sum(file["size"], "") for name, file in known.items()},
        )
    return files, sizes
