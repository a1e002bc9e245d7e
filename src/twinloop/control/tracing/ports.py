"""What tracing needs from others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection

from twinloop.control.tracing.model import Trace


class LinkWriter(Protocol):
    """Writes the lineage of traces in the transaction that writes the traces."""

    def __call__(self, connection: Connection, tenant: str, traces: Sequence[Trace]) -> None: ...


class Spool(Protocol):
    """Somewhere to put batches that the store cannot take now, kept in order until it can."""

    def append(self, batch: bytes) -> None:
        """Keep one batch durably. Raises OSError when it cannot."""
        ...

    def drain(self) -> list[bytes]:
        """All batches kept, oldest first."""
        ...

    def clear(self) -> None:
        """Forget what ``drain`` returned, after it was written."""
        ...
