"""Tables and queries of evaluation datasets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    String,
    Table,
    Text,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from twinloop.control.evaluation.datasets.model import Dataset, Record
from twinloop.control.store.schema import Json, metadata, pairs
from twinloop.control.store.sql import upsert
from twinloop.core.errors import NotFound

datasets = Table(
    "evaluation_datasets",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("id", String(40), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("total", String(64), nullable=False),
    Column("records", Integer, nullable=False),
    Column("schema", Json),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("created_by", Text),
    Column("updated_by", Text),
    Index("ix_evaluation_datasets_newest", "tenant", "created_ms"),
    Index("ix_evaluation_datasets_name", "tenant", "name"),
)

tags = pairs("evaluation_dataset_tags", Column("dataset", String(40), primary_key=True), key=String(255))

links = Table(
    "evaluation_dataset_experiments",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("dataset", String(40), primary_key=True),
    Column("experiment", BigInteger, primary_key=True),
    Column("position", Integer, nullable=False),
    Index("ix_evaluation_dataset_experiments_experiment", "tenant", "experiment"),
)

# Contents are Python's JSON as text: records may hold NaN, which the column type for JSON would turn into null.
records = Table(
    "evaluation_dataset_records",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("tenant", String(100), nullable=False),
    Column("dataset", String(40), nullable=False),
    Column("id", String(40), nullable=False),
    Column("input_hash", String(64), nullable=False),
    Column("inputs", Text, nullable=False),
    Column("outputs", Text),
    Column("expectations", Text),
    Column("tags", Text),
    Column("source_type", String(40)),
    Column("source_data", Text),
    Column("source_id", Text),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("created_by", Text),
    Column("updated_by", Text),
    Index("uq_evaluation_dataset_records_inputs", "tenant", "dataset", "input_hash", unique=True),
    Index("uq_evaluation_dataset_records_id", "tenant", "id", unique=True),
    Index("ix_evaluation_dataset_records_order", "tenant", "dataset", "position"),
)

_PART = 500
_CONTENT = ("inputs", "outputs", "expectations", "tags", "source_data")


class Placed(NamedTuple):
    """A record and where it stands in its dataset."""

    position: int
    record: Record


def add(connection: Connection, tenant: str, dataset: Dataset, experiments: Sequence[int], total: int) -> None:
    connection.execute(insert(datasets).values(tenant=tenant, **_values(dataset), total=f"{total:064x}"))
    put_tags(connection, tenant, dataset.id, dataset.tags)
    link(connection, tenant, dataset.id, experiments)


def get(connection: Connection, tenant: str, id: str) -> Dataset:
    """Raises NotFound."""
    row = connection.execute(select(datasets).where(*_mine(datasets, tenant, id))).one_or_none()
    if row is None:
        raise NotFound(f"Evaluation dataset with id '{id[:100]}' not found. Search the datasets to see their ids.")
    return load(connection, tenant, [row])[0]


def load(connection: Connection, tenant: str, rows: Sequence[Any]) -> list[Dataset]:
    """The datasets of rows of their table, with their tags."""
    found: dict[str, dict[str, str]] = {}
    for part in _parts([row.id for row in rows]):
        for tag in connection.execute(select(tags).where(tags.c.tenant == tenant, tags.c.dataset.in_(part))):
            found.setdefault(tag.dataset, {})[tag.key] = tag.value
    return [
        Dataset(
            id=row.id,
            name=row.name,
            digest=row.digest,
            created_ms=row.created_ms,
            updated_ms=row.updated_ms,
            created_by=row.created_by,
            updated_by=row.updated_by,
            schema=row.schema,
            records=row.records,
            tags=found.get(row.id, {}),
        )
        for row in rows
    ]


def remove(connection: Connection, tenant: str, id: str) -> None:
    """Drop a dataset with all it holds; one that is not there is no error."""
    for table in (tags, links, records):
        connection.execute(delete(table).where(table.c.tenant == tenant, table.c.dataset == id))
    connection.execute(delete(datasets).where(*_mine(datasets, tenant, id)))


def change(connection: Connection, tenant: str, dataset: Dataset, total: int | None = None) -> None:
    values = {**_values(dataset), **({} if total is None else {"total": f"{total:064x}"})}
    connection.execute(update(datasets).where(*_mine(datasets, tenant, dataset.id)).values(values))


def total(connection: Connection, tenant: str, id: str) -> int:
    """The sum of the records' weights."""
    return int(connection.execute(select(datasets.c.total).where(*_mine(datasets, tenant, id))).scalar_one(), 16)


def put_tags(connection: Connection, tenant: str, id: str, given: Mapping[str, str]) -> None:
    rows = [{"tenant": tenant, "dataset": id, "key": key, "value": value} for key, value in given.items()]
    upsert(connection, tags, rows, ("tenant", "dataset", "key"), ("value",))


def remove_tag(connection: Connection, tenant: str, id: str, key: str) -> None:
    connection.execute(delete(tags).where(tags.c.tenant == tenant, tags.c.dataset == id, tags.c.key == key))


