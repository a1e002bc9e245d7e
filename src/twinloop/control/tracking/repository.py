"""Queries on runs with their params, tags and inputs. The tables of tracking are found through this module."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Table, bindparam, delete, func, insert, select, update

from twinloop.control.store.sql import Lookup, Statement, insertion, upsert
from twinloop.control.tracking.errors import NotActive, ParamChanged
from twinloop.control.tracking.inputs import put_inputs as put_inputs
from twinloop.control.tracking.model import RUN_NAME_TAG, DatasetInput, Metric, Run, RunChange, RunStatus
from twinloop.control.tracking.tables import experiment_tags as experiment_tags
from twinloop.control.tracking.tables import experiments as experiments
from twinloop.control.tracking.tables import latest_metrics as latest_metrics
from twinloop.control.tracking.tables import logged_models as logged_models
from twinloop.control.tracking.tables import metrics as metrics
from twinloop.control.tracking.tables import run_inputs as run_inputs
from twinloop.control.tracking.tables import run_models as run_models
from twinloop.control.tracking.tables import run_params as run_params
from twinloop.control.tracking.tables import run_tags as run_tags
from twinloop.control.tracking.tables import runs as runs
from twinloop.core.errors import NotFound

_PART = 500

_RUN = (
    "tenant",
    "id",
    "experiment",
    "name",
    "user",
    "status",
    "started_ms",
    "ended_ms",
    "lifecycle",
    "deleted_ms",
    "artifact_uri",
)
_INSERT_RUN = insertion(runs, *_RUN)
_INSERT_TAG = insertion(run_tags, "tenant", "run", "key", "value")
_STATE = Statement(
    select(runs.c.lifecycle, runs.c.experiment).where(
        runs.c.tenant == bindparam("tenant"), runs.c.id == bindparam("run")
    ),
    "tenant",
    "run",
)
_PARAM = Statement(
    select(run_params.c.value).where(
        run_params.c.tenant == bindparam("tenant"),
        run_params.c.run == bindparam("run"),
        run_params.c.key == bindparam("key"),
    ),
    "tenant",
    "run",
    "key",
)


class State(NamedTuple):
    """Whether a run takes changes, and whose it is."""

    lifecycle: str
    experiment: int


def add_run(connection: Connection, tenant: str, run: Run) -> None:
    """Insert a new run with its tags, of which it has at least the one that mirrors its name."""
    _INSERT_RUN.run(
        connection,
        tenant,
        run.id,
        int(run.experiment_id),
        run.name,
        run.user,
        run.status,
        run.started_ms,
        run.ended_ms,
        run.lifecycle,
        None,
        run.artifact_uri,
    )
    _INSERT_TAG.many(connection, [(tenant, run.id, key, value) for key, value in run.tags.items()])


def state(connection: Connection, tenant: str, run_id: str) -> State | None:
    """None when there is no such run."""
    found = _STATE.first(connection, tenant, run_id)
    return None if found is None else State(*found)


def require_active(connection: Connection, tenant: str, run_id: str) -> State:
    """Raises NotFound, or NotActive when the run is deleted."""
    found = _STATE.first(connection, tenant, run_id)
    if found is None:
        raise missing(run_id)
    if found[0] != "active":
        raise NotActive("run", run_id)
    return State(*found)


def lifecycle(connection: Connection, tenant: str, run_id: str) -> str | None:
    """``active`` or ``deleted``; None when there is no such run."""
    found = state(connection, tenant, run_id)
    return None if found is None else found.lifecycle


class Placed(NamedTuple):
    """Where a run is: its experiment's number, and where its artifacts lie."""

    experiment: int
    artifact_uri: str


def place(connection: Connection, tenant: str, run_id: str) -> Placed:
    """Raises NotFound."""
    query = select(runs.c.experiment, runs.c.artifact_uri).where(runs.c.tenant == tenant, runs.c.id == run_id)
    found = connection.execute(query).first()
    if found is None:
        raise missing(run_id)
    return Placed(*found)


