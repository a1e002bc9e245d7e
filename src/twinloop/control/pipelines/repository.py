"""Tables and queries of pipeline runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Index, Integer, String, Table, insert, select, update

from twinloop.control.lineage import repository as lineage
from twinloop.control.lineage.model import Link, Node
from twinloop.control.pipelines.model import Failure, Holder, PipelineRun, Result, StepChange, StepRun
from twinloop.control.store.schema import Json, metadata
from twinloop.control.store.sql import upsert

pipeline_runs = Table(
    "pipeline_runs",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("pipeline", String(200), nullable=False),
    Column("params", Json, nullable=False),
    Column("params_digest", String(71), nullable=False),
    Column("state", String(20), nullable=False),
    Column("started_ns", BigInteger, nullable=False),
    Column("started_by", String(200), nullable=False),
    Column("finished_ns", BigInteger),
    Column("resumes", Integer, nullable=False),
    Column("holder", Json, nullable=False),
    Column("token", String(64), nullable=False),
    Column("lease_until_ns", BigInteger, nullable=False),
    Index("ix_pipeline_runs_same", "tenant", "pipeline", "params_digest", "started_ns"),
    Index("ix_pipeline_runs_newest", "tenant", "started_ns"),
)

step_runs = Table(
    "step_runs",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("run_id", String(64), primary_key=True),
    Column("node", String(250), primary_key=True),
    Column("step", String(200), nullable=False),
    Column("state", String(20), nullable=False),
    Column("key", String(71)),
    Column("code", String(71)),
    Column("attempt", Integer, nullable=False),
    Column("started_ns", BigInteger),
    Column("finished_ns", BigInteger),
    Column("output", Json),
    Column("source", String(64)),
    Column("failure", Json),
    Index("ix_step_runs_code", "tenant", "code", "state", "finished_ns"),
    Index("ix_step_runs_key", "tenant", "key", "state", "finished_ns"),
)

_CHANGING = ("step", "state", "key", "code", "attempt", "started_ns", "finished_ns", "output", "source", "failure")


class Known(NamedTuple):
    """``complete`` when no limit left anything out."""

    results: list[Result]
    complete: bool


def newest_like(connection: Connection, tenant: str, pipeline: str, params_digest: str) -> PipelineRun | None:
    """The newest run of a pipeline with the same parameters."""
    row = connection.execute(
        select(pipeline_runs)
        .where(
            pipeline_runs.c.tenant == tenant,
            pipeline_runs.c.pipeline == pipeline,
            pipeline_runs.c.params_digest == params_digest,
        )
        .order_by(pipeline_runs.c.started_ns.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _run(row)


def add(connection: Connection, tenant: str, run: PipelineRun, params_digest: str) -> None:
    """Add a new run, and its node in the lineage."""
    connection.execute(
        insert(pipeline_runs).values(
            tenant=tenant,
            id=run.id,
            pipeline=run.pipeline,
            params=run.params,
            params_digest=params_digest,
            state=run.state,
            started_ns=run.started_ns,
            started_by=run.started_by,
            finished_ns=run.finished_ns,
            resumes=run.resumes,
            holder=msgspec.to_builtins(run.holder),
            token=run.holder.token,
            lease_until_ns=run.lease_until_ns,
        )
    )
    lineage.add(connection, tenant, Node(f"run:{run.id}", "run", run.pipeline, run.id, None, run.started_ns), [])


def hold(connection: Connection, tenant: str, run: PipelineRun) -> None:
    """Give a run that is there to ``run.holder``."""
    connection.execute(
        update(pipeline_runs)
        .where(pipeline_runs.c.tenant == tenant, pipeline_runs.c.id == run.id)
        .values(
            state=run.state,
            resumes=run.resumes,
            holder=msgspec.to_builtins(run.holder),
            token=run.holder.token,
            lease_until_ns=run.lease_until_ns,
        )
    )


def holder_of(connection: Connection, tenant: str, run_id: str) -> tuple[str, str, str] | None:
    """The pipeline, the state and the holder's token of a run."""
    row = connection.execute(
        select(pipeline_runs.c.pipeline, pipeline_runs.c.state, pipeline_runs.c.token).where(
            pipeline_runs.c.tenant == tenant, pipeline_runs.c.id == run_id
        )
    ).one_or_none()
    return None if row is None else (row.pipeline, row.state, row.token)


