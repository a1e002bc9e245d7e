"""Queries on logged models with their params, tags and metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, insert, select, update

from twinloop.control.store.sql import upsert
from twinloop.control.tracking.errors import ParamChanged
from twinloop.control.tracking.model import LoggedModel, ModelMetric, ModelStatus
from twinloop.control.tracking.repository import parts
from twinloop.control.tracking.tables import (
    logged_model_metrics,
    logged_model_params,
    logged_model_tags,
    logged_models,
)
from twinloop.core.errors import NotFound


def add(connection: Connection, tenant: str, model: LoggedModel) -> None:
    row = {
        "tenant": tenant,
        "id": model.id,
        "experiment": int(model.experiment_id),
        "name": model.name,
        "type": model.type,
        "run": model.run_id,
        "status": model.status,
        "status_message": model.status_message,
        "artifact_uri": model.artifact_uri,
        "lifecycle": model.lifecycle,
        "created_ms": model.created_ms,
        "updated_ms": model.updated_ms,
    }
    connection.execute(insert(logged_models), row)
    put_params(connection, tenant, model.id, model.params)
    put_tags(connection, tenant, model.id, model.tags)


def by_id(connection: Connection, tenant: str, id: str, *, deleted: bool = False) -> LoggedModel:
    """Raises NotFound, also for a deleted one unless ``deleted``."""
    query = select(logged_models).where(logged_models.c.tenant == tenant, logged_models.c.id == id)
    row = connection.execute(query).first()
    if row is None or (row.lifecycle == "deleted" and not deleted):
        raise missing(id)
    return load(connection, tenant, [row])[0]


def require(connection: Connection, tenant: str, id: str) -> None:
    """Raises NotFound; a deleted model is there."""
    query = select(logged_models.c.id).where(logged_models.c.tenant == tenant, logged_models.c.id == id)
    if connection.execute(query).first() is None:
        raise missing(id)


def missing(id: str) -> NotFound:
    return NotFound(
        f"Logged model with ID '{id[:100]}' not found. Check the id, and that your key belongs to its tenant."
    )


def load(connection: Connection, tenant: str, rows: Sequence[Row[Any]]) -> list[LoggedModel]:
    """Models from rows of the table, in their order."""
    ids = [row.id for row in rows]
    params = _pairs(connection, logged_model_params, tenant, ids)
    tags = _pairs(connection, logged_model_tags, tenant, ids)
    metrics = _metrics(connection, tenant, ids)
    return [
        LoggedModel(
            id=row.id,
            experiment_id=str(row.experiment),
            name=row.name,
            type=row.type,
            run_id=row.run,
            status=row.status,
            status_message=row.status_message,
            artifact_uri=row.artifact_uri,
            lifecycle=row.lifecycle,
            created_ms=row.created_ms,
            updated_ms=row.updated_ms,
            params=params.get(row.id, {}),
            tags=tags.get(row.id, {}),
            metrics=tuple(metrics.get(row.id, ())),
        )
        for row in rows
    ]


def finalize(connection: Connection, tenant: str, id: str, status: ModelStatus, now_ms: int) -> None:
    """Raises NotFound."""
    _change(connection, tenant, id, {"status": status, "updated_ms": now_ms})


def remove(connection: Connection, tenant: str, id: str, now_ms: int) -> None:
    """Softly. Raises NotFound."""
    _change(connection, tenant, id, {"lifecycle": "deleted", "updated_ms": now_ms})


def put_params(connection: Connection, tenant: str, id: str, params: Mapping[str, str]) -> None:
    """Raises ParamChanged when one has another value already."""
    known = _pairs(connection, logged_model_params, tenant, [id]).get(id, {})
    for key, value in params.items():
        if known.get(key, value) != value:
            raise ParamChanged(id, key, known[key], value)
    upsert(connection, logged_model_params, _rows(tenant, id, params), ("tenant", "model", "key"))


def put_tags(connection: Connection, tenant: str, id: str, tags: Mapping[str, str]) -> None:
    upsert(connection, logged_model_tags, _rows(tenant, id, tags), ("tenant", "model", "key"), ("value",))


def tag(connection: Connection, tenant: str, id: str, key: str) -> str | None:
    """The value of one tag."""
    return _pairs(connection, logged_model_tags, tenant, [id]).get(id, {}).get(key)


def remove_tag(connection: Connection, tenant: str, id: str, key: str) -> None:
    """Raises NotFound when there is no such tag."""
    tags = logged_model_tags.c
    done = connection.execute(delete(logged_model_tags).where(tags.tenant == tenant, tags.model == id, tags.key == key))
    if done.rowcount == 0:
        raise NotFound(f"No tag with key '{key[:100]}' found for model with ID '{id[:100]}'. Read it to see its tags.")


def _change(connection: Connection, tenant: str, id: str, values: Mapping[str, Any]) -> None:
    mine = (logged_models.c.tenant == tenant, logged_models.c.id == id)
    if connection.execute(update(logged_models).where(*mine).values(dict(values))).rowcount == 0:
        raise missing(id)


def _rows(tenant: str, id: str, values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"tenant": tenant, "model": id, "key": key, "value": value} for key, value in values.items()]


def _pairs(connection: Connection, table: Table, tenant: str, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for part in parts(ids):
        mine = (table.c.tenant == tenant, table.c.model.in_(part))
        for model, key, value in connection.execute(select(table.c.model, table.c.key, table.c.value).where(*mine)):
            found.setdefault(model, {})[key] = value
    return found


def _metrics(connection: Connection, tenant: str, ids: Sequence[str]) -> dict[str, list[ModelMetric]]:
    found: dict[str, list[ModelMetric]] = {}
    for part in parts(ids):
        mine = (logged_model_metrics.c.tenant == tenant, logged_model_metrics.c.model.in_(part))
        for row in connection.execute(select(logged_model_metrics).where(*mine)):
            value = math.nan if row.is_nan else row.value
            point = ModelMetric(row.key, value, row.at_ms, row.step, row.run, row.dataset_name, row.dataset_digest)
            found.setdefault(row.model, []).append(point)
    return found
