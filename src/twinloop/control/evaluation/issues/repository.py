"""Tables and queries of issues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    String,
    Table,
    Text,
    case,
    func,
    insert,
    select,
    update,
)

from twinloop.control.evaluation.issues.model import SEVERITIES, Issue, Wish
from twinloop.control.search.comparing import compare
from twinloop.control.search.reader import Clause
from twinloop.control.store.schema import Json, metadata
from twinloop.control.tracing.tables import assessments
from twinloop.core.errors import NotFound

issues = Table(
    "issues",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("tenant", String(100), nullable=False),
    Column("id", String(40), nullable=False),
    Column("experiment", BigInteger, nullable=False),
    Column("name", String(250), nullable=False),
    Column("description", Text, nullable=False),
    Column("status", String(20), nullable=False),
    Column("severity", String(20)),
    Column("root_causes", Json, nullable=False),
    Column("categories", Json, nullable=False),
    Column("run", String(64)),
    Column("created_by", Text),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Index("uq_issues_id", "tenant", "id", unique=True),
    Index("ix_issues_experiment", "tenant", "experiment"),
)

_FIELDS = {"status": issues.c.status, "source_run_id": issues.c.run}
_RANK = case({severity: rank for rank, severity in enumerate(SEVERITIES)}, value=issues.c.severity, else_=-1)


def add(connection: Connection, tenant: str, issue: Issue) -> None:
    connection.execute(insert(issues).values(tenant=tenant, **_values(issue)))


def get(connection: Connection, tenant: str, id: str) -> Issue:
    """Raises NotFound."""
    row = connection.execute(select(issues).where(issues.c.tenant == tenant, issues.c.id == id)).one_or_none()
    if row is None:
        raise NotFound(f"Issue with ID '{id[:100]}' not found. Search the issues to see their ids.")
    return _issue(row)


def replace(connection: Connection, tenant: str, issue: Issue) -> None:
    connection.execute(
        update(issues).where(issues.c.tenant == tenant, issues.c.id == issue.id).values(**_values(issue))
    )


def search(
    connection: Connection, tenant: str, wish: Wish, experiment: int | None, clauses: Sequence[Clause]
) -> list[Issue]:
    """The most severe first, then those with the most traces where they are counted, then the newest."""
    touched = (
        select(func.count(assessments.c.trace_id.distinct()))
        .where(assessments.c.tenant == tenant, assessments.c.kind == "issue", assessments.c.name == issues.c.id)
        .scalar_subquery()
    )
    query = select(issues).where(issues.c.tenant == tenant)
    if experiment is not None:
        query = query.where(issues.c.experiment == experiment)
    for clause in clauses:
        query = query.where(compare(_FIELDS[clause.key], clause.comparator, clause.value, connection.dialect.name))
    query = query.order_by(_RANK.desc())
    if wish.count_traces:
        query = query.add_columns(touched.label("traces")).order_by(touched.desc())
    rows = connection.execute(query.order_by(issues.c.position.desc()).offset(wish.offset).limit(wish.limit + 1))
    return [_issue(row, row.traces if wish.count_traces else None) for row in rows]


def _values(issue: Issue) -> dict[str, Any]:
    return {
        "id": issue.id,
        "experiment": int(issue.experiment_id),
        "name": issue.name,
        "description": issue.description,
        "status": issue.status,
        "severity": issue.severity,
        "root_causes": list(issue.root_causes),
        "categories": list(issue.categories),
        "run": issue.source_run_id,
        "created_by": issue.created_by,
        "created_ms": issue.created_ms,
        "updated_ms": issue.updated_ms,
    }


def _issue(row: Any, traces: int | None = None) -> Issue:
    return Issue(
        id=row.id,
        experiment_id=str(row.experiment),
        name=row.name,
        description=row.description,
        status=row.status,
        severity=row.severity,
        root_causes=tuple(row.root_causes),
        categories=tuple(row.categories),
        source_run_id=row.run,
        created_by=row.created_by,
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
        traces=traces,
    )
