"""Verbs of evaluation datasets: make, fill, find, and say which experiments use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from twinloop.control.evaluation.datasets import merging, repository
from twinloop.control.evaluation.datasets.model import SOURCE_TYPES, USER_TAG, Dataset, Draft, Merged, Record
from twinloop.control.search.grammar import Vocabulary, parse_filter, parse_order
from twinloop.control.search.page import Page
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Store
from twinloop.control.tracking import experiment_rows
from twinloop.control.tracking.experiments import Experiments
from twinloop.control.tracking.model import Query
from twinloop.control.tracking.search import Search, Subject, number_of
from twinloop.core.clock import Clock, SystemClock
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.core.ids import new_id

_NAME = 255
_KEY = 255
_VALUE = 5000
_PAGE = 50_000
_RECORDS = 100_000
_EXPERIMENTS = 500

_ENTITIES: Mapping[str, Any] = {"attribute": "attribute", "attributes": "attribute", "tag": "tag", "tags": "tag"}
_FILTER = Vocabulary(
    entities=_ENTITIES,
    numeric=frozenset({"created_time", "last_update_time"}),
    text=frozenset({"name", "created_by", "last_updated_by"}),
    listed=frozenset({"name"}),
)
_ORDER = Vocabulary(
    entities=_ENTITIES,
    numeric=frozenset({"created_time", "last_update_time"}),
    text=frozenset({"name"}),
    listed=frozenset(),
)
_SUBJECT = Subject(
    table=repository.datasets,
    vocabulary=_FILTER,
    key=repository.datasets.c.id,
    attributes={
        "name": repository.datasets.c.name,
        "created_time": repository.datasets.c.created_ms,
        "last_update_time": repository.datasets.c.updated_ms,
        "created_by": repository.datasets.c.created_by,
        "last_updated_by": repository.datasets.c.updated_by,
        "dataset_id": repository.datasets.c.id,
    },
    parts={"tag": (repository.tags, repository.tags.c.dataset)},
    tie=((repository.datasets.c.created_ms, False), (repository.datasets.c.id, False)),
)


class EvaluationDatasets:
    """Keeps datasets that answers are evaluated on. Each verb is one transaction."""

    def __init__(self, store: Store, experiments: Experiments, clock: Clock | None = None) -> None:
        self._store = store
        self._experiments = experiments
        self._clock = clock or SystemClock()

    async def create(
        self, who: Principal, name: str, tags: Mapping[str, str] | None = None, experiment_ids: Sequence[str] = ()
    ) -> Dataset:
        """Make an empty dataset; names need not be unique.

        Raises:
            InvalidInput: a name or tag that cannot be.
            NotFound: no such experiment.
        """
        who.require(Role.developer)
        if not name.strip() or len(name) > _NAME:
            raise InvalidInput(f"A dataset's name has 1 to {_NAME} characters; this one has {len(name)}.")
        given = dict(tags or {})
        _check_tags(given)
        numbers = _numbers(experiment_ids)
        await self._experiments.ready(who.tenant)
        now, user = self._now(), given.get(USER_TAG)
        dataset = Dataset(f"d-{new_id()}", name, merging.digest(name, 0), now, now, user, user, tags=given)

        def work(connection: Connection) -> None:
            _require_experiments(connection, who.tenant, numbers)
            repository.add(connection, who.tenant, dataset, numbers, 0)

        await self._store.write(work)
        return dataset

    async def get(self, who: Principal, id: str) -> Dataset:
        """Raises NotFound."""
        who.require(Role.viewer)
        return await self._store.read(lambda c: repository.get(c, who.tenant, id))

    async def delete(self, who: Principal, id: str) -> None:
        """Delete a dataset with its records; one that is not there is no error."""
        who.require(Role.developer)
        await self._store.write(lambda c: repository.remove(c, who.tenant, id))

    async def search(self, who: Principal, query: Query, experiment_ids: Sequence[str] = ()) -> Page[Dataset]:
        """Datasets, newest first unless ``query.order`` says otherwise; of these experiments, if any are named."""
        who.require(Role.viewer)
        if not 1 <= query.limit <= _PAGE:
            raise InvalidInput(
                f"Invalid value {query.limit} for parameter 'max_results' supplied. "
                f"It must be a positive integer and at most {_PAGE}."
            )
        numbers = _numbers(experiment_ids)
        return await self._store.read(lambda c: _search(c, who.tenant, query, numbers))

    async def set_tags(self, who: Principal, id: str, tags: Mapping[str, Any]) -> None:
        """Set tags; one that says None is left as it is. Raises NotFound."""
        who.require(Role.developer)
        given = {key: str(value) for key, value in tags.items() if value is not None}
        _check_tags(given)

        def work(connection: Connection) -> None:
            try:
                repository.get(connection, who.tenant, id)
            except NotFound as error:
                raise NotFound(
                    f"Could not find evaluation dataset with ID {id[:100]}. Search the datasets to see their ids."
                ) from error
            repository.put_tags(connection, who.tenant, id, given)

        await self._store.write(work)

    async def delete_tag(self, who: Principal, id: str, key: str) -> None:
        """One that is not there is no error."""
        who.require(Role.developer)
        await self._store.write(lambda c: repository.remove_tag(c, who.tenant, id, key))

    async def merge(self, who: Principal, id: str, drafts: Sequence[Draft]) -> Merged:
        """Add records; those whose inputs are there already are merged into what is. All of them or none.

        Raises:
            NotFound: no such dataset.
            InvalidInput: too many records at once, or a source of no known type.
        """
        who.require(Role.developer)
        if len(drafts) > _RECORDS:
            raise InvalidInput(
                f"{len(drafts)} records are too many at once; {_RECORDS} is the most. Send them in parts."
            )
        for draft in drafts:
            _check_source(draft)
        hashed = [(merging.input_hash(draft.inputs), draft) for draft in drafts]
        now = self._now()
        return await self._store.write(lambda c: _merge(c, who.tenant, id, hashed, now))

    async def records(
        self, who: Principal, id: str, limit: int = 1000, after: int | None = None
    ) -> tuple[list[Record], int | None]:
        """Records in the order they came, and the position to go on behind (None at the end). Raises NotFound."""
        who.require(Role.viewer)
        if not 1 <= limit <= _PAGE:
            raise InvalidInput(
                f"Invalid value {limit} for parameter 'max_results' supplied: It must be from 1 to {_PAGE}."
            )

        def work(connection: Connection) -> list[repository.Placed]:
            repository.get(connection, who.tenant, id)
            return repository.page(connection, who.tenant, id, limit + 1, after)

        found = await self._store.read(work)
        following = found[limit - 1].position if len(found) > limit else None
        return [placed.record for placed in found[:limit]], following

    async def delete_records(self, who: Principal, id: str, record_ids: Sequence[str]) -> int:
        """Delete records; returns how many were there. Raises NotFound when there is no such dataset."""
        who.require(Role.developer)
        now = self._now()
        wanted = list(dict.fromkeys(record_ids))

        def work(connection: Connection) -> int:
            dataset = repository.get(connection, who.tenant, id)
            gone = repository.drop(connection, who.tenant, id, wanted)
            if gone:
                before = repository.total(connection, who.tenant, id)
                total = merging.added(before, less=[merging.weight(record) for record in gone])
                _recount(connection, who.tenant, dataset, total, now, dataset.updated_by)
            return len(gone)

        return await self._store.write(work)

    async def experiment_ids(self, who: Principal, id: str) -> list[str]:
        """The experiments that use a dataset; none when there is no such dataset."""
        who.require(Role.viewer)
        return await self._store.read(lambda c: repository.experiments_of(c, who.tenant, id))

    async def link(self, who: Principal, id: str, experiment_ids: Sequence[str]) -> tuple[Dataset, list[str]]:
        """Let experiments use a dataset; returns it and all that do. Raises NotFound."""
        who.require(Role.developer)
        numbers = _numbers(experiment_ids)
        await self._experiments.ready(who.tenant)
        now = self._now()

        def work(connection: Connection) -> tuple[Dataset, list[str]]:
            dataset = _named(connection, who.tenant, id)
            _require_experiments(connection, who.tenant, numbers)
            repository.link(connection, who.tenant, id, numbers)
            return _touched(connection, who.tenant, dataset, now)

        return await self._store.write(work)

    async def unlink(self, who: Principal, id: str, experiment_ids: Sequence[str]) -> tuple[Dataset, list[str]]:
        """The opposite of ``link``; an experiment that does not use it is no error."""
        who.require(Role.developer)
        numbers = _numbers(experiment_ids)
        now = self._now()

        def work(connection: Connection) -> tuple[Dataset, list[str]]:
            dataset = _named(connection, who.tenant, id)
            if repository.unlink(connection, who.tenant, id, numbers):
                return _touched(connection, who.tenant, dataset, now)
            return dataset, repository.experiments_of(connection, who.tenant, id)

        return await self._store.write(work)

    def _now(self) -> int:
        return self._clock.now_ns() // 1_000_000


def _search(connection: Connection, tenant: str, query: Query, experiments: Sequence[int]) -> Page[Dataset]:
    orders = parse_order(query.order, _ORDER)
    if any(order.entity != "attribute" for order in orders):
        raise InvalidInput("Invalid order_by entity: tag. Order datasets by name, created_time or last_update_time.")
    clauses = parse_filter(query.filter, _FILTER)
    search = Search(_SUBJECT, tenant, connection.dialect.name, orders)
    statement = search.page(clauses, "all", query.limit + 1, query.token)
    if experiments:
        statement = statement.where(repository.used_in(experiments))
    rows = connection.execute(statement).all()
    shown = rows[: query.limit]
    following = search.token(shown[-1]) if len(rows) > query.limit else None
    return Page(tuple(repository.load(connection, tenant, shown)), following)


def _merge(connection: Connection, tenant: str, id: str, hashed: Sequence[tuple[str, Draft]], now: int) -> Merged:
    dataset = repository.get(connection, tenant, id)
    there = repository.by_inputs(connection, tenant, id, list(dict.fromkeys(key for key, _ in hashed)))
    after = dict(there)
    updated = 0
    for key, draft in hashed:
        known = after.get(key)
        updated += known is not None
        after[key] = (
            merging.made(f"dr-{new_id()}", id, draft, now) if known is None else merging.merged(known, draft, now)
        )
    repository.put(connection, tenant, after)
    total = merging.added(
        repository.total(connection, tenant, id),
        more=[merging.weight(record) for record in after.values()],
        less=[merging.weight(record) for record in there.values()],
    )
    drafts = [draft for _, draft in hashed]
    user = next((draft.user for draft in reversed(drafts) if draft.user), None)
    if drafts:
        dataset = msgspec.structs.replace(dataset, schema=merging.schema(dataset.schema, drafts))
    _recount(connection, tenant, dataset, total, now, user)
    return Merged(inserted=len(hashed) - updated, updated=updated)


def _recount(connection: Connection, tenant: str, dataset: Dataset, total: int, now: int, user: str | None) -> None:
    changed = msgspec.structs.replace(
        dataset,
        records=repository.count(connection, tenant, dataset.id),
        digest=merging.digest(dataset.name, total),
        updated_ms=now,
        updated_by=user,
    )
    repository.change(connection, tenant, changed, total)


def _touched(connection: Connection, tenant: str, dataset: Dataset, now: int) -> tuple[Dataset, list[str]]:
    changed = msgspec.structs.replace(dataset, updated_ms=now)
    repository.change(connection, tenant, changed)
    return changed, repository.experiments_of(connection, tenant, dataset.id)


def _named(connection: Connection, tenant: str, id: str) -> Dataset:
    try:
        return repository.get(connection, tenant, id)
    except NotFound:
        raise NotFound(f"Dataset '{id[:100]}' not found. Search the datasets to see their ids.") from None


def _require_experiments(connection: Connection, tenant: str, numbers: Sequence[int]) -> None:
    for number in numbers:
        experiment_rows.by_id(connection, tenant, str(number))


def _numbers(experiment_ids: Sequence[str]) -> list[int]:
    found = list(dict.fromkeys(number_of(id) for id in experiment_ids))
    if len(found) > _EXPERIMENTS:
        raise InvalidInput(f"{len(found)} experiments are too many at once; {_EXPERIMENTS} is the most.")
    return found


def _check_tags(tags: Mapping[str, str]) -> None:
    for key, value in tags.items():
        if not key or len(key) > _KEY:
            raise InvalidInput(f"A tag's key has 1 to {_KEY} characters; {key[:40]!r} has {len(key)}.")
        if len(value) > _VALUE:
            raise InvalidInput(f"The value of the tag {key!r} has {len(value)} characters and {_VALUE} is the most.")


def _check_source(draft: Draft) -> None:
    if draft.source_type is not None and draft.source_type not in SOURCE_TYPES:
        raise InvalidInput(
            f"Invalid dataset record source type: {draft.source_type[:40]}. Valid source types: {list(SOURCE_TYPES)}"
        )
