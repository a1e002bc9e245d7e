"""Verbs on experiments."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from twinloop.control.search.grammar import parse_filter, parse_order
from twinloop.control.search.page import Page
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Store
from twinloop.control.tracking import experiment_rows, points
from twinloop.control.tracking.errors import NotActive
from twinloop.control.tracking.model import Experiment, Query
from twinloop.control.tracking.names import EXPERIMENT_TAG_LIMIT, check_experiment_name, check_limit, check_pairs
from twinloop.control.tracking.search import EXPERIMENT_SUBJECT, EXPERIMENTS, Search, number_of
from twinloop.core.clock import Clock
from twinloop.core.errors import Conflict

_PAGE = 50_000
_NEWEST = ("creation_time DESC", "experiment_id ASC")


class Experiments:
    """Creates, finds and changes experiments. Every tenant has the experiment 0, named Default."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._begun_ms = self._now()
        self._ready: set[str] = set()

    async def create(
        self, who: Principal, name: str, tags: Mapping[str, str] | None = None, artifact_location: str | None = None
    ) -> Experiment:
        """Raises Conflict when there is one of this name, deleted ones included."""
        who.require(Role.developer)
        check_experiment_name(name)
        check_pairs(tags or {}, "tag", EXPERIMENT_TAG_LIMIT)
        await self.ready(who.tenant)
        now = self._now()
        return await self._store.write(
            lambda c: experiment_rows.add(c, who.tenant, name, artifact_location, tags or {}, now)
        )

    async def get(self, who: Principal, id: str) -> Experiment:
        """Raises NotFound."""
        who.require(Role.viewer)
        await self.ready(who.tenant)
        return await self._store.read(lambda c: experiment_rows.by_id(c, who.tenant, id))

    async def find(self, who: Principal, name: str) -> Experiment | None:
        """The experiment of this name, deleted or not."""
        who.require(Role.viewer)
        await self.ready(who.tenant)
        return await self._store.read(lambda c: experiment_rows.by_name(c, who.tenant, name))

    async def ensure(self, who: Principal, name: str) -> Experiment:
        """The experiment of this name, made if there is none. Raises NotActive when it is deleted."""
        found = await self.find(who, name)
        if found is None:
            try:
                return await self.create(who, name)
            except Conflict:  # somebody else made it in between
                found = await self.find(who, name)
        if found is None or found.lifecycle != "active":
            raise NotActive("experiment", name)
        return found

    async def search(self, who: Principal, query: Query) -> Page[Experiment]:
        """Newest first unless ``query.order`` says otherwise."""
        who.require(Role.viewer)
        check_limit(query.limit, _PAGE)
        await self.ready(who.tenant)
        return await self._store.read(lambda c: _search(c, who.tenant, query))

    async def rename(self, who: Principal, id: str, name: str) -> None:
        who.require(Role.developer)
        check_experiment_name(name)
        now = self._now()
        await self._store.write(lambda c: experiment_rows.rename(c, who.tenant, id, name, now))

    async def delete(self, who: Principal, id: str) -> None:
        """Softly, with its runs."""
        who.require(Role.developer)
        await self._set_lifecycle(who, id, "deleted")

    async def restore(self, who: Principal, id: str) -> None:
        """With the runs that were deleted with it."""
        who.require(Role.developer)
        await self._set_lifecycle(who, id, "active")

    async def set_tags(self, who: Principal, id: str, tags: Mapping[str, str]) -> None:
        who.require(Role.developer)
        check_pairs(tags, "tag", EXPERIMENT_TAG_LIMIT)
        await self.ready(who.tenant)

        def work(connection: Connection) -> None:
            experiment_rows.require_active(connection, who.tenant, id)
            experiment_rows.put_tags(connection, who.tenant, number_of(id), tags)

        await self._store.write(work)

    async def delete_tag(self, who: Principal, id: str, key: str) -> None:
        """Raises NotFound when there is no such tag."""
        who.require(Role.developer)
        await self._store.write(lambda c: experiment_rows.remove_tag(c, who.tenant, id, key))

    async def ready(self, tenant: str) -> None:
        """Make sure, once per tenant and process, that the default experiment is there, and series know theirs."""
        if tenant in self._ready:
            return

        def work(connection: Connection) -> None:
            experiment_rows.ensure_default(connection, tenant, self._begun_ms)
            points.place(connection, tenant)

        await self._store.write(work)
        self._ready.add(tenant)

    async def _set_lifecycle(self, who: Principal, id: str, lifecycle: str) -> None:
        await self.ready(who.tenant)
        now = self._now()
        await self._store.write(lambda c: experiment_rows.set_lifecycle(c, who.tenant, id, lifecycle, now))

    def _now(self) -> int:
        return self._clock.now_ns() // 1_000_000


def _search(connection: Connection, tenant: str, query: Query) -> Page[Experiment]:
    orders = parse_order(query.order or _NEWEST, EXPERIMENTS)
    clauses = parse_filter(query.filter, EXPERIMENTS)
    search = Search(EXPERIMENT_SUBJECT, tenant, connection.dialect.name, orders)
    rows = connection.execute(search.page(clauses, query.view, query.limit + 1, query.token)).all()
    shown = rows[: query.limit]
    following = search.token(shown[-1]) if len(rows) > query.limit else None
    return Page(tuple(experiment_rows.load(connection, tenant, shown)), following)
