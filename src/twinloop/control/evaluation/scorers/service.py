"""Verbs of scorers: register, list, get, delete, and say how much of production they are meant to judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from twinloop.control.evaluation.scorers import repository
from twinloop.control.evaluation.scorers.model import (
    Schedule,
    Scorer,
    asks_gateway,
    check_body,
    check_name,
    needs_expectations,
)
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Store
from twinloop.control.tracking import experiment_rows
from twinloop.control.tracking.experiments import Experiments
from twinloop.control.tracking.search import number_of
from twinloop.core.clock import Clock, SystemClock
from twinloop.core.errors import InvalidInput
from twinloop.core.ids import new_id

_IDS = 10_000


class Scorers:
    """Keeps what clients register. Nothing of it is run here."""

    def __init__(
        self,
        store: Store,
        experiments: Experiments,
        clock: Clock | None = None,
        check_filter: Callable[[str], object] = lambda text: None,
    ) -> None:
        """``check_filter`` raises InvalidInput for a text that no search of traces would take."""
        self._store = store
        self._experiments = experiments
        self._clock = clock or SystemClock()
        self._check_filter = check_filter

    async def register(self, who: Principal, experiment_id: str, name: str, body: str) -> Scorer:
        """Keep a scorer under the next version of its name.

        Raises:
            InvalidInput: a name that is none, or a body that is no scorer or holds source code.
            NotFound, NotActive: no such experiment, or a deleted one.
        """
        who.require(Role.developer)
        check_name(name)
        check_body(body)
        await self._experiments.ready(who.tenant)
        now = self._clock.now_ns() // 1_000_000

        def work(connection: Connection) -> Scorer:
            place = experiment_rows.require_active(connection, who.tenant, experiment_id)
            wanted = Scorer(new_id(), str(place.number), name, 0, body, now)
            return repository.add(connection, who.tenant, wanted)

        return await self._store.write(work)

    async def newest(self, who: Principal, experiment_id: str) -> list[Scorer]:
        """The highest version of each of an experiment's scorers, by name. Raises NotFound, NotActive."""
        who.require(Role.viewer)
        await self._experiments.ready(who.tenant)

        def work(connection: Connection) -> list[Scorer]:
            place = experiment_rows.require_active(connection, who.tenant, experiment_id)
            return repository.newest(connection, who.tenant, [place.number])

        return await self._store.read(work)

    async def everywhere(self, who: Principal, experiment_ids: Sequence[str] | None = None) -> list[Scorer]:
        """The same over several experiments, or all; deleted ones and those that are not there are left out."""
        who.require(Role.viewer)
        wanted = None if experiment_ids is None else {number_of(id) for id in experiment_ids}
        if wanted is not None and len(wanted) > _IDS:
            raise InvalidInput(f"{len(wanted)} experiments are too many at once; {_IDS} is the most.")

        def work(connection: Connection) -> list[Scorer]:
            active = repository.active_experiments(connection, who.tenant)
            return repository.newest(connection, who.tenant, [n for n in active if wanted is None or n in wanted])

        return await self._store.read(work)

    async def versions(self, who: Principal, experiment_id: str, name: str) -> list[Scorer]:
        """Every version of a scorer, the lowest first. Raises NotFound, NotActive."""
        who.require(Role.viewer)

        def work(connection: Connection) -> list[Scorer]:
            place = experiment_rows.require_active(connection, who.tenant, experiment_id)
            return repository.of_name(connection, who.tenant, str(place.number), name)

        return await self._store.read(work)

    async def get(self, who: Principal, experiment_id: str, name: str, version: int | None = None) -> Scorer:
        """A version of a scorer, or its highest. Raises NotFound, NotActive."""
        who.require(Role.viewer)

        def work(connection: Connection) -> Scorer:
            place = experiment_rows.require_active(connection, who.tenant, experiment_id)
            return repository.get(connection, who.tenant, str(place.number), name, version)

        return await self._store.read(work)

    async def delete(self, who: Principal, experiment_id: str, name: str, version: int | None = None) -> None:
        """Delete a version, or all of them. Raises NotFound, NotActive."""
        who.require(Role.developer)

        def work(connection: Connection) -> None:
            place = experiment_rows.require_active(connection, who.tenant, experiment_id)
            repository.remove(connection, who.tenant, str(place.number), name, version)

        await self._store.write(work)

    async def schedule(
        self, who: Principal, experiment_id: str, name: str, sample_rate: float, filter: str | None = None
    ) -> Schedule:
        """Say which share of the traces that ``filter`` finds a scorer is meant to judge; 0 means none.

        Raises:
            InvalidInput: a rate outside 0 to 1, a filter that cannot be read, or a scorer that could not be asked here.
            NotFound, NotActive: no such scorer or experiment.
        """
        who.require(Role.developer)
        if not 0.0 <= sample_rate <= 1.0:
            raise InvalidInput(f"sample_rate must be between 0.0 and 1.0, got {sample_rate}.")
        if filter:
            self._check_filter(filter)

        def work(connection: Connection) -> Schedule:
            place = experiment_rows.require_active(connection, who.tenant, experiment_id)
            scorer = repository.get(connection, who.tenant, str(place.number), name, None)
            if sample_rate > 0:
                _check_automatic(scorer)
            schedule = Schedule(new_id(), scorer.id, scorer.experiment_id, sample_rate, filter or None)
            repository.put_schedule(connection, who.tenant, schedule)
            return schedule

        return await self._store.write(work)

    async def schedules(self, who: Principal, scorer_ids: Sequence[str]) -> list[Schedule]:
        """The schedules of scorers by their ids; those without one are left out."""
        who.require(Role.viewer)
        if len(scorer_ids) > _IDS:
            raise InvalidInput(f"{len(scorer_ids)} scorers are too many at once; {_IDS} is the most.")
        wanted = list(dict.fromkeys(scorer_ids))
        return await self._store.read(lambda c: repository.schedules_of(c, who.tenant, wanted))


def _check_automatic(scorer: Scorer) -> None:
    """Raise InvalidInput unless a server could ask the scorer by itself."""
    found = check_body(scorer.body)
    if not asks_gateway(found):
        raise InvalidInput(
            f"Scorer '{scorer.name}' does not use a gateway model. Automatic evaluation needs one that the server can reach: "
            "register it with the model gateway:/<endpoint>."
        )
    if needs_expectations(found):
        raise InvalidInput(
            f"Scorer '{scorer.name}' requires expectations, but scorers with expectations are not currently supported for "
            "automatic evaluation. Traces of production do not say what was expected."
        )
