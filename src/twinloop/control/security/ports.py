"""What security needs from outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Secrets(Protocol):
    """Keeps secrets apart from everything else, by names that say nothing about them."""

    async def put(self, name: str, value: str) -> None:
        """Keep ``value`` under ``name``; it is durable when this returns.

        Raises:
            StorageFull, StorageUnreadable: it cannot be written.
        """
        ...

    async def get(self, name: str) -> str | None:
        """The secret, or None when there is none of this name."""
        ...

    async def remove(self, name: str) -> None:
        """Forget it; one that is not there is no error."""
        ...

    async def names(self, prefix: str) -> Sequence[str]:
        """The names that begin with ``prefix``."""
        ...
