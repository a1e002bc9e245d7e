"""Verbs of issues: make, read, change and search."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from twinloop.control.evaluation.issues import repository
from twinloop.control.evaluation.issues.model import Change, Draft, Issue, Wish
from twinloop.control.search.grammar import Vocabulary, parse_filter
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Store
from twinloop.control.tracking import experiment_rows
from twinloop.control.tracking import repository as runs
from twinloop.control.tracking.errors import NotActive
from twinloop.control.tracking.experiments import Experiments
from twinloop.control.tracking.search import number_of
from twinloop.core.clock import Clock, SystemClock
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.core.ids import new_id

_NAME = 250
_TEXT = 100_000
_ITEMS = 100
_PAGE = 50_000

_FILTER = Vocabulary(
    entities={"attribute": "attribute", "attributes": "attribute"},
    numeric=frozenset(),
    text=frozenset({"status", "source_run_id"}),
    listed=frozenset(),
    unknown="Invalid filter field",
)


class Issues:
    """Keeps what is wrong with an application. Traces refer to an issue by an assessment."""

    def __init__(self, store: Store, experiments: Experiments, clock: Clock | None = None) -> None:
        self._store = store
        self._experiments = experiments
        self._clock = clock or SystemClock()

    async def create(self, who: Principal, draft: Draft) -> Issue:
        """Make an issue.

        Raises:
            NotFound: no such experiment, or a deleted one.
            InvalidInput: no name or description, or a run that is not there.
        """
        who.require(Role.developer)
        _check(draft.name, draft.description)
        _check_items(draft)
        await self._experiments.ready(who.tenant)
        now = self._clock.now_ns() // 1_000_000
        issue = Issue(
            id=f"iss-{new_id()}",
            experiment_id=str(number_of(draft.experiment_id)),
            name=draft.name,
            description=draft.description,
            status=draft.status,
            severity=draft.severity,
            root_causes=draft.root_causes,
            categories=draft.categories,
            source_run_id=draft.source_run_id,
            created_by=draft.created_by,
            created_ms=now,
            updated_ms=now,
        )

        def work(connection: Connection) -> Issue:
            _require_experiment(connection, who.tenant, draft.experiment_id)
            if draft.source_run_id is not None:
                _require_run(connection, who.tenant, draft.source_run_id)
            repository.add(connection, who.tenant, issue)
            return issue

        return await self._store.write(work)

    async def get(self, who: Principal, id: str) -> Issue:
        """Raises NotFound."""
        who.require(Role.viewer)
        return await self._store.read(lambda c: repository.get(c, who.tenant, id))

    async def update(self, who: Principal, id: str, change: Change) -> Issue:
        """Raises NotFound, InvalidInput."""
        who.require(Role.developer)
        _check(change.name or "-", change.description or "-")
        now = self._clock.now_ns() // 1_000_000

        def work(connection: Connection) -> Issue:
            there = repository.get(connection, who.tenant, id)
            given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
            after: Issue = msgspec.structs.replace(there, **given, updated_ms=max(now, there.updated_ms + 1))
            repository.replace(connection, who.tenant, after)
            return after

        return await self._store.write(work)

    async def search(self, who: Principal, wish: Wish) -> tuple[list[Issue], int | None]:
        """Issues, the most severe first, and where the next page begins (None at the end)."""
        who.require(Role.viewer)
        if not 1 <= wish.limit <= _PAGE:
            raise InvalidInput(
                f"Invalid value {wish.limit} for parameter 'max_results' supplied. It must be a positive integer, "
                f"{_PAGE} at most."
            )
        experiment = None if wish.experiment_id is None else number_of(wish.experiment_id)
        clauses = parse_filter(wish.filter, _FILTER)
        found = await self._store.read(lambda c: repository.search(c, who.tenant, wish, experiment, clauses))
        return found[: wish.limit], wish.offset + wish.limit if len(found) > wish.limit else None


def _require_experiment(connection: Connection, tenant: str, experiment_id: str) -> None:
    try:
        experiment_rows.require_active(connection, tenant, experiment_id)
    except NotActive:
        raise experiment_rows.missing(experiment_id) from None


def _require_run(connection: Connection, tenant: str, run_id: str) -> None:
    try:
        runs.require(connection, tenant, run_id)
    except NotFound as error:
        raise InvalidInput(f"FOREIGN KEY constraint failed: source_run_id names no run. {error.message}") from error


def _check(name: str, description: str) -> None:
    if not name.strip() or len(name) > _NAME:
        raise InvalidInput(f"An issue's name has 1 to {_NAME} characters; this one has {len(name)}.")
    if not description.strip() or len(description) > _TEXT:
        raise InvalidInput(f"An issue's description has 1 to {_TEXT} characters; this one has {len(description)}.")


def _check_items(draft: Draft) -> None:
    for what, items in (("root causes", draft.root_causes), ("categories", draft.categories)):
        if len(items) > _ITEMS:
            raise InvalidInput(f"An issue has {_ITEMS} {what} at most; there are {len(items)}.")