def renew(connection: Connection, tenant: str, run_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of a run: its lease, and at its end its state and time."""
    connection.execute(
        update(pipeline_runs).where(pipeline_runs.c.tenant == tenant, pipeline_runs.c.id == run_id).values(**values)
    )


def change(connection: Connection, tenant: str, run_id: str, changes: Sequence[StepChange]) -> None:
    """Bring the steps of a run to their new states; of several changes of a node the last one counts."""
    last = {item.node: item for item in changes}
    rows = [
        {
            "tenant": tenant,
            "run_id": run_id,
            "node": item.node,
            "step": item.step,
            "state": item.state,
            "key": item.key,
            "code": item.code,
            "attempt": item.attempt,
            "started_ns": item.started_ns,
            "finished_ns": item.finished_ns,
            "output": item.output,
            "source": item.source,
            "failure": None if item.failure is None else msgspec.to_builtins(item.failure),
        }
        for item in last.values()
    ]
    upsert(connection, step_runs, rows, ("tenant", "run_id", "node"), _CHANGING)


def consume(connection: Connection, tenant: str, run_id: str, digests: Sequence[str], at_ns: int) -> None:
    """Link a run to the revisions its steps took in, leaving out those it made itself: the graph has no cycles."""
    known = {node.key for node in lineage.describe(connection, tenant, digests)}
    own = {row.child for row in lineage.parents(connection, tenant, digests) if row.parent == f"run:{run_id}"}
    links = [Link("consumed", digest) for digest in digests if digest in known - own]
    if links:
        lineage.add_links(connection, tenant, f"run:{run_id}", links, at_ns)


def results(
    connection: Connection, tenant: str, *, codes: Sequence[str] = (), keys: Sequence[str] = (), limit: int
) -> Known:
    """What steps with these code digests or keys returned; of one key only the newest."""
    column, wanted = (step_runs.c.key, keys) if keys else (step_runs.c.code, codes)
    found: dict[str, Result] = {}
    complete = True
    for start in range(0, len(wanted), 500):
        rows = connection.execute(
            select(step_runs.c.key, step_runs.c.output, step_runs.c.run_id)
            .where(
                step_runs.c.tenant == tenant,
                column.in_(wanted[start : start + 500]),
                step_runs.c.code.is_not(None),
                step_runs.c.state == "finished",
            )
            .order_by(step_runs.c.finished_ns.desc())
            .limit(limit)
        ).all()
        complete = complete and len(rows) < limit
        for row in rows:
            found.setdefault(row.key, Result(row.key, row.output, row.run_id))
    return Known(list(found.values()), complete)


def get(connection: Connection, tenant: str, run_id: str) -> PipelineRun | None:
    """A run with its steps, in the order they started."""
    row = connection.execute(
        select(pipeline_runs).where(pipeline_runs.c.tenant == tenant, pipeline_runs.c.id == run_id)
    ).one_or_none()
    if row is None:
        return None
    steps = connection.execute(
        select(step_runs)
        .where(step_runs.c.tenant == tenant, step_runs.c.run_id == run_id)
        .order_by(step_runs.c.started_ns, step_runs.c.node)
    )
    return msgspec.structs.replace(_run(row), steps=tuple(_step(step) for step in steps))


def newest(
    connection: Connection, tenant: str, pipeline: str | None, state: str | None, limit: int, before: int | None
) -> list[PipelineRun]:
    query = select(pipeline_runs).where(pipeline_runs.c.tenant == tenant)
    if pipeline is not None:
        query = query.where(pipeline_runs.c.pipeline == pipeline)
    if state is not None:
        query = query.where(pipeline_runs.c.state == state)
    if before is not None:
        query = query.where(pipeline_runs.c.started_ns < before)
    return [_run(row) for row in connection.execute(query.order_by(pipeline_runs.c.started_ns.desc()).limit(limit))]


def _run(row: Any) -> PipelineRun:
    return PipelineRun(
        id=row.id,
        pipeline=row.pipeline,
        params=row.params,
        state=row.state,
        started_ns=row.started_ns,
        started_by=row.started_by,
        holder=msgspec.convert(row.holder, Holder),
        lease_until_ns=row.lease_until_ns,
        finished_ns=row.finished_ns,
        resumes=row.resumes,
    )


def _step(row: Any) -> StepRun:
    return StepRun(
        node=row.node,
        step=row.step,
        state=row.state,
        key=row.key,
        attempt=row.attempt,
        started_ns=row.started_ns,
        finished_ns=row.finished_ns,
        output=row.output,
        source=row.source,
        failure=None if row.failure is None else msgspec.convert(row.failure, Failure),
    )
