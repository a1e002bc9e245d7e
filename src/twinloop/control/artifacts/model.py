"""What the artifact tree keeps. Times are milliseconds since the Unix epoch, the unit of tracking."""

from __future__ import annotations

import msgspec

from twinloop.core.digests import Digest


class Artifact(msgspec.Struct, frozen=True):
    """A file, or a folder, at a path relative to the tenant's root, such as ``1/<run>/artifacts/model/MLmodel``.

    A file has ``size`` bytes with ``digest``, and ``flag`` says in a few words why loading it could run code of whoever
    wrote it; None is no known danger. A folder has size 0, an empty digest and no flag.
    """

    path: str
    size: int
    digest: Digest
    is_dir: bool
    at_ms: int
    flag: str | None = None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Part(msgspec.Struct, frozen=True):
    """A part of an upload that is stored; numbers begin at 1."""

    number: int
    size: int
    digest: Digest


class Upload(msgspec.Struct, frozen=True):
    """An upload in parts, under way or done.

    ``size`` and ``part_size`` are in bytes and what the client said when it began; where it said them, all parts have
    ``part_size`` bytes but the last. ``digest`` is that of the whole file once the upload is complete.
    """

    id: str
    path: str
    size: int | None
    part_size: int | None
    begun_ms: int
    touched_ms: int
    digest: Digest | None = None
    parts: tuple[Part, ...] = ()

    @property
    def part_count(self) -> int | None:
        """How many parts there are to be, where the client said."""
        if self.size is None or self.part_size is None:
            return None
        return max(1, -(-self.size // self.part_size))


class Begun(msgspec.Struct, frozen=True):
    """An upload, and the token that lets whoever holds it put parts of this upload, and nothing else, without a key."""

    upload: Upload
    token: str
