"""What a lane tells the registry about each kind of revision it produces, and what it asks before it deletes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection

from twinloop.core.digests import Digest


class Kind(Protocol):
    """One kind of revision. The registry knows kinds only through this."""

    @property
    def name(self) -> str: ...

    def validate(self, manifest: Mapping[str, Any]) -> None:
        """Raise InvalidInput, naming the field, when a manifest is not one of this kind."""
        ...

    def requires(self, manifest: Mapping[str, Any]) -> Sequence[Digest]:
        """The revisions without which this one cannot answer; a release pins them too."""
        ...


class Holds(Protocol):
    """Tells which of some revisions are pinned by what answers now, or by what a rollback returns to."""

    def __call__(
        self, connection: Connection, tenant: str, digests: Sequence[Digest]
    ) -> Mapping[Digest, Sequence[str]]:
        """The endpoints that hold each pinned digest, for people to read; digests that nothing pins are left out."""
        ...
