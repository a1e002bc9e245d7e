"""What webhooks need from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sqlalchemy import Connection

from twinloop.control.webhooks.model import Answer, Occurrence


class Outbox(Protocol):
    """A history that webhooks follow. It is written in the transaction of each change, so nothing in it can be lost."""

    @property
    def name(self) -> str: ...

    def last(self, connection: Connection) -> int:
        """The newest sequence, 0 when there is none."""
        ...

    def after(self, connection: Connection, sequence: int, limit: int) -> Sequence[Occurrence]:
        """What happened behind ``sequence``, at most ``limit``, oldest first."""
        ...


class Sender(Protocol):
    """Carries a body to a receiver."""

    async def check(self, url: str) -> None:
        """Raise InvalidInput when nothing may ever be sent to ``url``."""
        ...

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST ``body`` once; redirects are not followed.

        Raises:
            Unavailable: the receiver did not answer, or may not be reached; the message says which, without the URL.
        """
        ...

    async def aclose(self) -> None: ...
