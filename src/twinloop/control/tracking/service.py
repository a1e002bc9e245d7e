"""Verbs on runs: start, log, finish, read and search."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from twinloop.control.lineage import repository as lineage
from twinloop.control.lineage.model import Link
from twinloop.control.search.page import Page
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Store
from twinloop.control.tracking import experiment_rows, points, repository, run_search
from twinloop.control.tracking.beginning import begin_run
from twinloop.control.tracking.experiments import Experiments
from twinloop.control.tracking.inputs import (
    nest,
    put_inputs,
    put_models_made,
    put_models_read,
    summaries,
)
from twinloop.control.tracking.logged_models import LoggedModels
from twinloop.control.tracking.model import (
    DEFAULT_EXPERIMENT,
    MODELS_TAG,
    PARENT_TAG,
    RUN_NAME_TAG,
    DatasetInput,
    DatasetSummary,
    Metric,
    Query,
    Run,
    RunChange,
    run_node,
)
from twinloop.control.tracking.names import (
    PARAM_LIMIT,
    TAG_LIMIT,
    check_key,
    check_lengths,
    check_limit,
    check_pairs,
    random_name,
)
from twinloop.control.tracking.points import Cursor
from twinloop.control.tracking.search import number_of
from twinloop.core.clock import Clock, SystemClock
from twinloop.core.errors import InvalidInput
from twinloop.core.ids import new_id

_RUNS = 50_000
_POINTS = 1_000_000
_BATCH = 10_000
_RECORDED = 1_000_000
_INT64 = 2**63


class Tracking:
    """Keeps runs and everything logged on them. Each verb is one transaction, durable when it returns."""

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self._store = store
        self._clock = clock or SystemClock()
        self.experiments = Experiments(store, self._clock)
        self.models = LoggedModels(store, self.experiments, self._clock)

    async def create(
        self,
        who: Principal,
        experiment_id: str = DEFAULT_EXPERIMENT,
        *,
        name: str | None = None,
        user: str | None = None,
        started_ms: int | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Run:
        """Start a run; without a name, in the arguments or the tags, it is given a random one.

        Raises:
            NotFound: no such experiment.
            NotActive: the experiment is deleted.
            InvalidInput: name and name tag differ, or a tag cannot be logged.
        """
        who.require(Role.developer)
        named, all_tags = _named(name, tags or {})
        await self.experiments.ready(who.tenant)
        started = self.now_ms() if started_ms is None else _check_int(started_ms, "start_time")
        return await self._store.write(lambda c: _add(c, who, experiment_id, named, user, started, all_tags))

    async def start(
        self,
        who: Principal,
        experiment: str,
        *,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        parent: str | None = None,
    ) -> Run:
        """Start a run in the experiment of this name, which is made if there is none; raises as ``create`` does.

        ``parent`` is the run this one is a part of. A run that is refused leaves no experiment behind.

        Raises:
            NotFound, NotActive: no such parent, or a deleted one.
        """
        who.require(Role.developer)
        named, all_tags = _named(name, {**(tags or {}), **({PARENT_TAG: parent} if parent else {})})
        if parent:
            await self._store.read(lambda c: repository.require_active(c, who.tenant, parent))
        found = await self.experiments.ensure(who, experiment)
        return await self.create(who, found.id, name=named, tags=all_tags)

    async def get(self, who: Principal, run_id: str) -> Run:
        """Raises NotFound."""
        who.require(Role.viewer)
        return await self._store.read(lambda c: repository.by_id(c, who.tenant, run_id))

    async def update(self, who: Principal, run_id: str, change: RunChange) -> Run:
        """Raises NotFound, or NotActive when the run is deleted."""
        who.require(Role.developer)
        if change.name is not None:
            check_pairs({RUN_NAME_TAG: change.name}, "tag", TAG_LIMIT)
        if change.ended_ms is not None:
            _check_int(change.ended_ms, "end_time")

        def work(connection: Connection) -> Run:
            repository.change(connection, who.tenant, run_id, change)
            return repository.by_id(connection, who.tenant, run_id)

        return await self._store.write(work)

    async def finish(self, who: Principal, run_id: str, change: RunChange) -> Run:
        """``update``, and a status that ends a run sets its end to now."""
        if change.status in ("FINISHED", "FAILED", "KILLED") and change.ended_ms is None:
            change = msgspec.structs.replace(change, ended_ms=self.now_ms())
        return await self.update(who, run_id, change)

    async def count(self, who: Principal) -> int:
        """How many active runs the tenant has."""
        who.require(Role.viewer)
        return await self._store.read(lambda c: repository.count(c, who.tenant))

    async def delete(self, who: Principal, run_id: str) -> None:
        """Softly: ``restore`` brings it back as it was."""
        who.require(Role.developer)
        now = self.now_ms()
        await self._store.write(lambda c: repository.set_lifecycle(c, who.tenant, run_id, "deleted", now))

    async def restore(self, who: Principal, run_id: str) -> None:
        who.require(Role.developer)
        await self._store.write(lambda c: repository.set_lifecycle(c, who.tenant, run_id, "active", None))

    async def log(
        self,
        who: Principal,
        run_id: str,
        *,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Add points, params and tags to a run, all of them or none.

        Raises:
            NotFound, NotActive: no such run, or a deleted one.
            ParamChanged: a param has another value already.
            InvalidInput: a key, value, step or time that cannot be kept; more than 10,000 items.
        """
        who.require(Role.developer)
        given_params, given_tags = params or {}, tags or {}
        if len(metrics) + len(given_params) + len(given_tags) > _BATCH:
            raise InvalidInput(f"A batch may hold {_BATCH} metrics, params and tags at most. Split it.")
        for point in metrics:
            check_point(point)
        check_pairs(given_params, "param", PARAM_LIMIT)
        check_pairs(given_tags, "tag", TAG_LIMIT)
        now_ns = self._clock.now_ns()

        def work(connection: Connection) -> None:
            repository.require_active(connection, who.tenant, run_id)
            points.append(connection, who.tenant, run_id, metrics)
            if given_params:
                repository.put_params(connection, who.tenant, run_id, given_params)
            if given_tags:
                repository.put_tags(connection, who.tenant, run_id, given_tags)
                nest(connection, who.tenant, run_id, given_tags, now_ns)

        await self._store.write(work)

    async def record_model(self, who: Principal, run_id: str, model: Mapping[str, Any]) -> None:
        """Add what a client says of a model to the run's list of them, which is a tag."""
        who.require(Role.developer)

        def work(connection: Connection) -> None:
            repository.require_active(connection, who.tenant, run_id)
            before = repository.tag(connection, who.tenant, run_id, MODELS_TAG)
            recorded = json.dumps([*(json.loads(before) if before else []), model])
            if len(recorded) > _RECORDED:
                raise InvalidInput(f"The models of a run may be described with {_RECORDED} characters at most.")
            repository.put_tags(connection, who.tenant, run_id, {MODELS_TAG: recorded})

        await self._store.write(work)

    async def delete_tag(self, who: Principal, run_id: str, key: str) -> None:
        """Raises NotFound when the run has no such tag."""
        who.require(Role.developer)

        def work(connection: Connection) -> None:
            repository.require_active(connection, who.tenant, run_id)
            repository.remove_tag(connection, who.tenant, run_id, key)

        await self._store.write(work)

    async def add_inputs(
        self, who: Principal, run_id: str, inputs: Sequence[DatasetInput] = (), models: Sequence[str] = ()
    ) -> None:
        """Say which datasets, as its client describes them, and which logged models the run read.

        They become its parents in the lineage: a dataset that is registered here as the revision it is, any other as a
        node of its own.
        """
        who.require(Role.developer)
        now_ns = self._clock.now_ns()

        def work(connection: Connection) -> None:
            repository.require_active(connection, who.tenant, run_id)
            put_inputs(connection, who.tenant, run_id, inputs, now_ns)
            put_models_read(connection, who.tenant, run_id, models, now_ns)

        await self._store.write(work)

    async def add_outputs(self, who: Principal, run_id: str, models: Sequence[tuple[str, int]]) -> None:
        """Say which logged models the run made, each at a step of its training."""
        who.require(Role.developer)
        now_ns = self._clock.now_ns()

        def work(connection: Connection) -> None:
            repository.require_active(connection, who.tenant, run_id)
            put_models_made(connection, who.tenant, run_id, models, now_ns)

        await self._store.write(work)

    async def datasets(self, who: Principal, experiment_ids: Sequence[str]) -> list[DatasetSummary]:
        """The different datasets that runs of these experiments read, 1,000 at most."""
        who.require(Role.viewer)
        within = [number_of(id) for id in experiment_ids]
        return await self._store.read(lambda c: summaries(c, who.tenant, within))

    async def consume(self, who: Principal, run_id: str, links: Sequence[Link]) -> None:
        """Add lineage edges from the run to the revisions it used."""
        who.require(Role.developer)
        now_ns = self._clock.now_ns()

        def work(connection: Connection) -> None:
            repository.require_active(connection, who.tenant, run_id)
            lineage.add_links(connection, who.tenant, run_node(run_id), links, now_ns)

        await self._store.write(work)

    async def history(
        self, who: Principal, run_id: str, key: str, limit: int = _POINTS, token: str | None = None
    ) -> Page[Metric]:
        """Every point of one metric by time, step and value; none when the run has no such metric. Raises NotFound."""
        who.require(Role.viewer)
        check_limit(limit, _POINTS)
        after = None if token is None else _cursor(token)

        def work(connection: Connection) -> Page[Metric]:
            repository.require(connection, who.tenant, run_id)
            found, following = points.history(connection, who.tenant, run_id, key, limit, after)
            return Page(tuple(found), None if following is None else _token(following))

        return await self._store.read(work)

    async def histories(
        self, who: Principal, run_ids: Sequence[str], key: str, limit: int
    ) -> list[tuple[str, tuple[Metric, ...]]]:
        """Points of one metric of several runs, ``limit`` in all, run after run by their ids."""
        who.require(Role.viewer)

        def work(connection: Connection) -> list[tuple[str, tuple[Metric, ...]]]:
            found, left = [], limit
            for run_id in sorted(set(run_ids)):
                series, _ = points.history(connection, who.tenant, run_id, key, left) if left else ([], None)
                found.append((run_id, tuple(series)))
                left -= len(series)
            return found

        return await self._store.read(work)

    async def sample(self, who: Principal, run_id: str, key: str, most: int) -> list[Metric]:
        """At most ``most`` points of one metric by step, evenly spread over all of them. Raises NotFound."""
        who.require(Role.viewer)

        def work(connection: Connection) -> list[Metric]:
            repository.require(connection, who.tenant, run_id)
            return points.sample(connection, who.tenant, run_id, key, most, None)

        return await self._store.read(work)

    async def samples(
        self, who: Principal, run_ids: Sequence[str], key: str, most: int, steps: tuple[int, int] | None = None
    ) -> list[tuple[str, tuple[Metric, ...]]]:
        """At most ``most`` points of one metric of each run, evenly spread over all of them or those of ``steps``."""
        who.require(Role.viewer)
        return await self._store.read(
            lambda c: [(id, tuple(points.sample(c, who.tenant, id, key, most, steps))) for id in run_ids]
        )

    async def search(self, who: Principal, experiment_ids: Sequence[str], query: Query) -> Page[Run]:
        """Runs of these experiments, newest first unless ``query.order`` says otherwise.

        Runs that start or end while a client turns pages neither shift nor repeat the ones after.
        """
        who.require(Role.viewer)
        check_limit(query.limit, _RUNS)
        within = [number_of(id) for id in experiment_ids]
        await self.experiments.ready(who.tenant)
        return await self._store.read(lambda c: run_search.search(c, who.tenant, within, query))

    def now_ms(self) -> int:
        """Now, by the clock that runs are timed with."""
        return self._clock.now_ns() // 1_000_000