def link(connection: Connection, tenant: str, id: str, experiments: Sequence[int]) -> None:
    """Say that experiments use a dataset; those that do already stay where they are."""
    last = connection.execute(
        select(func.max(links.c.position)).where(links.c.tenant == tenant, links.c.dataset == id)
    ).scalar()
    rows = [
        {"tenant": tenant, "dataset": id, "experiment": number, "position": position}
        for position, number in enumerate(experiments, 0 if last is None else last + 1)
    ]
    upsert(connection, links, rows, ("tenant", "dataset", "experiment"))


def unlink(connection: Connection, tenant: str, id: str, experiments: Sequence[int]) -> bool:
    """Returns whether any of them used it."""
    gone = 0
    for part in _parts(experiments):
        mine = (links.c.tenant == tenant, links.c.dataset == id, links.c.experiment.in_(part))
        gone += connection.execute(delete(links).where(*mine)).rowcount
    return gone > 0


def experiments_of(connection: Connection, tenant: str, id: str) -> list[str]:
    """The ids of the experiments that use a dataset, in the order they were named; none when there is no such dataset."""
    query = select(links.c.experiment).where(links.c.tenant == tenant, links.c.dataset == id)
    return [str(number) for number in connection.execute(query.order_by(links.c.position)).scalars()]


def used_in(experiments: Sequence[int]) -> Any:
    """The condition that a dataset is used by one of ``experiments``."""
    return exists().where(
        links.c.tenant == datasets.c.tenant, links.c.dataset == datasets.c.id, links.c.experiment.in_(experiments)
    )


def by_inputs(connection: Connection, tenant: str, dataset: str, hashes: Sequence[str]) -> dict[str, Record]:
    """Records by the hash of their inputs."""
    found: dict[str, Record] = {}
    for part in _parts(hashes):
        mine = (records.c.tenant == tenant, records.c.dataset == dataset, records.c.input_hash.in_(part))
        found.update((row.input_hash, _record(row)) for row in connection.execute(select(records).where(*mine)))
    return found


def put(connection: Connection, tenant: str, given: Mapping[str, Record]) -> None:
    """Write records, by the hash of their inputs; those that are there already keep their place."""
    rows = [{"tenant": tenant, "input_hash": key, **_row(record)} for key, record in given.items()]
    changing = ("outputs", "expectations", "tags", "updated_ms", "updated_by")
    upsert(connection, records, rows, ("tenant", "dataset", "input_hash"), changing)


def page(connection: Connection, tenant: str, dataset: str, limit: int, after: int | None) -> list[Placed]:
    """Records in the order they came; ``after`` is the position to go on behind."""
    query = select(records).where(records.c.tenant == tenant, records.c.dataset == dataset)
    if after is not None:
        query = query.where(records.c.position > after)
    rows = connection.execute(query.order_by(records.c.position).limit(limit))
    return [Placed(row.position, _record(row)) for row in rows]


def drop(connection: Connection, tenant: str, dataset: str, ids: Sequence[str]) -> list[Record]:
    """Delete records; returns those that were there."""
    gone: list[Record] = []
    for part in _parts(ids):
        mine = (records.c.tenant == tenant, records.c.dataset == dataset, records.c.id.in_(part))
        gone += [_record(row) for row in connection.execute(select(records).where(*mine))]
        connection.execute(delete(records).where(*mine))
    return gone


def count(connection: Connection, tenant: str, dataset: str) -> int:
    mine = (records.c.tenant == tenant, records.c.dataset == dataset)
    return int(connection.execute(select(func.count()).select_from(records).where(*mine)).scalar_one())


def _mine(table: Table, tenant: str, id: str) -> tuple[Any, ...]:
    return table.c.tenant == tenant, table.c.id == id


def _values(dataset: Dataset) -> dict[str, Any]:
    return {
        "id": dataset.id,
        "name": dataset.name,
        "digest": dataset.digest,
        "records": dataset.records,
        "schema": dataset.schema,
        "created_ms": dataset.created_ms,
        "updated_ms": dataset.updated_ms,
        "created_by": dataset.created_by,
        "updated_by": dataset.updated_by,
    }


def _row(record: Record) -> dict[str, Any]:
    values: dict[str, Any] = {
        "dataset": record.dataset,
        "id": record.id,
        "source_type": record.source_type,
        "source_id": record.source_id,
        "created_ms": record.created_ms,
        "updated_ms": record.updated_ms,
        "created_by": record.created_by,
        "updated_by": record.updated_by,
    }
    for name in _CONTENT:
        content = getattr(record, name)
        values[name] = None if content is None else json.dumps(content)
    return values


def _record(row: Any) -> Record:
    contents: dict[str, Any] = {name: getattr(row, name) for name in _CONTENT}
    return Record(
        id=row.id,
        dataset=row.dataset,
        source_type=row.source_type,
        source_id=row.source_id,
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
        created_by=row.created_by,
        updated_by=row.updated_by,
        **{name: None if text is None else json.loads(text) for name, text in contents.items()},  # type: ignore[arg-type]
    )


def _parts(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """SQLite takes a bounded number of parameters a statement."""
    for start in range(0, len(items), _PART):
        yield items[start : start + _PART]
