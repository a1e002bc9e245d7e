"""The two places state lives in. Backends implement them; services are given them."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import msgspec
from sqlalchemy import Connection

from twinloop.core.digests import Digest

T = TypeVar("T")


class Store(Protocol):
    """The relational store. A unit of work is a plain function of a connection, kept short and free of other I/O."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a consistent snapshot and return its result."""
        ...

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` as one transaction and return its result once it survives a power cut.

        When ``work`` raises, nothing it did remains and the error is raised here; other writers are untouched.

        Raises:
            StorageFull: no space left; nothing was written.
            StorageCorrupt: the database is damaged.
        """
        ...

    async def aclose(self) -> None: ...


class BlobRef(msgspec.Struct, frozen=True):
    """A stored blob: its digest and its size in bytes."""

    digest: Digest
    size: int


class Slot(NamedTuple):
    """Where a part lies in its file: ``size`` bytes from ``start``."""

    start: int
    size: int


class Blobs(Protocol):
    """Content-addressed bytes, streamed in constant memory. Writing the same bytes twice stores them once.

    What is too large for one stream arrives as numbered parts of an upload, in any order, and is joined at the end.
    Whoever began the upload keeps account of its parts; names of uploads are letters, digits and hyphens.
    """

    async def put(self, chunks: AsyncIterable[bytes], expected: Digest | None = None) -> BlobRef:
        """Store a stream.

        Raises:
            InvalidInput: the bytes do not have the ``expected`` digest; nothing is stored.
            StorageFull: no space left; nothing is stored.
        """
        ...

    async def put_file(self, path: Path) -> BlobRef: ...

    async def size(self, digest: Digest) -> int | None:
        """The size in bytes, or None when there is no such blob."""
        ...

    def open(self, digest: Digest, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Iterate over the bytes from ``start`` up to, not including, ``end``, in chunks of at most 1 MiB.

        Raises:
            NotFound: at the first chunk, when there is no such blob.
            StorageCorrupt: in place of the last chunk of a whole read, when the bytes do not have the digest any more.
        """
        ...

    async def local_path(self, digest: Digest) -> Path:
        """A readable file with these bytes, for engines that take a path; never write to it. Raises NotFound."""
        ...

    async def put_part(
        self, upload: str, number: int, chunks: AsyncIterable[bytes], slot: Slot | None = None
    ) -> BlobRef:
        """Keep a part of an upload; when this returns, it survives a power cut.

        Args:
            slot: where the part lies, if that is known of all parts of this upload. They are then written where they
                belong and joining copies nothing. A part sent again replaces the bytes of the one before as it comes.

        Raises:
            InvalidInput: the bytes do not fill the slot.
            StorageFull: no space left.
        """
        ...

    async def join_parts(
        self, upload: str, parts: Sequence[tuple[int, BlobRef]], expected: Digest | None = None
    ) -> BlobRef:
        """Store the parts, in the order given, as one blob. The parts stay until they are dropped.

        Raises:
            NotFound: a part is not there.
            StorageCorrupt: a part does not have its digest any more; looked at unless the whole is ``expected``.
            InvalidInput, StorageFull: as ``put``.
        """
        ...

    async def drop_parts(self, upload: str) -> None:
        """Forget an upload's parts; nothing happens when there are none."""
        ...

    async def uploads(self) -> Sequence[str]:
        """The uploads that have parts."""
        ...
