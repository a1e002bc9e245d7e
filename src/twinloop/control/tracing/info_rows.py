"""Reads and writes what is known of traces beside their spans."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from twinloop.control.store.sql import upsert
from twinloop.control.tracing import assessment_rows, info, ingest
from twinloop.control.tracing.info import TraceInfo, client_id, column_ns
from twinloop.control.tracing.promoted import columns_of, totals
from twinloop.control.tracing.tables import (
    assessments,
    spans,
    trace_metadata,
    trace_prompts,
    trace_runs,
    trace_tags,
    traces,
)
from twinloop.control.tracing.tags import COLUMNS, IN_STORE, LOCATION, NAME, SPANS
from twinloop.core.errors import NotFound

_CHUNK = 500
_PROMOTED = (info.SESSION, info.TOKEN_USAGE, info.COST, info.FINALIZED)


def absent(trace_id: str) -> NotFound:
    return NotFound(f"Trace with ID '{trace_id[:100]}' not found. Give the id of a trace, tr-… as MLflow writes it.")


def require(connection: Connection, tenant: str, key: str) -> Row[Any]:
    """The row of a trace. Raises NotFound."""
    row = connection.execute(_one(tenant, key)).one_or_none()
    if row is None:
        raise absent(client_id(key))
    return row


def get(connection: Connection, tenant: str, key: str) -> TraceInfo:
    """Raises NotFound."""
    return of_rows(connection, tenant, [require(connection, tenant, key)])[0]


def many(
    connection: Connection, tenant: str, keys: Sequence[str], experiments: Sequence[int] | None
) -> list[TraceInfo]:
    """Those of ``keys`` that are there, in their order, each once; of ``experiments`` only, where given."""
    found: dict[str, Row[Any]] = {}
    for first in range(0, len(keys), _CHUNK):
        query = select(traces).where(traces.c.tenant == tenant, traces.c.trace_id.in_(keys[first : first + _CHUNK]))
        if experiments is not None:
            query = query.where(traces.c.experiment.in_(experiments))
        found.update((row.trace_id, row) for row in connection.execute(query))
    return of_rows(connection, tenant, [found[key] for key in dict.fromkeys(keys) if key in found])


def _one(tenant: str, key: str) -> Any:
    return select(traces).where(traces.c.tenant == tenant, traces.c.trace_id == key)


def of_rows(connection: Connection, tenant: str, rows: Sequence[Row[Any]]) -> list[TraceInfo]:
    """Infos of rows of ``traces``, with their tags, metadata and assessments."""
    keys = [row.trace_id for row in rows]
    tags, known = _pairs(connection, tenant, trace_tags, keys), _pairs(connection, tenant, trace_metadata, keys)
    said = assessment_rows.of_traces(connection, tenant, keys)
    return [_info(row, tags[row.trace_id], known[row.trace_id], said.get(row.trace_id, ())) for row in rows]


def _pairs(connection: Connection, tenant: str, table: Any, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    query = select(table.c.trace_id, table.c.key, table.c.value).where(
        table.c.tenant == tenant, table.c.trace_id.in_(bindparam("keys", expanding=True))
    )
    for first in range(0, len(keys), _CHUNK):
        for trace_id, key, value in connection.execute(query, {"keys": keys[first : first + _CHUNK]}):
            found[trace_id][key] = value
    return found


def _info(
    row: Row[Any], tags: dict[str, str | None], known: dict[str, str], said: Iterable[info.Assessment]
) -> TraceInfo:
    if row.title is not None:
        tags[NAME] = row.title
    for key, value in derived(row).items():
        tags.setdefault(key, value)
    if row.told:
        known[info.FINALIZED] = "true"
    known.update(totals(row))
    return TraceInfo(
        trace_id=row.trace_id,
        experiment=row.experiment,
        request_ms=row.start_ns // 1_000_000,
        state=info.STATES[row.status],
        duration_ms=duration(row),
        client_request_id=row.client_request_id,
        request_preview=row.request_preview,
        response_preview=row.response_preview,
        tags=tags,  # type: ignore[arg-type]  # one without a value was removed, and the service leaves it out
        metadata=known,
        assessments=tuple(said),
        spans=bool(row.span_count),
    )


def derived(row: Row[Any]) -> dict[str, str]:
    """Tags that nobody set. The service puts in the place of the files, for it knows where the experiment keeps them."""
    found = {key: getattr(row, column) for key, column in COLUMNS.items() if getattr(row, column)}
    return {LOCATION: "", **({SPANS: IN_STORE} if row.span_count else {}), **found}


def duration(row: Row[Any]) -> int | None:
    """Rows of before durations were kept have their end only."""
    if row.duration_ms is None and not row.told and row.status != "running":
        return ingest.duration_ms(row.start_ns, row.end_ns)
    return row.duration_ms  # type: ignore[no-any-return]


def start(connection: Connection, tenant: str, told: TraceInfo, principal: str, final: bool) -> None:
    """Write what a client says of a trace, over what its spans said. ``final`` makes it stand against later spans.

    Where its files lie is not the client's to say.
    """
    row = connection.execute(_one(tenant, told.trace_id)).one_or_none()
    title = told.tags.get(NAME)
    values: dict[str, Any] = {
        "experiment": told.experiment,
        "status": info.STATUSES[told.state],
        "duration_ms": told.duration_ms,
        "client_request_id": told.client_request_id,
        "told": final or bool(row and row.told),
        **_bounds(row, told),
        **columns_of(told.metadata),
    }
    for name, value in (
        ("request_preview", told.request_preview), ("response_preview", told.response_preview), ("title", title)
    ):  # fmt: skip
        if value is not None:
            values[name] = value
    if row is None:
        fixed = {
            "name": (title or "trace")[:500],
            "source": "mlflow",
            "principal": principal,
            "span_count": 0,
            "summary": {},
        }
        key = {"tenant": tenant, "trace_id": told.trace_id}
        connection.execute(traces.insert().values({**key, **fixed, **values}))
    else:
        if row.source == "mlflow" and title:
            values["name"] = title[:500]
        connection.execute(_change(tenant, told.trace_id).values(values))
    own = {key: value for key, value in told.tags.items() if key not in (NAME, LOCATION)}
    ingest.put_tags(connection, tenant, {told.trace_id: own})
    put_metadata(connection, tenant, told.trace_id, told.metadata)
    for assessment in told.assessments:
        assessment_rows.put(connection, tenant, assessment)


def _bounds(row: Row[Any] | None, told: TraceInfo) -> dict[str, int]:
    start_ns = told.request_ms * 1_000_000
    end_ns = column_ns(told.request_ms + (told.duration_ms or 0))
    if row is None:
        return {"start_ns": start_ns, "end_ns": end_ns}
    same = row.start_ns // 1_000_000 == told.request_ms
    return {"start_ns": row.start_ns if same else start_ns, "end_ns": row.end_ns if row.span_count else end_ns}


def _change(tenant: str, key: str) -> Any:
    return update(traces).where(traces.c.tenant == tenant, traces.c.trace_id == key)


def end(connection: Connection, tenant: str, key: str, at_ms: int, status: str) -> None:
    """Say when a trace ended and how. Raises NotFound."""
    row = require(connection, tenant, key)
    duration_ms = at_ms - row.start_ns // 1_000_000
    connection.execute(_change(tenant, key).values(duration_ms=duration_ms, end_ns=at_ms * 1_000_000, status=status))


def put_metadata(connection: Connection, tenant: str, key: str, metadata: Mapping[str, str]) -> None:
    promoted = columns_of(metadata)
    if promoted:
        connection.execute(_change(tenant, key).values(promoted))
    rows = [
        {"tenant": tenant, "trace_id": key, "key": name, "value": value}
        for name, value in metadata.items()
        if name not in _PROMOTED
    ]
    upsert(connection, trace_metadata, rows, ("tenant", "trace_id", "key"), ("value",))


def set_tag(connection: Connection, tenant: str, key: str, name: str, value: str) -> None:
    """Raises NotFound."""
    require(connection, tenant, key)
    if name == NAME:
        connection.execute(_change(tenant, key).values(title=value))
    else:
        ingest.put_tags(connection, tenant, {key: {name: value}})


def delete_tag(connection: Connection, tenant: str, key: str, name: str) -> None:
    """Raises NotFound when there is no such trace or no such tag."""
    row = connection.execute(_one(tenant, key)).one_or_none()
    present = False
    if row is not None and name == NAME:
        present = row.title is not None
        connection.execute(_change(tenant, key).values(title=None))
    elif row is not None:
        mine = (trace_tags.c.tenant == tenant, trace_tags.c.trace_id == key, trace_tags.c.key == name)
        kept = connection.execute(select(trace_tags.c.value).where(*mine)).one_or_none()
        present = kept.value is not None if kept else name in derived(row)
        connection.execute(delete(trace_tags).where(*mine))
        if name in derived(row):
            hidden = {"tenant": tenant, "trace_id": key, "key": name, "value": None}
            connection.execute(trace_tags.insert().values(hidden))
    if not present:
        raise NotFound(
            f"No trace tag with key '{name[:250]}' for trace with ID '{client_id(key)}'. Nothing was removed."
        )


def remove(connection: Connection, tenant: str, keys: Sequence[str]) -> int:
    """Remove traces with everything that belongs to them; returns how many there were."""
    removed = 0
    for first in range(0, len(keys), _CHUNK):
        part = keys[first : first + _CHUNK]
        for table in (spans, trace_tags, trace_metadata, trace_runs, trace_prompts, assessments):
            connection.execute(delete(table).where(table.c.tenant == tenant, table.c.trace_id.in_(part)))
        removed += connection.execute(
            delete(traces).where(traces.c.tenant == tenant, traces.c.trace_id.in_(part))
        ).rowcount
    return removed


def oldest(
    connection: Connection,
    tenant: str,
    experiment: int,
    keys: Sequence[str] | None,
    until_ms: int | None,
    limit: int | None,
) -> list[str]:
    """Keys of traces of an experiment, the oldest first: those of ``keys``, or those begun up to ``until_ms``."""
    query = select(traces.c.trace_id).where(traces.c.tenant == tenant, traces.c.experiment == experiment)
    query = query.order_by(traces.c.start_ns, traces.c.trace_id)
    if until_ms is not None:
        query = query.where(traces.c.start_ns < column_ns(until_ms + 1))
    if limit is not None:
        query = query.limit(limit)
    if keys is None:
        return list(connection.execute(query).scalars())
    found: list[str] = []
    for first in range(0, len(keys), _CHUNK):
        found += connection.execute(query.where(traces.c.trace_id.in_(keys[first : first + _CHUNK]))).scalars()
    return found


def link_run(connection: Connection, tenant: str, keys: Iterable[str], run: str) -> None:
    rows = [{"tenant": tenant, "run": run, "trace_id": key} for key in dict.fromkeys(keys)]
    upsert(connection, trace_runs, rows, ("tenant", "run", "trace_id"))


def link_prompts(connection: Connection, tenant: str, key: str, prompts: Iterable[str]) -> None:
    """Raises NotFound when there is no such trace."""
    require(connection, tenant, key)
    rows = [{"tenant": tenant, "prompt": prompt, "trace_id": key} for prompt in dict.fromkeys(prompts)]
    upsert(connection, trace_prompts, rows, ("tenant", "prompt", "trace_id"))