def reopen(connection: Connection, tenant: str, run_id: str, at_ms: int) -> bool:
    """A run that goes on has not ended. False, and no change, when a journal resumed it later than ``at_ms``."""
    return _unless_resumed_after(connection, tenant, run_id, at_ms, status="RUNNING", ended_ms=None, resumed_ms=at_ms)


def end(connection: Connection, tenant: str, run_id: str, status: RunStatus, at_ms: int) -> bool:
    """End a run as its journal says. False, and no change, when another journal resumed it later than ``at_ms``."""
    return _unless_resumed_after(connection, tenant, run_id, at_ms, status=status, ended_ms=at_ms)


def _unless_resumed_after(connection: Connection, tenant: str, run_id: str, at_ms: int, **values: Any) -> bool:
    """Journals of several programs arrive in any order; what one says of a run's state holds until a later one resumes it."""
    current = (runs.c.tenant == tenant, runs.c.id == run_id, func.coalesce(runs.c.resumed_ms, at_ms) <= at_ms)
    return connection.execute(update(runs).where(*current).values(values)).rowcount > 0


def require(connection: Connection, tenant: str, run_id: str) -> None:
    """Raises NotFound."""
    if state(connection, tenant, run_id) is None:
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
    """Runs from rows of the table, in their order, with last metrics, params, tags, inputs and models."""
    ids = [row.id for row in rows]
    params = _pairs(connection, _PARAMS, tenant, ids)
    tags = _pairs(connection, _TAGS, tenant, ids)
    last = _latest(connection, tenant, ids)
    inputs = _inputs(connection, tenant, ids)
    models = _models(connection, tenant, ids)
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
            params=params[row.id],
            tags=tags[row.id],
            inputs=tuple(inputs.get(row.id, ())),
            models_read=tuple(model for model, _ in models.get((row.id, "input"), ())),
            models_made=tuple(models.get((row.id, "output"), ())),
        )
        for row in rows
    ]


def change(connection: Connection, tenant: str, run_id: str, wanted: RunChange) -> None:
    """Change an active run. A new name is mirrored in its tag; one that is RUNNING again has not ended."""
    require_active(connection, tenant, run_id)
    values: dict[str, Any] = {}
    if wanted.status is not None:
        values["status"] = wanted.status
    if wanted.ended_ms is not None or wanted.status == "RUNNING":
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
    known = _known_params(connection, tenant, run_id, params)
    for key, value in params.items():
        if known.get(key, value) != value:
            raise ParamChanged(run_id, key, known[key], value)
    fresh = [_pair(tenant, run_id, key, value) for key, value in params.items() if key not in known]
    if fresh:
        connection.execute(insert(run_params), fresh)


