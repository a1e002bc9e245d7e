"""Tables and queries of label schemas."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from twinloop.control.evaluation.labels.model import Input, LabelSchema
from twinloop.control.store.schema import Json, metadata
from twinloop.core.errors import Conflict, NotFound

schemas = Table(
    "label_schemas",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("tenant", String(100), nullable=False),
    Column("id", String(40), nullable=False),
    Column("experiment", BigInteger, nullable=False),
    Column("name", String(250), nullable=False),
    Column("type", String(20), nullable=False),
    Column("input", Json, nullable=False),
    Column("instruction", Text),
    Column("enable_comment", Boolean, nullable=False),
    Column("default", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Index("uq_label_schemas_id", "tenant", "id", unique=True),
    Index("uq_label_schemas_name", "tenant", "experiment", "name", unique=True),
)


def add(connection: Connection, tenant: str, schema: LabelSchema) -> None:
    """Raises Conflict when the experiment has one of this name."""
    _require_free(connection, tenant, schema)
    connection.execute(insert(schemas).values(tenant=tenant, **_values(schema)))


def get(connection: Connection, tenant: str, id: str) -> LabelSchema:
    """Raises NotFound."""
    row = connection.execute(select(schemas).where(schemas.c.tenant == tenant, schemas.c.id == id)).one_or_none()
    if row is None:
        raise NotFound(f"Label schema with id '{id[:100]}' not found. List those of its experiment to see their ids.")
    return _schema(row)


def find(connection: Connection, tenant: str, experiment: int, name: str) -> LabelSchema | None:
    row = connection.execute(select(schemas).where(*_called(tenant, experiment, name))).one_or_none()
    return None if row is None else _schema(row)


def default(connection: Connection, tenant: str, experiment: int) -> LabelSchema | None:
    mine = (schemas.c.tenant == tenant, schemas.c.experiment == experiment, schemas.c.default.is_(True))
    row = connection.execute(select(schemas).where(*mine)).first()
    return None if row is None else _schema(row)


def page(connection: Connection, tenant: str, experiment: int, limit: int, offset: int) -> list[LabelSchema]:
    """The schemas of an experiment, newest first."""
    query = select(schemas).where(schemas.c.tenant == tenant, schemas.c.experiment == experiment)
    rows = connection.execute(query.order_by(schemas.c.position.desc()).offset(offset).limit(limit))
    return [_schema(row) for row in rows]


def replace(connection: Connection, tenant: str, schema: LabelSchema) -> None:
    """Raises Conflict when another of the experiment has its name."""
    _require_free(connection, tenant, schema)
    mine = (schemas.c.tenant == tenant, schemas.c.id == schema.id)
    connection.execute(update(schemas).where(*mine).values(**_values(schema)))


def remove(connection: Connection, tenant: str, id: str) -> None:
    connection.execute(delete(schemas).where(schemas.c.tenant == tenant, schemas.c.id == id))


def _require_free(connection: Connection, tenant: str, schema: LabelSchema) -> None:
    there = find(connection, tenant, int(schema.experiment_id), schema.name)
    if there is not None and there.id != schema.id:
        raise Conflict(
            f"Label schema with name '{schema.name}' already exists for experiment '{schema.experiment_id}'. "
            "Choose another name."
        )


def _called(tenant: str, experiment: int, name: str) -> tuple[Any, ...]:
    return schemas.c.tenant == tenant, schemas.c.experiment == experiment, schemas.c.name == name


def _values(schema: LabelSchema) -> dict[str, Any]:
    return {
        "id": schema.id,
        "experiment": int(schema.experiment_id),
        "name": schema.name,
        "type": schema.type,
        "input": msgspec.to_builtins(schema.input),
        "instruction": schema.instruction,
        "enable_comment": schema.enable_comment,
        "default": schema.default,
        "created_ms": schema.created_ms,
        "updated_ms": schema.updated_ms,
    }


def _schema(row: Any) -> LabelSchema:
    return LabelSchema(
        id=row.id,
        experiment_id=str(row.experiment),
        name=row.name,
        type=row.type,
        input=msgspec.convert(row.input, Input),
        instruction=row.instruction,
        enable_comment=row.enable_comment,
        default=row.default,
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
    )