def _named(name: str | None, tags: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """A run's name, and its tags with the one that mirrors the name."""
    tagged = tags.get(RUN_NAME_TAG)
    if name and tagged and name != tagged:
        raise InvalidInput(
            f"Both 'run_name' argument and '{RUN_NAME_TAG}' tag are specified, but with different values "
            f"(run_name='{name}', {RUN_NAME_TAG}='{tagged}'). Give one of them."
        )
    named = name or tagged or random_name()
    all_tags = {**tags, RUN_NAME_TAG: named}
    check_lengths(all_tags, TAG_LIMIT)
    return named, all_tags


def _add(
    connection: Connection,
    who: Principal,
    experiment_id: str,
    name: str,
    user: str | None,
    started_ms: int,
    tags: dict[str, str],
) -> Run:
    place = experiment_rows.require_active(connection, who.tenant, experiment_id)
    return begin_run(connection, who, place, new_id(), name=name, user=user, started_ms=started_ms, tags=tags)


def check_point(point: Metric) -> None:
    """Raises InvalidInput: a key, time or step that cannot be kept, or a dataset without its name or its digest."""
    check_key(point.key, "metric key")
    if not 0 <= point.at_ms < _INT64:
        raise InvalidInput(
            f"Invalid value {point.at_ms} for parameter 'timestamp' supplied: metric '{point.key}' "
            f"(value={point.value}). Timestamp must be a nonnegative long (64-bit integer)."
        )
    if not -_INT64 <= point.step < _INT64:
        raise InvalidInput(
            f"Invalid value for parameter 'step' of metric '{point.key}': Step must be a valid long (64-bit integer)."
        )
    if bool(point.dataset_name) != bool(point.dataset_digest):
        raise InvalidInput("Both dataset_name and dataset_digest must be provided if one is provided.")


def _check_int(value: int, what: str) -> int:
    if not -_INT64 // 1_000_000 <= value < _INT64 // 1_000_000:
        raise InvalidInput(
            f"Invalid value {value} for parameter '{what}' supplied: it must be milliseconds since 1970."
        )
    return value


def _token(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode()


def _cursor(token: str) -> Cursor:
    try:
        cursor: Cursor = msgspec.json.decode(base64.urlsafe_b64decode(token.encode()), type=Cursor)
    except (ValueError, msgspec.MsgspecError) as error:
        raise InvalidInput("Invalid page token. Give the next_page_token of the page before, unchanged.") from error
    if max(abs(cursor[0]), abs(cursor[1])) >= _INT64 or not math.isfinite(cursor[2]):
        raise InvalidInput("Invalid page token. Give the next_page_token of the page before, unchanged.")
    return cursor
