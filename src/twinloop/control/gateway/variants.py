"""The routing table in memory: which loaded release answers which request."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable

from twinloop.control.gateway.model import Loaded, Variants
from twinloop.control.releases.model import Release, Traffic
from twinloop.control.releases.ports import Target
from twinloop.core.errors import NotFound, TwinloopError, Unavailable

log = logging.getLogger("twinloop.gateway")

Activate = Callable[[str, Release], Awaitable[Target]]


class VariantTable:
    """Implements Serving. A request reads one row; a switch replaces the row; nothing waits for anything.

    A release that no row names any more is closed once its last request has ended.
    """

    def __init__(self, activate: Activate) -> None:
        self._activate = activate
        self._rows: dict[tuple[str, str], Variants] = {}
        self._ready: dict[tuple[str, str], Loaded] = {}
        self._broken: dict[tuple[str, str], str] = {}
        self._loading: dict[tuple[str, str], asyncio.Event] = {}

    def announce(self, tenant: str, traffic: Traffic) -> None:
        """Say that an endpoint is there and being loaded: its requests wait until it is switched or marked broken."""
        self._rows[tenant, traffic.endpoint] = Variants(traffic, None, None, None, None)
        self._loading[tenant, traffic.endpoint] = asyncio.Event()

    async def settled(self, tenant: str, endpoint: str) -> None:
        """Return once the endpoint is no longer being loaded."""
        loading = self._loading.get((tenant, endpoint))
        if loading is not None:
            await loading.wait()

    async def prepare(self, tenant: str, release: Release) -> None:
        if (tenant, release.digest) in self._ready:
            return
        target = await self._activate(tenant, release)
        self._ready[tenant, release.digest] = Loaded(release, target)

    async def switch(self, tenant: str, traffic: Traffic) -> None:
        by_number = {
            loaded.release.number: loaded
            for (owner, _), loaded in self._ready.items()
            if owner == tenant and loaded.release.endpoint == traffic.endpoint
        }

        def pick(number: int | None) -> Loaded | None:
            return None if number is None else by_number.get(number)

        row = Variants(traffic, pick(traffic.live), pick(traffic.canary), pick(traffic.shadow), pick(traffic.previous))
        self._rows[tenant, traffic.endpoint] = row
        self._broken.pop((tenant, traffic.endpoint), None)
        self._settle(tenant, traffic.endpoint)
        keep = {id(loaded) for loaded in row.all()}
        for loaded in by_number.values():
            if id(loaded) not in keep:
                del self._ready[tenant, loaded.release.digest]
                loaded.retired = True
                await self._close_if_idle(loaded)

    def mark_broken(self, tenant: str, traffic: Traffic, reason: str) -> None:
        """Remember why an endpoint cannot answer; requests are told, and a release mends it."""
        self._rows[tenant, traffic.endpoint] = Variants(traffic, None, None, None, None)
        self._broken[tenant, traffic.endpoint] = reason
        self._settle(tenant, traffic.endpoint)

    def row(self, tenant: str, endpoint: str) -> Variants:
        row = self._rows.get((tenant, endpoint))
        if row is None:
            raise NotFound(f"There is no endpoint {endpoint[:200]}. List endpoints with: twinloop releases")
        return row

    def rows(self, tenant: str) -> list[Variants]:
        return [row for (owner, _), row in sorted(self._rows.items()) if owner == tenant]

    def choose(self, tenant: str, endpoint: str, sticky: str, number: int | None = None) -> tuple[Loaded, Variants]:
        """The release that answers ``sticky`` (a principal, user or trace): the same for the same canary and weight.

        ``number`` names the release instead; it must be in memory.
        """
        row = self.row(tenant, endpoint)
        if row.live is None:
            reason = self._broken.get((tenant, endpoint), "nothing is released there")
            raise Unavailable(f"{endpoint} cannot answer: {reason}.")
        if number is not None:
            for loaded in row.all():
                if loaded.release.number == number:
                    return loaded, row
            raise NotFound(f"{endpoint}@{number} answers nothing now. See what does with: twinloop releases {endpoint}")
        if row.canary is not None and share(sticky, row.canary.release.digest) < row.traffic.weight:
            return row.canary, row
        return row.live, row

    async def release_one(self, loaded: Loaded) -> None:
        """A request on ``loaded`` has ended."""
        loaded.in_flight -= 1
        if loaded.retired:
            await self._close_if_idle(loaded)

    async def aclose(self) -> None:
        for loaded in self._ready.values():
            await _close(loaded)
        self._ready.clear()
        self._rows.clear()

    def _settle(self, tenant: str, endpoint: str) -> None:
        loading = self._loading.pop((tenant, endpoint), None)
        if loading is not None:
            loading.set()

    async def _close_if_idle(self, loaded: Loaded) -> None:
        if loaded.in_flight == 0:
            await _close(loaded)


async def _close(loaded: Loaded) -> None:
    try:
        await loaded.target.aclose()
    except TwinloopError as error:
        log.warning("Closing %s: %s", loaded.release.ref, error.message)


def share(sticky: str, salt: str) -> float:
    """A number in [0, 1) that is always the same for the same two texts and evenly spread over all of them."""
    raw = hashlib.blake2b(f"{salt}\0{sticky}".encode(), digest_size=8).digest()
    return int.from_bytes(raw, "big") / 2**64
