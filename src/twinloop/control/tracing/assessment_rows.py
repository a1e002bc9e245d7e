"""Reads and writes assessments."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, select, update

from twinloop.control.store.sql import upsert
from twinloop.control.tracing.info import Assessment, client_id
from twinloop.control.tracing.tables import assessments, traces
from twinloop.control.tracing.usage import number
from twinloop.core.errors import NotFound

_CHUNK = 500
_VERDICTS = {"yes": 1.0, "no": 0.0}


def put(connection: Connection, tenant: str, said: Assessment) -> None:
    """Add an assessment, or replace the one of the same id."""
    row = _row(tenant, said)
    upsert(
        connection, assessments, [row], ("tenant", "id"), tuple(name for name in row if name not in ("tenant", "id"))
    )


def _row(tenant: str, said: Assessment) -> dict[str, Any]:
    counted, numeric = aggregate(said.value)
    return {
        "tenant": tenant,
        "id": said.id,
        "trace_id": said.trace_id,
        "kind": said.kind,
        "name": said.name,
        "value": json.dumps(said.value, ensure_ascii=False),
        "number": counted,
        "numeric": numeric,
        "error": said.error,
        "source_type": said.source_type,
        "source_id": said.source_id,
        "run": said.run,
        "span_id": said.span_id,
        "rationale": said.rationale,
        "overrides": said.overrides,
        "valid": said.valid,
        "metadata": said.metadata or None,
        "created_ms": said.created_ms,
        "updated_ms": said.updated_ms,
    }


def aggregate(value: Any) -> tuple[float | None, bool]:
    """What a value counts as in averages, and whether it is a number: true and "yes" are 1, false and "no" are 0."""
    if isinstance(value, bool):
        return float(value), False
    if isinstance(value, str):
        return _VERDICTS.get(value.strip().lower()), False
    found = number(value)
    return (None if found is None else float(found)), found is not None


def of_traces(connection: Connection, tenant: str, keys: Sequence[str]) -> Mapping[str, list[Assessment]]:
    """Assessments by trace, the oldest first."""
    found: dict[str, list[Assessment]] = defaultdict(list)
    for first in range(0, len(keys), _CHUNK):
        query = select(assessments).where(
            assessments.c.tenant == tenant, assessments.c.trace_id.in_(keys[first : first + _CHUNK])
        )
        for row in connection.execute(query.order_by(assessments.c.created_ms, assessments.c.id)):
            found[row.trace_id].append(_assessment(row))
    return found


def get(connection: Connection, tenant: str, key: str, id: str) -> Assessment:
    """Raises NotFound, which says whether it is the trace that is not there."""
    row = connection.execute(select(assessments).where(*_mine(tenant, key, id))).one_or_none()
    if row is not None:
        return _assessment(row)
    shown = client_id(key)[:100]
    there = connection.execute(
        select(traces.c.trace_id).where(traces.c.tenant == tenant, traces.c.trace_id == key)
    ).one_or_none()
    if there is None:
        raise NotFound(f"Trace with request_id '{shown}' not found. Give the id of a trace, tr-… as MLflow writes it.")
    raise NotFound(f"Assessment with ID '{id[:100]}' not found for trace '{shown}'. It may have been deleted.")


def set_valid(connection: Connection, tenant: str, key: str, id: str, valid: bool) -> bool:
    """Returns whether there is such an assessment."""
    changed = connection.execute(update(assessments).where(*_mine(tenant, key, id)).values(valid=valid))
    return bool(changed.rowcount)


def remove(connection: Connection, tenant: str, key: str, id: str) -> None:
    connection.execute(delete(assessments).where(*_mine(tenant, key, id)))


def _mine(tenant: str, key: str, id: str) -> tuple[Any, ...]:
    return (assessments.c.tenant == tenant, assessments.c.trace_id == key, assessments.c.id == id)


def _assessment(row: Row[Any]) -> Assessment:
    return Assessment(
        id=row.id,
        trace_id=row.trace_id,
        kind=row.kind,
        name=row.name,
        value=_value(row.value),
        source_type=row.source_type,
        source_id=row.source_id,
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
        error=row.error,
        run=row.run,
        span_id=row.span_id,
        rationale=row.rationale,
        overrides=row.overrides,
        valid=bool(row.valid),
        metadata=row.metadata or {},
    )


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:  # NaN and the infinities, which JSON has not and Python writes
        return json.loads(text)
