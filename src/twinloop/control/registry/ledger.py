"""How the registry writes: one transaction a verb, its events in it, and a word to those who follow afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from twinloop.control.registry import card_rows, repository
from twinloop.control.registry.card_rows import Named
from twinloop.control.registry.errors import Held
from twinloop.control.registry.model import Act, Revision
from twinloop.control.registry.ports import Holds
from twinloop.control.security.model import Principal
from twinloop.control.store.ports import Store
from twinloop.core.clock import Clock
from twinloop.core.digests import Digest, is_digest
from twinloop.core.errors import NotFound
from twinloop.core.events import Bus, Event
from twinloop.core.ids import Ref

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

    def named(self, kind: str, name: str) -> Named:
        """A card by its name in references."""
        return Named(kind, name, self.shelf(kind))

    def find(self, connection: Connection, tenant: str, ref: str) -> Revision | None:
        """A revision by reference or digest; by digest also one that was deleted."""
        if is_digest(ref):
            return repository.by_digest(connection, tenant, Digest(ref))
        parsed = Ref.parse(ref)
        name = card_rows.name_of(connection, tenant, self.named(parsed.kind, parsed.name))
        return repository.by_ref(connection, tenant, parsed._replace(name=name))

    def get(self, connection: Connection, tenant: str, ref: str) -> Revision:
        """Raises NotFound."""
        found = self.find(connection, tenant, ref)
        if found is None:
            raise NotFound(f"There is no revision {ref[:200]}. List what there is with: twinloop status")
        return found

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
