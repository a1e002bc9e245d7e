"""Tables of tracking, and the queries on runs with their params, tags and inputs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    bindparam,
    delete,
    desc,
    func,
    insert,
    select,
    update,
)

from twinloop.control.store.schema import Json, metadata
from twinloop.control.store.sql import upsert
from twinloop.control.tracking.errors import NotActive, ParamChanged
from twinloop.control.tracking.model import RUN_NAME_TAG, DatasetInput, Metric, Run, RunChange
from twinloop.core.errors import NotFound

_PART = 500

experiments = Table(
    "experiments",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String(500), nullable=False),
    Column("lifecycle", String(10), nullable=False),
    Column("artifact_location", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Index("uq_experiments_name", "tenant", "name", unique=True),
)

experiment_tags = Table(
    "experiment_tags",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("experiment", BigInteger, primary_key=True, autoincrement=False),
    Column("key", String(250), primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)

runs = Table(
    "runs",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("experiment", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("status", String(20), nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    Column("lifecycle", String(10), nullable=False),
    Column("deleted_ms", BigInteger),
    Column("artifact_uri", Text, nullable=False),
)
Index("ix_runs_newest", runs.c.tenant, runs.c.experiment, runs.c.lifecycle, desc(runs.c.started_ms), runs.c.id)

run_params = Table(
    "run_params",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("key", String(250), primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)

run_tags = Table(
    "run_tags",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("key", String(250), primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)

run_inputs = Table(
    "run_inputs",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("name", String(500), primary_key=True),
    Column("digest", String(100), primary_key=True),
    Column("context", Text),
    Column("source_type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("schema", Text),
    Column("profile", Text),
    Column("tags", Json),
)

# A series is one metric of one run. Its last point is kept beside it, because that is what lists, filters and orders read;
# its number keeps the many rows of ``metrics`` short.
latest_metrics = Table(
    "latest_metrics",
    metadata,
    Column("series", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("tenant", String(100), nullable=False),
    Column("run", String(32), nullable=False),
    Column("key", String(250), nullable=False),
    Column("value", Double, nullable=False),
    Column("is_nan", Boolean, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("model_id", String(100)),
    Column("dataset_name", Text),
    Column("dataset_digest", String(100)),
    Index("uq_latest_metrics_run_key", "tenant", "run", "key", unique=True),
)

metrics = Table(
    "metrics",
    metadata,
    Column("series", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    Column("value", Double, primary_key=True),
    Column("is_nan", Boolean, primary_key=True),
    Column("tenant", String(100), nullable=False),
    Column("model_id", String(100)),
    Column("dataset_name", Text),
    Column("dataset_digest", String(100)),
    sqlite_with_rowid=False,
)

_INSERT_RUN = insert(runs)
_INSERT_TAG = insert(run_tags)
_STATE = select(runs.c.lifecycle).where(runs.c.tenant == bindparam("tenant"), runs.c.id == bindparam("run"))


def add_run(connection: Connection, tenant: str, run: Run) -> None:
    """Insert a new run with its tags, of which it has at least the one that mirrors its name."""
    connection.execute(
        _INSERT_RUN,
        {
            "tenant": tenant,
            "id": run.id,
            "experiment": int(run.experiment_id),
            "name": run.name,
            "user": run.user,
            "status": run.status,
            "started_ms": run.started_ms,
            "ended_ms": run.ended_ms,
            "lifecycle": run.lifecycle,
            "deleted_ms": None,
            "artifact_uri": run.artifact_uri,
        },
    )
    connection.execute(_INSERT_TAG, [_pair(tenant, run.id, key, value) for key, value in run.tags.items()])


def require_active(connection: Connection, tenant: str, run_id: str) -> None:
    """Raises NotFound, or NotActive when the run is deleted."""
    found = connection.execute(_STATE, {"tenant": tenant, "run": run_id}).scalar()
    if found is None:
        raise missing(run_id)
    if found != "active":
        raise NotActive("run", run_id)


def lifecycle(connection: Connection, tenant: str, run_id: str) -> str | None:
    """``active`` or ``deleted``; None when there is no such run."""
    found: str | None = connection.execute(_STATE, {"tenant": tenant, "run": run_id}).scalar()
    return found


def artifact_uri(connection: Connection, tenant: str, run_id: str) -> str:
    """Where the artifacts of a run lie. Raises NotFound."""
    query = select(runs.c.artifact_uri).where(runs.c.tenant == tenant, runs.c.id == run_id)
    found = connection.execute(query).scalar()
    if found is None:
        raise missing(run_id)
    return str(found)


def reopen(connection: Connection, tenant: str, run_id: str) -> None:
    """A run that goes on has not ended."""
    mine = (runs.c.tenant == tenant, runs.c.id == run_id)
    connection.execute(update(runs).where(*mine).values(status="RUNNING", ended_ms=None))


def require(connection: Connection, tenant: str, run_id: str) -> None:
    """Raises NotFound."""
    if connection.execute(_STATE, {"tenant": tenant, "run": run_id}).scalar() is None:
        raise missing(run_id)


def missing(run_id: str) -> NotFound:
    return NotFound(
        f"Run with id={run_id[:80]} not found. Check the id, and that the key you use belongs to its tenant."
    )


def by_id(connection: Connection, tenant: str, run_id: str) -> Run:
    """The run with all its data. Raises NotFound."""
    row = connection.execute(select(runs).where(runs.c.tenant == tenant, runs.c.id == run_id)).first()
    if row is None:
        raise missing(run_id)
    return load(connection, tenant, [row])[0]


def load(connection: Connection, tenant: str, rows: Sequence[Row[Any]]) -> list[Run]:
    """Runs from rows of the table, in their order, with last metrics, params, tags and inputs."""
    ids = [row.id for row in rows]
    params = _pairs(connection, run_params, tenant, ids)
    tags = _pairs(connection, run_tags, tenant, ids)
    last = _latest(connection, tenant, ids)
    inputs = _inputs(connection, tenant, ids)
    return [
        Run(
            id=row.id,
            experiment_id=str(row.experiment),
            name=row.name,
            user=row.user,
            status=row.status,
            started_ms=row.started_ms,
            ended_ms=row.ended_ms,
            lifecycle=row.lifecycle,
            artifact_uri=row.artifact_uri,
            metrics=tuple(last.get(row.id, ())),
            params=params.get(row.id, {}),
            tags=tags.get(row.id, {}),
            inputs=tuple(inputs.get(row.id, ())),
        )
        for row in rows
    ]


def change(connection: Connection, tenant: str, run_id: str, wanted: RunChange) -> None:
    """Change an active run. A new name is mirrored in its tag."""
    require_active(connection, tenant, run_id)
    values: dict[str, Any] = {}
    if wanted.status is not None:
        values["status"] = wanted.status
    if wanted.ended_ms is not None:
        values["ended_ms"] = wanted.ended_ms
    if wanted.name:
        values["name"] = wanted.name
        _upsert_tags(connection, tenant, run_id, {RUN_NAME_TAG: wanted.name})
    if values:
        connection.execute(update(runs).where(runs.c.tenant == tenant, runs.c.id == run_id).values(values))


def set_lifecycle(connection: Connection, tenant: str, run_id: str, lifecycle: str, deleted_ms: int | None) -> None:
    """Delete or restore a run softly. Raises NotFound."""
    done = connection.execute(
        update(runs)
        .where(runs.c.tenant == tenant, runs.c.id == run_id)
        .values(lifecycle=lifecycle, deleted_ms=deleted_ms)
    )
    if done.rowcount == 0:
        raise missing(run_id)


def count(connection: Connection, tenant: str) -> int:
    query = select(func.count()).select_from(runs).where(runs.c.tenant == tenant, runs.c.lifecycle == "active")
    return int(connection.execute(query).scalar_one())


def put_params(connection: Connection, tenant: str, run_id: str, params: Mapping[str, str]) -> None:
    """Add params. Raises ParamChanged when one has another value already."""
    known = _values(connection, run_params, tenant, run_id, params)
    for key, value in params.items():
        if known.get(key, value) != value:
            raise ParamChanged(run_id, key, known[key], value)
    fresh = [_pair(tenant, run_id, key, value) for key, value in params.items() if key not in known]
    if fresh:
        connection.execute(insert(run_params), fresh)


def put_tags(connection: Connection, tenant: str, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags; the tag that mirrors the name renames the run."""
    _upsert_tags(connection, tenant, run_id, tags)
    name = tags.get(RUN_NAME_TAG)
    if name:
        connection.execute(update(runs).where(runs.c.tenant == tenant, runs.c.id == run_id).values(name=name))


