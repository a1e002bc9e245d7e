"""Tables and queries of scorers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    String,
    Table,
    Text,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)

from twinloop.control.evaluation.scorers.model import Schedule, Scorer
from twinloop.control.store.schema import metadata
from twinloop.control.store.sql import upsert
from twinloop.control.tracking.repository import experiments
from twinloop.core.errors import NotFound

scorers = Table(
    "scorers",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("id", String(40), primary_key=True),
    Column("experiment", BigInteger, nullable=False),
    Column("name", String(256), nullable=False),
    Column("last", Integer, nullable=False),
    Index("uq_scorers_name", "tenant", "experiment", "name", unique=True),
)

versions = Table(
    "scorer_versions",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("scorer", String(40), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("body", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

schedules = Table(
    "scorer_schedules",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("scorer", String(40), primary_key=True),
    Column("id", String(40), nullable=False),
    Column("sample_rate", Float, nullable=False),
    Column("filter", Text),
)

_PART = 500
_JOIN = scorers.join(versions, and_(versions.c.tenant == scorers.c.tenant, versions.c.scorer == scorers.c.id))
_COLUMNS = (
    scorers.c.id,
    scorers.c.experiment,
    scorers.c.name,
    versions.c.version,
    versions.c.body,
    versions.c.created_ms,
)


def add(connection: Connection, tenant: str, wanted: Scorer) -> Scorer:
    """Add ``wanted`` with the next version; a version that was deleted is not given again."""
    mine = (scorers.c.tenant == tenant, *_called(wanted.experiment_id, wanted.name))
    row = connection.execute(select(scorers.c.id, scorers.c.last).where(*mine)).one_or_none()
    id, version = (wanted.id, 1) if row is None else (row.id, row.last + 1)
    if row is None:
        values = {"tenant": tenant, "id": id, "experiment": int(wanted.experiment_id), "name": wanted.name, "last": 1}
        connection.execute(insert(scorers).values(values))
    else:
        connection.execute(update(scorers).where(*mine).values(last=version))
    connection.execute(
        insert(versions).values(
            tenant=tenant, scorer=id, version=version, body=wanted.body, created_ms=wanted.created_ms
        )
    )
    return Scorer(id, wanted.experiment_id, wanted.name, version, wanted.body, wanted.created_ms)


def newest(connection: Connection, tenant: str, experiments: Sequence[int]) -> list[Scorer]:
    """The highest version of every scorer of these experiments, by experiment and name."""
    highest = (
        select(versions.c.scorer, func.max(versions.c.version).label("version"))
        .where(versions.c.tenant == tenant)
        .group_by(versions.c.scorer)
        .subquery()
    )
    source = _JOIN.join(highest, and_(highest.c.scorer == versions.c.scorer, highest.c.version == versions.c.version))
    found: list[Scorer] = []
    for part in _parts(experiments):
        query = select(*_COLUMNS).select_from(source).where(scorers.c.tenant == tenant, scorers.c.experiment.in_(part))
        found += [_scorer(row) for row in connection.execute(query)]
    return sorted(found, key=lambda scorer: (int(scorer.experiment_id), scorer.name))


def active_experiments(connection: Connection, tenant: str) -> list[int]:
    """The numbers of the experiments that are not deleted."""
    query = select(experiments.c.number).where(experiments.c.tenant == tenant, experiments.c.lifecycle == "active")
    return list(connection.execute(query).scalars())


def of_name(connection: Connection, tenant: str, experiment_id: str, name: str) -> list[Scorer]:
    """Every version of a scorer, the lowest first. Raises NotFound."""
    query = select(*_COLUMNS).select_from(_JOIN)
    query = query.where(scorers.c.tenant == tenant, *_called(experiment_id, name)).order_by(versions.c.version)
    found = [_scorer(row) for row in connection.execute(query)]
    if not found:
        raise NotFound(f"Scorer with name '{name[:200]}' not found for experiment {experiment_id}. Register it first.")
    return found


def get(connection: Connection, tenant: str, experiment_id: str, name: str, version: int | None) -> Scorer:
    """A version, or the highest. Raises NotFound."""
    found = of_name(connection, tenant, experiment_id, name)
    if version is None:
        return found[-1]
    for scorer in found:
        if scorer.version == version:
            return scorer
    raise NotFound(
        f"Scorer with name '{name[:200]}' and version {version} not found for experiment {experiment_id}. "
        "List its versions to see which there are."
    )


def remove(connection: Connection, tenant: str, experiment_id: str, name: str, version: int | None) -> None:
    """Delete one version, or the scorer with everything about it. Raises NotFound."""
    scorer = get(connection, tenant, experiment_id, name, version)
    mine = (versions.c.tenant == tenant, versions.c.scorer == scorer.id)
    if version is not None:
        connection.execute(delete(versions).where(*mine, versions.c.version == version))
        return
    connection.execute(delete(versions).where(*mine))
    connection.execute(delete(schedules).where(schedules.c.tenant == tenant, schedules.c.scorer == scorer.id))
    connection.execute(delete(scorers).where(scorers.c.tenant == tenant, scorers.c.id == scorer.id))


def put_schedule(connection: Connection, tenant: str, schedule: Schedule) -> None:
    row = {
        "tenant": tenant,
        "scorer": schedule.scorer_id,
        "id": schedule.id,
        "sample_rate": schedule.sample_rate,
        "filter": schedule.filter,
    }
    upsert(connection, schedules, [row], ("tenant", "scorer"), ("id", "sample_rate", "filter"))


def schedules_of(connection: Connection, tenant: str, ids: Sequence[str]) -> list[Schedule]:
    """The schedules of scorers by their ids; those without one are left out."""
    found: list[Schedule] = []
    source = schedules.join(scorers, and_(scorers.c.tenant == schedules.c.tenant, scorers.c.id == schedules.c.scorer))
    for part in _parts(ids):
        query = select(schedules, scorers.c.experiment).select_from(source)
        rows = connection.execute(query.where(schedules.c.tenant == tenant, schedules.c.scorer.in_(part)))
        found += [Schedule(row.id, row.scorer, str(row.experiment), row.sample_rate, row.filter) for row in rows]
    return found


def _called(experiment_id: str, name: str) -> tuple[Any, ...]:
    return scorers.c.experiment == int(experiment_id), scorers.c.name == name


def _scorer(row: Any) -> Scorer:
    return Scorer(row.id, str(row.experiment), row.name, row.version, row.body, row.created_ms)


def _parts(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """SQLite takes a bounded number of parameters a statement."""
    for start in range(0, len(items), _PART):
        yield items[start : start + _PART]
