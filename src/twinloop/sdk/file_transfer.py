"""Large files over connections that break: parts that are sent until they are there, downloads that go on where they ended."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar
from urllib.parse import quote

from twinloop.core.errors import InvalidInput, NotFound, StorageCorrupt, Unavailable
from twinloop.sdk.client import Client

Json = dict[str, Any]
T = TypeVar("T")

LARGE = 100 * 10**6
"""Bytes from which a file goes in parts."""
PART = 32 * 2**20
_CHUNK = 2**18
_TRIES = 6
_FIRST_WAIT_S = 0.25


class Sending(NamedTuple):
    """A file on its way in parts."""

    client: Client
    path: str
    file: Path
    size: int
    digest: str

    def run(self) -> Json:
        """Send what the server does not have, complete, and return the artifact."""
        upload = self._begun()
        part_size = upload["part_size"]
        stored = {part["number"]: part["digest"] for part in upload["parts"]}
        for number in range(1, max(1, -(-self.size // part_size)) + 1):
            start = (number - 1) * part_size
            length = min(part_size, self.size - start)
            if number not in stored or stored[number] != _digest(self.file, start, length):
                persist(partial(self._part, upload["id"], number, start, length))
        one = f"/api/v1/uploads/{upload['id']}"
        try:
            return persist(partial(self.client.call, "POST", f"{one}/complete", {"digest": self.digest}))
        except InvalidInput:
            # The file changed while it was sent. What is stored of it is of no use to the next call.
            self.client.call("DELETE", one)
            raise

    def _begun(self) -> Json:
        """The upload that an earlier call left, or a new one."""
        ask = self.client.call
        found = persist(partial(ask, "GET", "/api/v1/uploads", query={"path": self.path}))["uploads"]
        for upload in found:
            if upload["size"] == self.size and upload["part_size"] == PART:
                return persist(partial(ask, "GET", f"/api/v1/uploads/{upload['id']}"))
        body = {"path": self.path, "size": self.size, "part_size": PART}
        return persist(partial(ask, "POST", "/api/v1/uploads", body))

    def _part(self, id: str, number: int, start: int, length: int) -> None:
        content = slices(self.file, start, length)
        headers = {"content-length": str(length)}
        self.client.call("PUT", f"/api/v1/uploads/{id}/parts/{number}", content=content, headers=headers)


def fetch(client: Client, found: Json, into: Path) -> Path:
    """Write the file of an entry to ``into``, going on with what an earlier call left.

    Raises:
        StorageCorrupt: what arrived does not have the entry's digest; it is removed.
    """
    size, digest = found["size"], found["digest"]
    if into.is_file() and into.stat().st_size == size and file_digest(into)[0] == digest:
        return into
    into.parent.mkdir(parents=True, exist_ok=True)
    # The digest in its name keeps what is left of one content from being gone on with as another.
    half = into.with_name(f".{digest.removeprefix('sha256:')[:32]}.partial")
    with half.open("a+b") as file:
        arriving = _Arriving(client, found, file)
        arriving.begin()
        arriving.go_on()
    if arriving.digest != digest:
        half.unlink()
        raise StorageCorrupt(f"What arrived of {found['path']} is not what was stored. Download it again.")
    half.replace(into)
    return into


class _Arriving:
    """A file on its way here."""

    def __init__(self, client: Client, found: Json, file: IO[bytes]) -> None:
        self._client = client
        self._found = found
        self._file = file
        self._sha = hashlib.sha256()

    @property
    def digest(self) -> str:
        return "sha256:" + self._sha.hexdigest()

    def begin(self) -> None:
        """Hash what an earlier call left; more than the whole is of no use."""
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK):
            self._sha.update(chunk)
        if self._file.tell() > self._found["size"]:
            self._file.seek(0)
            self._file.truncate()
            self._sha = hashlib.sha256()

    def go_on(self) -> None:
        """Read until all is there. A break after which more came than before does not count against the tries."""
        while (before := self._file.tell()) < self._found["size"]:
            try:
                persist(self._read)
            except Unavailable:
                if self._file.tell() == before:
                    raise

    def _read(self) -> None:
        at, tag = self._file.tell(), f'"{self._found["digest"]}"'
        headers = {"range": f"bytes={at}-", "if-range": tag} if at else {}
        answered = self._client.send("GET", f"/api/v1/artifacts/{quote(self._found['path'])}", headers=headers)
        if answered.headers.get("etag") != tag:
            raise NotFound(f"{self._found['path']} was replaced while it was downloaded. Download it again.")
        for chunk in answered.body:
            self._file.write(chunk)
            self._sha.update(chunk)
        if self._file.tell() < self._found["size"]:
            raise Unavailable(f"The answer ended after {self._file.tell()} of {self._found['size']} bytes. Try again.")


def persist(work: Callable[[], T]) -> T:
    """Call ``work`` again, a few times and each time later, while the server is away."""
    wait = _FIRST_WAIT_S
    for _ in range(_TRIES - 1):
        try:
            return work()
        except Unavailable:
            time.sleep(wait)
            wait *= 2
    return work()


def file_digest(file: Path) -> tuple[str, int]:
    """The digest of a file and its size."""
    size = file.stat().st_size
    return _digest(file, 0, size), size


def _digest(file: Path, start: int, length: int) -> str:
    sha = hashlib.sha256()
    for chunk in slices(file, start, length):
        sha.update(chunk)
    return "sha256:" + sha.hexdigest()


def slices(file: Path, start: int, length: int) -> Iterator[bytes]:
    """``length`` bytes of a file from ``start``, in chunks."""
    with file.open("rb") as opened:
        opened.seek(start)
        while length > 0 and (chunk := opened.read(min(_CHUNK, length))):
            length -= len(chunk)
            yield chunk