def _upsert_tags(connection: Connection, tenant: str, run_id: str, tags: Mapping[str, str]) -> None:
    rows = [_pair(tenant, run_id, key, value) for key, value in tags.items()]
    upsert(connection, run_tags, rows, ("tenant", "run", "key"), ("value",))


def remove_tag(connection: Connection, tenant: str, run_id: str, key: str) -> None:
    """Raises NotFound when the run has no such tag."""
    mine = (run_tags.c.tenant == tenant, run_tags.c.run == run_id, run_tags.c.key == key)
    if connection.execute(delete(run_tags).where(*mine)).rowcount == 0:
        raise NotFound(f"No tag with name: {key[:80]} in run with id {run_id}. Read the run to see its tags.")


def put_inputs(connection: Connection, tenant: str, run_id: str, inputs: Iterable[DatasetInput]) -> None:
    """Add datasets the run read; one it has already gets the new tags."""
    rows = [
        {
            "tenant": tenant,
            "run": run_id,
            "name": item.name,
            "digest": item.digest,
            "context": item.tags.get("mlflow.data.context"),
            "source_type": item.source_type,
            "source": item.source,
            "schema": item.schema,
            "profile": item.profile,
            "tags": item.tags,
        }
        for item in inputs
    ]
    upsert(connection, run_inputs, rows, ("tenant", "run", "name", "digest"), ("context", "tags"))


