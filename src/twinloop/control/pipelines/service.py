"""Verbs of pipeline runs. The steps run in the client's process; here is what is known about them, durably."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from twinloop.control.pipelines import repository
from twinloop.control.pipelines.errors import RunLost
from twinloop.control.pipelines.model import Begin, Begun, Ending, PipelineRun, Result, StepChange
from twinloop.control.pipelines.values import is_fixed, references_in
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Store
from twinloop.core.clock import Clock, SystemClock
from twinloop.core.digests import digest_json
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.core.ids import check_name, new_id

_RESULTS = 2_000
_REFERENCES = 1_000
_NODE = 250


class Pipelines:
    """Keeps the runs of pipelines. A run has one holder, which must report at least every ``lease_s`` seconds."""

    def __init__(self, store: Store, registry: Registry, clock: Clock | None = None, lease_s: float = 30.0) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock or SystemClock()
        self._lease_s = lease_s

    async def begin(self, who: Principal, wanted: Begin) -> Begun:
        """Start a run; or go on with the newest one with the same parameters, if its holder left it unfinished.

        When that run has a live holder nothing changes, and the answer names it in ``held_by``. A holder counts as dead
        when its lease has run out, or when ``wanted.dead`` is its token.
        """
        who.require(Role.developer)
        check_name(wanted.pipeline, "pipeline name")
        params_digest = digest_json(wanted.params)
        begun = await self._store.write(lambda c: self._begin(c, who, wanted, params_digest))
        if begun.run is None:
            return begun
        known = await self._store.read(lambda c: repository.results(c, who.tenant, codes=wanted.codes, limit=_RESULTS))
        texts = {text for result in known.results for text in references_in(result.output) if is_fixed(text)}
        digests = await self.resolve(who, sorted(texts)[:_REFERENCES])
        return msgspec.structs.replace(
            begun,
            results=tuple(known.results),
            complete=known.complete,
            digests={reference: digest for reference, digest in digests.items() if digest is not None},
        )

    async def record(self, who: Principal, run_id: str, token: str, changes: Sequence[StepChange]) -> None:
        """Bring steps to new states and renew the holder's lease. Repeating a call changes nothing.

        Raises:
            RunLost: another process holds the run, or it has ended.
        """
        who.require(Role.developer)
        until = self._clock.now_ns() + int(self._lease_s * 1e9)
        await self._store.write(lambda c: _record(c, who.tenant, run_id, token, changes, {"lease_until_ns": until}))

    async def finish(
        self,
        who: Principal,
        run_id: str,
        token: str,
        state: Ending,
        changes: Sequence[StepChange] = (),
    ) -> None:
        """End a run, or with ``interrupted`` leave it to whoever begins it next."""
        who.require(Role.developer)
        now = self._clock.now_ns()
        values: dict[str, int | str | None] = {
            "state": state,
            "finished_ns": None if state == "interrupted" else now,
            "lease_until_ns": now,
        }
        await self._store.write(lambda c: _record(c, who.tenant, run_id, token, changes, values, ending=state))

    async def lookup(self, who: Principal, keys: Sequence[str]) -> list[Result]:
        """The newest known result of each key that has one."""
        _bounded(keys)
        if not keys:
            return []
        known = await self._store.read(lambda c: repository.results(c, who.tenant, keys=keys, limit=_RESULTS))
        return known.results

    async def resolve(self, who: Principal, references: Sequence[str]) -> dict[str, str | None]:
        """The digest of the revision each reference names now, or None when it names none."""
        _bounded(references)
        found: dict[str, str | None] = {}
        for reference in references:
            revision = await self._registry.find(who, reference)
            found[reference] = None if revision is None else revision.digest
        return found

    async def get(self, who: Principal, run_id: str, *, tracebacks: bool = False) -> PipelineRun:
        """A run with its steps; tracebacks of failures only when asked for. Raises NotFound."""
        run = await self._store.read(lambda c: repository.get(c, who.tenant, run_id))
        if run is None:
            raise NotFound(f"There is no pipeline run {run_id[:64]}. List them with: client.pipelines.list()")
        return run if tracebacks else _without_tracebacks(run)

    async def list(
        self,
        who: Principal,
        pipeline: str | None = None,
        state: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[PipelineRun]:
        """Runs without their steps, newest first. ``before`` is a ``started_ns`` to go on from."""
        if not 1 <= limit <= 1000:
            raise InvalidInput("limit must be between 1 and 1000.")
        return await self._store.read(lambda c: repository.newest(c, who.tenant, pipeline, state, limit, before))

    def _begin(self, connection: Connection, who: Principal, wanted: Begin, params_digest: str) -> Begun:
        now = self._clock.now_ns()
        until = now + int(self._lease_s * 1e9)
        run = repository.newest_like(connection, who.tenant, wanted.pipeline, params_digest)
        if run is None or run.state in ("finished", "failed"):
            made = PipelineRun(new_id(), wanted.pipeline, wanted.params, "running", now, who.name, wanted.holder, until)
            repository.add(connection, who.tenant, made, params_digest)
            return Begun(made, lease_s=self._lease_s)
        again = run.holder.token == wanted.holder.token
        alive = run.state == "running" and run.lease_until_ns > now and run.holder.token != wanted.dead
        if alive and not again:
            return Begun(None, held_by=run.holder, lease_s=self._lease_s)
        resumes = run.resumes if again else run.resumes + 1
        taken = msgspec.structs.replace(
            run, state="running", holder=wanted.holder, lease_until_ns=until, resumes=resumes
        )
        repository.hold(connection, who.tenant, taken)
        return Begun(repository.get(connection, who.tenant, run.id), resumed=resumes > 0, lease_s=self._lease_s)


def _record(
    connection: Connection,
    tenant: str,
    run_id: str,
    token: str,
    changes: Sequence[StepChange],
    values: dict[str, int | str | None],
    ending: str | None = None,
) -> None:
    found = repository.holder_of(connection, tenant, run_id)
    if found is None:
        raise NotFound(f"There is no pipeline run {run_id[:64]}. Begin one first.")
    pipeline, state, holder = found
    if holder != token or state not in ("running", ending):
        raise RunLost(
            f"Run {run_id} of pipeline {pipeline} is not held by this process any more (it is {state}). "
            "Its steps are recorded; run the pipeline again to go on."
        )
    for item in changes:
        if len(item.node) > _NODE:
            raise InvalidInput(f"A node's id may have {_NODE} characters at most.")
    repository.change(connection, tenant, run_id, changes)
    consumed = dict.fromkeys(digest for item in changes for digest in item.consumed)
    if consumed:
        at_ns = max(item.started_ns or 0 for item in changes)
        repository.consume(connection, tenant, run_id, list(consumed), at_ns)
    repository.renew(connection, tenant, run_id, values)


def _bounded(texts: Sequence[str]) -> None:
    if len(texts) > _REFERENCES:
        raise InvalidInput(f"{len(texts)} were asked for at once; {_REFERENCES} is the most. Ask in parts.")


def _without_tracebacks(run: PipelineRun) -> PipelineRun:
    steps = tuple(
        step
        if step.failure is None
        else msgspec.structs.replace(step, failure=msgspec.structs.replace(step.failure, traceback=None))
        for step in run.steps
    )
    return msgspec.structs.replace(run, steps=steps)
