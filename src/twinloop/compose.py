"""Settings → App: the only place that chooses backends, puts services together and wires events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from twinloop.backends.home import Home
from twinloop.backends.local_fs import LocalBlobs
from twinloop.backends.prometheus import PrometheusObserver
from twinloop.backends.spool import FileSpool
from twinloop.backends.sqlite import open_store
from twinloop.control.gateway.service import Gateway
from twinloop.control.gateway.variants import VariantTable
from twinloop.control.lineage import repository as lineage_repository
from twinloop.control.lineage.model import Link, Node
from twinloop.control.lineage.service import Lineage
from twinloop.control.registry.service import Registry
from twinloop.control.releases import traffic as transitions
from twinloop.control.releases.kind import ReleaseKind
from twinloop.control.releases.model import Release, Traffic
from twinloop.control.releases.ports import EndpointType, Target
from twinloop.control.releases.service import Releases
from twinloop.control.security.model import Principal, Role
from twinloop.control.security.service import Keys
from twinloop.control.store.ports import Blobs, Store
from twinloop.control.tracing.model import Trace
from twinloop.control.tracing.service import Tracing
from twinloop.core.clock import SystemClock, iso
from twinloop.core.errors import TwinloopError
from twinloop.core.events import Bus
from twinloop.core.settings import Settings
from twinloop.version import __version__

log = logging.getLogger("twinloop.compose")


@dataclass
class App:
    """One running Twinloop: every service, ready for use. Close it once."""

    settings: Settings
    home: Home
    started_ns: int
    store: Store
    blobs: Blobs
    bus: Bus
    keys: Keys
    tracing: Tracing
    lineage: Lineage
    registry: Registry
    releases: Releases
    gateway: Gateway
    observer: PrometheusObserver
    table: VariantTable
    restored: asyncio.Event

    async def restore(self) -> None:
        """Load what was live when the last process ended; until then its endpoints answer that they are starting.

        An endpoint whose release cannot be loaded says why when asked, and does not keep the others from answering.
        """
        waiting = await self.releases.everything()
        for tenant, traffic in waiting:
            self.table.mark_broken(tenant, traffic, "it is being loaded; try again in a moment")
        for tenant, traffic in waiting:
            await self._restore_one(tenant, traffic)
        self.restored.set()

    async def _restore_one(self, tenant: str, traffic: Traffic) -> None:
        who = system(tenant)
        try:
            for number in transitions.loaded(traffic):
                await self.table.prepare(tenant, await self.releases.get(who, traffic.endpoint, number))
        except TwinloopError as error:
            log.error("The endpoint %s cannot be loaded: %s", traffic.endpoint, error.message)
            self.table.mark_broken(tenant, traffic, f"its release cannot be loaded: {error.message}")
        else:
            await self.table.switch(tenant, traffic)

    def facts(self) -> dict[str, Any]:
        """What this process is."""
        return {"version": __version__, "home": str(self.home.path.resolve()), "started_at": iso(self.started_ns)}

    async def check(self) -> None:
        """Raise unless the store answers."""
        await self.store.read(lambda connection: connection.execute(text("SELECT 1")).scalar_one())

    async def aclose(self) -> None:
        """Let requests' traces reach the store, close engines, let go of the home."""
        await self.gateway.aclose()
        await self.tracing.aclose()
        await self.store.aclose()
        self.home.release()


def system(tenant: str) -> Principal:
    """Twinloop itself, acting inside one tenant."""
    return Principal("twinloop", tenant, Role.admin)


async def open_app(settings: Settings) -> App:
    """Hold the home and put an App together.

    Raises:
        HomeHeld: another process has the home.
        InstallationError: the home, the database or a setting must be mended first; nothing was changed.
    """
    clock = SystemClock()
    home = Home(settings.home)
    home.hold(clock.now_ns())
    try:
        return await _put_together(settings, home, clock)
    except BaseException:
        home.release()
        raise


async def _put_together(settings: Settings, home: Home, clock: SystemClock) -> App:
    store = open_store(home.path / "twinloop.db")
    blobs = LocalBlobs(home.path / "blobs")
    bus = Bus()
    keys = Keys(store, clock)
    await keys.load()
    tracing = Tracing(store, write_trace_lineage, FileSpool(home.path / "spool"), clock)
    observer = PrometheusObserver()
    registry = Registry(store, [ReleaseKind()], clock)
    types: Sequence[EndpointType] = []
    table = VariantTable(Activation(registry, types))
    releases = Releases(store, registry, types, None, table, bus, clock)  # type: ignore[arg-type]
    gateway = Gateway(table, tracing, observer, settings.deadline_s)
    await tracing.open()
    return App(
        settings=settings,
        home=home,
        started_ns=clock.now_ns(),
        store=store,
        blobs=blobs,
        bus=bus,
        keys=keys,
        tracing=tracing,
        lineage=Lineage(store),
        registry=registry,
        releases=releases,
        gateway=gateway,
        observer=observer,
        table=table,
        restored=asyncio.Event(),
    )


class Activation:
    """Turns a release into a target: finds what it pins and lets its endpoint type load it."""

    def __init__(self, registry: Registry, types: Sequence[EndpointType]) -> None:
        self._registry = registry
        self._types = {kind.name: kind for kind in types}

    async def __call__(self, tenant: str, release: Release) -> Target:
        who = system(tenant)
        pins = {role: await self._registry.get(who, pin.digest) for role, pin in release.pins.items()}
        required = [await self._registry.get(who, pin.digest) for pin in release.required]
        return await self._types[release.type].activate(tenant, pins, required)


def write_trace_lineage(connection: Connection, tenant: str, traces: Sequence[Trace]) -> None:
    """Traces as nodes of the lineage graph, for those that used something."""
    found = [
        (
            Node(f"trace:{t.trace_id}", "trace", t.endpoint or t.name[:300], t.trace_id, None, t.start_ns),
            [Link(link.role, link.parent, link.via) for link in t.links],
        )
        for t in traces
        if t.links
    ]
    lineage_repository.add_many(connection, tenant, found, leaf=True)