def parts(keys: Sequence[str]) -> Iterable[Sequence[str]]:
    """``keys`` in parts that fit into one statement."""
    return (keys[start : start + _PART] for start in range(0, len(keys), _PART))


def _pair(tenant: str, run_id: str, key: str, value: str) -> dict[str, str]:
    return {"tenant": tenant, "run": run_id, "key": key, "value": value}


def _values(connection: Connection, table: Table, tenant: str, run_id: str, keys: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in parts(list(keys)):
        query = select(table.c.key, table.c.value).where(
            table.c.tenant == tenant, table.c.run == run_id, table.c.key.in_(part)
        )
        found.update((key, value) for key, value in connection.execute(query))
    return found


def _pairs(connection: Connection, table: Table, tenant: str, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for part in parts(ids):
        query = select(table.c.run, table.c.key, table.c.value).where(table.c.tenant == tenant, table.c.run.in_(part))
        for run, key, value in connection.execute(query):
            found.setdefault(run, {})[key] = value
    return found


def _latest(connection: Connection, tenant: str, ids: Sequence[str]) -> dict[str, list[Metric]]:
    found: dict[str, list[Metric]] = {}
    for part in parts(ids):
        query = select(latest_metrics).where(latest_metrics.c.tenant == tenant, latest_metrics.c.run.in_(part))
        for row in connection.execute(query):
            value = math.nan if row.is_nan else row.value
            last = Metric(row.key, value, row.at_ms, row.step, row.model_id, row.dataset_name, row.dataset_digest)
            found.setdefault(row.run, []).append(last)
    return found


def _inputs(connection: Connection, tenant: str, ids: Sequence[str]) -> dict[str, list[DatasetInput]]:
    found: dict[str, list[DatasetInput]] = {}
    for part in parts(ids):
        query = select(run_inputs).where(run_inputs.c.tenant == tenant, run_inputs.c.run.in_(part))
        for row in connection.execute(query):
            found.setdefault(row.run, []).append(
                DatasetInput(row.name, row.digest, row.source_type, row.source, row.schema, row.profile, row.tags or {})
            )
    return found
