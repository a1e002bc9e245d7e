"""What the artifact tree keeps. Times are milliseconds since the Unix epoch, the unit of tracking."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from twinloop.core.digests import Digest

T = TypeVar("T")


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


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some items in order, and the token that goes on after them; None at the end."""

    items: list[T]
    next: str | None = None
