"""Verbs on logged models: what a run made, before anybody registers it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from twinloop.control.search.page import Page
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Store
from twinloop.control.tracking import experiment_rows, model_rows, model_search
from twinloop.control.tracking.beginning import begin_model
from twinloop.control.tracking.experiments import Experiments
from twinloop.control.tracking.model import LoggedModel, ModelStatus
from twinloop.control.tracking.model_search import ModelQuery
from twinloop.control.tracking.names import check_limit, random_name
from twinloop.control.tracking.search import number_of
from twinloop.core.clock import Clock
from twinloop.core.errors import InvalidInput
from twinloop.core.ids import new_id

VERSIONS_TAG = "mlflow.modelVersions"
"""The tag that lists the versions registered of a logged model, for clients that look there."""

_BAD = ("/", ":", ".", "%", '"', "'")
_NAME = 500
_TEXT = 500
_KEY = 1000
_VALUE = 100_000
_PAGE = 10_000


class LoggedModels:
    """Keeps logged models. Each verb is one transaction."""

    def __init__(self, store: Store, experiments: Experiments, clock: Clock) -> None:
        self._store = store
        self._experiments = experiments
        self._clock = clock

    async def create(
        self,
        who: Principal,
        experiment_id: str,
        *,
        name: str | None = None,
        type: str | None = None,
        run_id: str | None = None,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> LoggedModel:
        """A new model, PENDING until it is finalized; without a name it is given a random one.

        Raises:
            NotFound, NotActive: no such experiment, or a deleted one.
            InvalidInput: a name that cannot be, or something too long.
        """
        who.require(Role.developer)
        named = random_name() if name is None else check_model_name(name)
        for what, text in (("type", type), ("source run", run_id)):
            if text is not None and len(text) > (_TEXT if what == "type" else 100):
                raise InvalidInput(f"The {what} of a logged model is too long.")
        check_model_pairs(params or {})
        check_model_pairs(tags or {})
        await self._experiments.ready(who.tenant)
        id, now_ns = f"m-{new_id()}", self._clock.now_ns()

        def work(connection: Connection) -> LoggedModel:
            place = experiment_rows.require_active(connection, who.tenant, experiment_id)
            return begin_model(
                connection,
                who.tenant,
                place,
                id,
                name=named,
                type=type,
                run_id=run_id,
                at_ns=now_ns,
                params=params or {},
                tags=tags or {},
            )

        return await self._store.write(work)

    async def get(self, who: Principal, id: str, *, deleted: bool = False) -> LoggedModel:
        """Raises NotFound, also for a deleted one unless ``deleted``."""
        who.require(Role.viewer)
        return await self._store.read(lambda c: model_rows.by_id(c, who.tenant, id, deleted=deleted))

    async def finalize(self, who: Principal, id: str, status: ModelStatus) -> LoggedModel:
        """Say that a model's files are complete, or will never be. Raises NotFound."""
        who.require(Role.developer)
        now = self._now_ms()

        def work(connection: Connection) -> LoggedModel:
            model_rows.finalize(connection, who.tenant, id, status, now)
            return model_rows.by_id(connection, who.tenant, id, deleted=True)

        return await self._store.write(work)

    async def delete(self, who: Principal, id: str) -> None:
        """Softly. Raises NotFound."""
        who.require(Role.developer)
        now = self._now_ms()
        await self._store.write(lambda c: model_rows.remove(c, who.tenant, id, now))

    async def add_params(self, who: Principal, id: str, params: Mapping[str, str]) -> None:
        """Raises NotFound, or ParamChanged when one has another value already."""
        who.require(Role.developer)
        check_model_pairs(params)

        def work(connection: Connection) -> None:
            model_rows.require(connection, who.tenant, id)
            model_rows.put_params(connection, who.tenant, id, params)

        await self._store.write(work)

    async def set_tags(self, who: Principal, id: str, tags: Mapping[str, str]) -> None:
        """Raises NotFound."""
        who.require(Role.developer)
        check_model_pairs(tags)

        def work(connection: Connection) -> None:
            model_rows.require(connection, who.tenant, id)
            model_rows.put_tags(connection, who.tenant, id, tags)

        await self._store.write(work)

    async def delete_tag(self, who: Principal, id: str, key: str) -> None:
        """Raises NotFound when there is no such model, or it has no such tag."""
        who.require(Role.developer)

        def work(connection: Connection) -> None:
            model_rows.require(connection, who.tenant, id)
            model_rows.remove_tag(connection, who.tenant, id, key)

        await self._store.write(work)

    async def note_version(self, who: Principal, id: str, name: str, number: int) -> None:
        """Add a registered version to the model's list of them, which is a tag. Raises NotFound."""
        who.require(Role.developer)

        def work(connection: Connection) -> None:
            model_rows.require(connection, who.tenant, id)
            before = model_rows.tag(connection, who.tenant, id, VERSIONS_TAG)
            listed = [*(json.loads(before) if before else []), {"name": name, "version": number}]
            model_rows.put_tags(connection, who.tenant, id, {VERSIONS_TAG: json.dumps(listed)})

        await self._store.write(work)

    async def search(self, who: Principal, experiment_ids: Sequence[str], query: ModelQuery) -> Page[LoggedModel]:
        """Active models of these experiments, newest first unless ``query.order`` says otherwise."""
        who.require(Role.viewer)
        check_limit(query.limit, _PAGE)
        if any(not dataset.name for dataset in query.datasets):
            raise InvalidInput("`dataset_name` in the `datasets` clause must be specified.")
        within = [number_of(id) for id in experiment_ids]
        return await self._store.read(lambda c: model_search.search(c, who.tenant, within, query))

    def _now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000


def check_model_name(name: str) -> str:
    if not name or any(char in name for char in _BAD) or len(name) > _NAME:
        raise InvalidInput(
            f"Invalid model name ({name[:100]!r}) provided. A model name has 1 to {_NAME} characters and none of: "
            f"{' '.join(_BAD)}"
        )
    return name


def check_model_pairs(pairs: Mapping[str, str]) -> None:
    for key, value in pairs.items():
        if not key or len(key) > _KEY or len(value) > _VALUE:
            raise InvalidInput(
                f"The key of a model's param or tag has 1 to {_KEY} characters, its value {_VALUE} at most."
            )
