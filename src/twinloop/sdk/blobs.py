"""Files from a program: upload and download by digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twinloop.core.digests import Digest, digest_bytes
from twinloop.core.errors import NotFound
from twinloop.sdk.client import Client

_CHUNK = 2**20
Json = dict[str, Any]


class Blobs:
    def __init__(self, client: Client) -> None:
        self._client = client

    def upload(self, source: Path | bytes) -> Json:
        """Store a file or bytes and return {digest, size}; what is there already is not sent again."""
        if isinstance(source, bytes):
            digest, size = digest_bytes(source), len(source)
        else:
            digest, size = _digest_file(source), source.stat().st_size
        if not self.has(digest):
            content = source if isinstance(source, bytes) else _chunks(source)
            self._client.call("PUT", f"/api/v1/blobs/{digest}", content=content, headers={"content-length": str(size)})
        return {"digest": digest, "size": size}

    def has(self, digest: str) -> bool:
        try:
            for _ in self._client.send("HEAD", f"/api/v1/blobs/{digest}").body:
                pass
        except NotFound:
            return False
        return True

    def download(self, digest: str, into: Path) -> Path:
        """Write the blob's bytes to the file ``into`` and return it."""
        partial = into.with_name(into.name + ".partial")
        with partial.open("wb") as file:
            for chunk in self._client.stream("GET", f"/api/v1/blobs/{digest}"):
                file.write(chunk)
        partial.rename(into)
        return into

    def read(self, digest: str) -> bytes:
        return b"".join(self._client.stream("GET", f"/api/v1/blobs/{digest}"))


def _digest_file(path: Path) -> Digest:
    sha = hashlib.sha256()
    for chunk in _chunks(path):
        sha.update(chunk)
    return Digest("sha256:" + sha.hexdigest())


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
