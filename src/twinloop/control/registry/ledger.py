"""How the registry writes: one transaction a verb, its events in it, and a word to those who follow afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from twinloop.control.registry.errors import Held
from twinloop.control.registry.model import Act
from twinloop.control.registry.ports import Holds
from twinloop.control.security.model import Principal
from twinloop.control.store.ports import Store
from twinloop.core.clock import Clock
from twinloop.core.digests import Digest
from twinloop.core.events import Bus, Event

T = TypeVar("T")


@dataclass(frozen=True)
class RegistryChanged(Event):
    """The history of the registry has grown; ``repository.events_after`` tells by what."""


class Ledger:
    """The registry's store. ``shelves`` says on which shelf a kind's cards stand when it is not one of their own."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        bus: Bus | None = None,
        shelves: Mapping[str, str] | None = None,
        holds: Holds | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._bus = bus
        self._shelves = dict(shelves or {})
        self._holds = holds

    def shelf(self, kind: str) -> str:
        return self._shelves.get(kind, kind)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._store.read(work)

    async def write(self, who: Principal, work: Callable[[Connection, Act], T]) -> T:
        """Run ``work`` as one transaction, then announce that the history has grown."""
        act = Act(who.tenant, who.name, self._clock.now_ns())
        done = await self._store.write(lambda connection: work(connection, act))
        if self._bus is not None:
            await self._bus.publish(RegistryChanged(who.tenant))
        return done

    def require_loose(self, connection: Connection, tenant: str, what: str, digests: Sequence[Digest]) -> None:
        """Raise Held when something live pins one of ``digests``."""
        held = self._holds(connection, tenant, digests) if self._holds is not None and digests else {}
        if held:
            raise Held(what, held)
