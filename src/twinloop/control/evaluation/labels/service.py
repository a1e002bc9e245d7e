"""Verbs of label schemas: make, read, change and delete."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from twinloop.control.evaluation.labels import repository
from twinloop.control.evaluation.labels.model import (
    DEFAULT_INSTRUCTION,
    DEFAULT_NAME,
    Change,
    Input,
    LabelSchema,
    LabelType,
    Text,
    check_name,
    check_same_input,
)
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Store
from twinloop.control.tracking import experiment_rows
from twinloop.control.tracking.errors import NotActive
from twinloop.control.tracking.experiment_rows import Place
from twinloop.control.tracking.experiments import Experiments
from twinloop.core.clock import Clock, SystemClock
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.core.ids import new_id

_PAGE = 50_000


class LabelSchemas:
    """Keeps the questions of experiments. Every experiment has one by itself, which nobody changes."""

    def __init__(self, store: Store, experiments: Experiments, clock: Clock | None = None) -> None:
        self._store = store
        self._experiments = experiments
        self._clock = clock or SystemClock()

    async def create(
        self,
        who: Principal,
        experiment_id: str,
        name: str,
        type: LabelType,
        input: Input,
        instruction: str | None = None,
        enable_comment: bool = False,
    ) -> LabelSchema:
        """Make a label schema.

        Raises:
            InvalidInput: something that cannot be asked.
            Conflict: the experiment has one of this name.
            NotFound: no such experiment, or a deleted one.
        """
        who.require(Role.developer)
        await self._experiments.ready(who.tenant)
        schema = self._made(experiment_id, name, type, input, instruction, enable_comment)
        schema.check()

        def work(connection: Connection) -> LabelSchema:
            place = _place(connection, who.tenant, experiment_id)
            found = msgspec.structs.replace(schema, experiment_id=str(place.number))
            repository.add(connection, who.tenant, found)
            return found

        return await self._store.write(work)

    async def get(self, who: Principal, id: str) -> LabelSchema:
        """Raises NotFound."""
        who.require(Role.viewer)
        return await self._store.read(lambda c: repository.get(c, who.tenant, id))

    async def by_name(self, who: Principal, experiment_id: str, name: str) -> LabelSchema:
        """Raises NotFound."""
        who.require(Role.viewer)

        def work(connection: Connection) -> LabelSchema:
            place = _place(connection, who.tenant, experiment_id)
            found = repository.find(connection, who.tenant, place.number, name)
            if found is None:
                raise NotFound(f"Label schema with name '{name[:100]}' not found for experiment '{experiment_id}'.")
            return found

        return await self._store.read(work)

    async def schemas(
        self, who: Principal, experiment_id: str, limit: int = 100, offset: int = 0
    ) -> tuple[list[LabelSchema], int | None]:
        """The schemas of an experiment, newest first, and where the next page begins (None at the end).

        The first who lists them makes the one that every experiment has by itself.
        """
        who.require(Role.viewer)
        if not 1 <= limit <= _PAGE:
            raise InvalidInput(f"max_results must be between 1 and {_PAGE}.")
        await self._experiments.ready(who.tenant)

        def work(connection: Connection) -> list[LabelSchema]:
            place = _place(connection, who.tenant, experiment_id)
            self._ensure_default(connection, who.tenant, place.number)
            return repository.page(connection, who.tenant, place.number, limit + 1, offset)

        found = await self._store.write(work)
        return found[:limit], offset + limit if len(found) > limit else None

    async def update(self, who: Principal, id: str, change: Change) -> LabelSchema:
        """Raises NotFound, Conflict, and InvalidInput also where labels given already would mean something else."""
        who.require(Role.developer)
        now = self._clock.now_ns() // 1_000_000

        def work(connection: Connection) -> LabelSchema:
            there = repository.get(connection, who.tenant, id)
            if there.default:
                raise InvalidInput("The experiment's default question cannot be edited. Make another label schema.")
            if change.input is not None:
                check_same_input(there.input, change.input)
            if change.name is not None:
                check_name(change.name)
            after = _changed(there, change, now)
            after.check()
            repository.replace(connection, who.tenant, after)
            return after

        return await self._store.write(work)

    async def delete(self, who: Principal, id: str) -> None:
        """One that is not there is no error; the one that every experiment has by itself stays."""
        who.require(Role.developer)

        def work(connection: Connection) -> None:
            try:
                there = repository.get(connection, who.tenant, id)
            except NotFound:
                return
            if there.default:
                raise InvalidInput("The experiment's default question cannot be deleted.")
            repository.remove(connection, who.tenant, id)

        await self._store.write(work)

    def _ensure_default(self, connection: Connection, tenant: str, experiment: int) -> None:
        if repository.default(connection, tenant, experiment) is None:
            made = self._made(str(experiment), DEFAULT_NAME, "FEEDBACK", Text(), DEFAULT_INSTRUCTION, False)
            repository.add(connection, tenant, msgspec.structs.replace(made, default=True))

    def _made(
        self,
        experiment_id: str,
        name: str,
        type: LabelType,
        input: Input,
        instruction: str | None,
        enable_comment: bool,
    ) -> LabelSchema:
        now = self._clock.now_ns() // 1_000_000
        return LabelSchema(
            f"ls-{new_id()}", experiment_id, name, type, input, instruction, enable_comment, False, now, now
        )


def _place(connection: Connection, tenant: str, experiment_id: str) -> Place:
    """The experiment, if it is there and not deleted. Raises NotFound."""
    try:
        return experiment_rows.require_active(connection, tenant, experiment_id)
    except NotActive:
        raise experiment_rows.missing(experiment_id) from None


def _changed(there: LabelSchema, change: Change, now_ms: int) -> LabelSchema:
    return msgspec.structs.replace(
        there,
        name=there.name if change.name is None else change.name,
        instruction=there.instruction if change.instruction is None else change.instruction,
        enable_comment=there.enable_comment if change.enable_comment is None else change.enable_comment,
        input=there.input if change.input is None else change.input,
        updated_ms=max(now_ms, there.updated_ms + 1),
    )
