"""Queries on experiments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from twinloop.control.store.sql import Statement, upsert
from twinloop.control.tracking.errors import NotActive
from twinloop.control.tracking.model import DEFAULT_EXPERIMENT, Experiment
from twinloop.control.tracking.repository import parts
from twinloop.control.tracking.search import number_of
from twinloop.control.tracking.tables import experiment_tags, experiments, runs
from twinloop.core.errors import Conflict, NotFound

_PLACE = Statement(
    select(experiments.c.number, experiments.c.name, experiments.c.artifact_location, experiments.c.lifecycle).where(
        experiments.c.tenant == bindparam("tenant"), experiments.c.number == bindparam("number")
    ),
    "tenant",
    "number",
)


def ensure_default(connection: Connection, tenant: str, begun_ms: int) -> None:
    """Make the experiment of runs that name none, unless the tenant has it.

    It is made when it is first needed, but is older than whatever came since ``begun_ms``, when its process began.
    """
    row = _row(tenant, int(DEFAULT_EXPERIMENT), "Default", f"mlflow-artifacts:/{DEFAULT_EXPERIMENT}", begun_ms - 1)
    upsert(connection, experiments, [row], ("tenant", "number"))


def add(
    connection: Connection, tenant: str, name: str, location: str | None, tags: Mapping[str, str], now_ms: int
) -> Experiment:
    """Raises Conflict when the tenant has an experiment of this name, deleted ones included."""
    _require_free(connection, tenant, name)
    last = connection.execute(select(func.max(experiments.c.number)).where(experiments.c.tenant == tenant)).scalar()
    number = int(last or 0) + 1
    row = _row(tenant, number, name, location or f"mlflow-artifacts:/{number}", now_ms)
    connection.execute(insert(experiments), row)
    put_tags(connection, tenant, number, tags)
    return by_id(connection, tenant, str(number))


def by_id(connection: Connection, tenant: str, id: str) -> Experiment:
    """Raises NotFound."""
    query = select(experiments).where(experiments.c.tenant == tenant, experiments.c.number == number_of(id))
    row = connection.execute(query).first()
    if row is None:
        raise missing(id)
    return load(connection, tenant, [row])[0]


def by_name(connection: Connection, tenant: str, name: str) -> Experiment | None:
    query = select(experiments).where(experiments.c.tenant == tenant, experiments.c.name == name)
    row = connection.execute(query).first()
    return None if row is None else load(connection, tenant, [row])[0]


def load(connection: Connection, tenant: str, rows: Sequence[Row[Any]]) -> list[Experiment]:
    tags: dict[int, dict[str, str]] = {}
    numbers = [row.number for row in rows]
    for part in parts(numbers):
        query = select(experiment_tags).where(
            experiment_tags.c.tenant == tenant, experiment_tags.c.experiment.in_(part)
        )
        for tag in connection.execute(query):
            tags.setdefault(tag.experiment, {})[tag.key] = tag.value
    return [
        Experiment(
            id=str(row.number),
            name=row.name,
            lifecycle=row.lifecycle,
            artifact_location=row.artifact_location,
            created_ms=row.created_ms,
            updated_ms=row.updated_ms,
            tags=tags.get(row.number, {}),
        )
        for row in rows
    ]


class Place(NamedTuple):
    """Where an active experiment's runs go."""

    number: int
    name: str
    artifact_location: str


def require_active(connection: Connection, tenant: str, id: str, refused: str = "") -> Place:
    """Raises NotFound, or NotActive when the experiment is deleted, which begins with ``refused``."""
    row = _PLACE.first(connection, tenant, number_of(id))
    if row is None:
        raise missing(id)
    *place, lifecycle = row
    if lifecycle != "active":
        raise NotActive("experiment", id, refused)
    return Place(*place)


def missing(id: str) -> NotFound:
    return NotFound(f"No Experiment with id={id} exists. Create it, or check the tenant of your key.")


def rename(connection: Connection, tenant: str, id: str, name: str, now_ms: int) -> None:
    if require_active(connection, tenant, id, "Cannot rename a non-active experiment. ").name != name:
        _require_free(connection, tenant, name)
    _update(connection, tenant, id, {"name": name, "updated_ms": now_ms})


def set_lifecycle(connection: Connection, tenant: str, id: str, lifecycle: str, now_ms: int) -> None:
    """Delete an active experiment with its runs, or restore a deleted one with all of them, as MLflow does.

    Raises NotFound also when it is deleted, or active, already.
    """
    if by_id(connection, tenant, id).lifecycle == lifecycle:
        raise NotFound(f"No Experiment with id={number_of(id)} exists that is not {lifecycle} already.")
    change = update(runs).where(runs.c.tenant == tenant, runs.c.experiment == number_of(id))
    deleted_ms = now_ms if lifecycle == "deleted" else None
    connection.execute(change.values(lifecycle=lifecycle, deleted_ms=deleted_ms))
    _update(connection, tenant, id, {"lifecycle": lifecycle, "updated_ms": now_ms})


def put_tags(connection: Connection, tenant: str, number: int, tags: Mapping[str, str]) -> None:
    rows = [{"tenant": tenant, "experiment": number, "key": key, "value": value} for key, value in tags.items()]
    upsert(connection, experiment_tags, rows, ("tenant", "experiment", "key"), ("value",))


def remove_tag(connection: Connection, tenant: str, id: str, key: str) -> None:
    require_active(connection, tenant, id)
    mine = (
        experiment_tags.c.tenant == tenant,
        experiment_tags.c.experiment == number_of(id),
        experiment_tags.c.key == key,
    )
    if connection.execute(delete(experiment_tags).where(*mine)).rowcount == 0:
        raise NotFound(f"No tag with name: {key[:80]} in experiment with id {id}. Read the experiment to see its tags.")


def _update(connection: Connection, tenant: str, id: str, values: Mapping[str, Any]) -> None:
    mine = (experiments.c.tenant == tenant, experiments.c.number == number_of(id))
    connection.execute(update(experiments).where(*mine).values(dict(values)))


def _row(tenant: str, number: int, name: str, location: str, now_ms: int) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "number": number,
        "name": name,
        "lifecycle": "active",
        "artifact_location": location,
        "created_ms": now_ms,
        "updated_ms": now_ms,
    }


def _require_free(connection: Connection, tenant: str, name: str) -> None:
    held = by_name(connection, tenant, name)
    if held is None:
        return
    if held.lifecycle == "deleted":
        raise Conflict(
            f"Experiment(name={name}) already exists in deleted state. Restore it (id {held.id}), or choose another name."
        )
    raise Conflict(f"Experiment(name={name}) already exists. Use it (id {held.id}), or choose another name.")
