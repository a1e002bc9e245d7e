"""What the registry keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from twinloop.core.digests import Digest, digest_json


class Parent(msgspec.Struct, frozen=True):
    """A lineage edge to the revision this one was made from."""

    role: str
    digest: Digest
    via: dict[str, Any] | None = None


class Revision(msgspec.Struct, frozen=True):
    """An immutable ``kind/name@number``; ``digest`` is over kind, name, manifest and parents."""

    kind: str
    name: str
    number: int
    digest: Digest
    manifest: dict[str, Any]
    parents: tuple[Parent, ...]
    created_ns: int
    created_by: str
    run_id: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def ref(self) -> str:
        return f"{self.kind}/{self.name}@{self.number}"


class Registered(msgspec.Struct, frozen=True):
    """The result of registering; ``created`` is False when the same content was there already."""

    revision: Revision
    created: bool


def revision_digest(kind: str, name: str, manifest: Mapping[str, Any], parents: tuple[Parent, ...]) -> Digest:
    return digest_json(
        {"kind": kind, "name": name, "manifest": manifest, "parents": sorted([p.role, p.digest] for p in parents)}
    )