def put_tags(connection: Connection, tenant: str, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags; the tag that mirrors the name renames the run, and is left as it is by an empty name."""
    name = tags.get(RUN_NAME_TAG)
    if name == "":
        tags = {key: value for key, value in tags.items() if key != RUN_NAME_TAG}
    _upsert_tags(connection, tenant, run_id, tags)
    if name:
        connection.execute(update(runs).where(runs.c.tenant == tenant, runs.c.id == run_id).values(name=name))


def tag(connection: Connection, tenant: str, run_id: str, key: str) -> str | None:
    """The value of one tag."""
    mine = (run_tags.c.tenant == tenant, run_tags.c.run == run_id, run_tags.c.key == key)
    found: str | None = connection.execute(select(run_tags.c.value).where(*mine)).scalar()
    return found


def remove_tag(connection: Connection, tenant: str, run_id: str, key: str) -> None:
    """Raises NotFound when there is no such tag."""
    mine = (run_tags.c.tenant == tenant, run_tags.c.run == run_id, run_tags.c.key == key)
    if connection.execute(delete(run_tags).where(*mine)).rowcount == 0:
        raise NotFound(f"No tag with name: {key[:80]} in run with id {run_id}. Read the run to see its tags.")


def parts(keys: Sequence[str]) -> Iterable[Sequence[str]]:
    """``keys`` in parts that fit into one statement."""
    return (keys[start : start + _PART] for start in range(0, len(keys), _PART))


def _upsert_tags(connection: Connection, tenant: str, run_id: str, tags: Mapping[str, str]) -> None:
    rows = [_pair(tenant, run_id, key, value) for key, value in tags.items()]
    upsert(connection, run_tags, rows, ("tenant", "run", "key"), ("value",))


def _pair(tenant: str, run_id: str, key: str, value: str) -> dict[str, str]:
    return {"tenant": tenant, "run": run_id, "key": key, "value": value}


def _known_params(connection: Connection, tenant: str, run_id: str, keys: Mapping[str, str]) -> dict[str, str]:
    if len(keys) == 1:
        [key] = keys
        row = _PARAM.first(connection, tenant, run_id, key)
        return {} if row is None else {key: row[0]}
    found: dict[str, str] = {}
    for part in parts(list(keys)):
        query = select(run_params.c.key, run_params.c.value).where(
            run_params.c.tenant == tenant, run_params.c.run == run_id, run_params.c.key.in_(part)
        )
        found.update((key, value) for key, value in connection.execute(query))
    return found


def _pairs_of(table: Table) -> Lookup:
    query = select(table.c.run, table.c.key, table.c.value).where(table.c.tenant == bindparam("tenant"))
    return Lookup(query, table.c.run, "tenant")


_PARAMS, _TAGS = _pairs_of(run_params), _pairs_of(run_tags)


def _pairs(connection: Connection, lookup: Lookup, tenant: str, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {id: {} for id in ids}
    for run, key, value in lookup.all(connection, ids, tenant):
        found[run][key] = value
    return found


_LAST = (
    latest_metrics.c.run,
    latest_metrics.c.key,
    latest_metrics.c.value,
    latest_metrics.c.is_nan,
    latest_metrics.c.at_ms,
    latest_metrics.c.step,
    latest_metrics.c.model_id,
    latest_metrics.c.dataset_name,
    latest_metrics.c.dataset_digest,
)
_LATEST = Lookup(select(*_LAST).where(latest_metrics.c.tenant == bindparam("tenant")), latest_metrics.c.run, "tenant")
_MODELS = Lookup(
    select(run_models.c.run, run_models.c.role, run_models.c.model, run_models.c.step).where(
        run_models.c.tenant == bindparam("tenant")
    ),
    run_models.c.run,
    "tenant",
)


def _latest(connection: Connection, tenant: str, ids: Sequence[str]) -> dict[str, list[Metric]]:
    found: dict[str, list[Metric]] = {}
    for run, key, value, is_nan, *about in _LATEST.all(connection, ids, tenant):
        found.setdefault(run, []).append(Metric(key, math.nan if is_nan else value, *about))
    return found


def _inputs(connection: Connection, tenant: str, ids: Sequence[str]) -> dict[str, list[DatasetInput]]:
    found: dict[str, list[DatasetInput]] = {}
    for part in parts(ids):
        query = select(run_inputs).where(run_inputs.c.tenant == tenant, run_inputs.c.run.in_(part))
        for row in connection.execute(query).all():
            found.setdefault(row.run, []).append(
                DatasetInput(row.name, row.digest, row.source_type, row.source, row.schema, row.profile, row.tags or {})
            )
    return found


def _models(connection: Connection, tenant: str, ids: Sequence[str]) -> dict[tuple[str, str], list[tuple[str, int]]]:
    """(model, step) by run and role."""
    found: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for run, role, model, step in _MODELS.all(connection, ids, tenant):
        found.setdefault((run, role), []).append((model, step))
    return found
