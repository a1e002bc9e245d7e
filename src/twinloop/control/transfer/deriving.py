"""Lineage of runs that come from a system without any: made of what their rows say they read and made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from twinloop.control.lineage import repository as lineage
from twinloop.control.lineage.model import Link, Node
from twinloop.control.tracking import inputs
from twinloop.control.tracking.model import DatasetInput, model_node, run_node
from twinloop.control.transfer.model import Row

_MS = 1_000_000


def derive(connection: Connection, tenant: str, origin: str, taken: Mapping[str, Sequence[Row]]) -> None:
    """Add nodes and edges for rows that were just put; ``origin`` stands in the detail of every node."""
    runs = taken.get("runs", ())
    lineage.add_many(connection, tenant, [(_run(row, origin), ()) for row in runs])
    lineage.add_many(
        connection,
        tenant,
        [
            (_model(row, origin), [Link("produced_by", run_node(row["run"]))] if row["run"] else [])
            for row in taken.get("logged_models", ())
        ],
    )
    started = {row["id"]: row["started_ms"] * _MS for row in runs}
    for run, read in _by_run(taken.get("inputs", ())).items():
        inputs.put_inputs(connection, tenant, run, [_input(row) for row in read], started.get(run, 0))
    for run, models in _by_run(taken.get("run_models", ())).items():
        made = [(row["model"], row["step"]) for row in models if row["role"] == "output"]
        used = [row["model"] for row in models if row["role"] == "input"]
        inputs.put_models_made(connection, tenant, run, made, started.get(run, 0))
        if used:
            inputs.put_models_read(connection, tenant, run, used, started.get(run, 0))


def _run(row: Row, origin: str) -> Node:
    detail = {"experiment": str(row["experiment"]), "user": row["user"], "imported_from": origin}
    return Node(run_node(row["id"]), "run", row["name"][:300], row["id"], at_ns=row["started_ms"] * _MS, detail=detail)


def _model(row: Row, origin: str) -> Node:
    detail = {"experiment": str(row["experiment"]), "imported_from": origin}
    at_ns = row["created_ms"] * _MS
    return Node(model_node(row["id"]), "logged_model", row["name"][:300], row["id"][:100], at_ns=at_ns, detail=detail)


def _input(row: Row) -> DatasetInput:
    return DatasetInput(
        name=row["name"],
        digest=row["digest"],
        source_type=row["source_type"],
        source=row["source"],
        schema=row["schema"],
        profile=row["profile"],
        tags=row["tags"] or {},
    )


def _by_run(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["run"]].append(row)
    return found
