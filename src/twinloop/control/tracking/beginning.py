"""How a run and a logged model come to be, inside a transaction of whoever asks for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from twinloop.control.lineage import repository as lineage
from twinloop.control.lineage.model import Link, Node
from twinloop.control.security.model import Principal
from twinloop.control.tracking import model_rows, repository
from twinloop.control.tracking.experiment_rows import Place
from twinloop.control.tracking.inputs import parent_links
from twinloop.control.tracking.locations import below
from twinloop.control.tracking.model import LoggedModel, Run, describe, run_node

_NS = 1_000_000


def begin_run(
    connection: Connection,
    who: Principal,
    place: Place,
    run_id: str,
    *,
    name: str,
    user: str | None,
    started_ms: int,
    tags: dict[str, str],
    links: Sequence[Link] = (),
) -> Run:
    """A run under way, with its node in the lineage; ``links`` are edges besides the one to a parent in the tags."""
    run = Run(
        id=run_id,
        experiment_id=str(place.number),
        name=name,
        user=who.name if user is None else user,
        status="RUNNING",
        started_ms=started_ms,
        ended_ms=None,
        lifecycle="active",
        artifact_uri=below(place.artifact_location, run_id, "artifacts"),
        tags=tags,
    )
    repository.add_run(connection, who.tenant, run)
    node = Node(run.node, "run", name[:300], run_id, at_ns=started_ms * _NS, detail=describe(run))
    lineage.add(connection, who.tenant, node, [*parent_links(tags), *links])
    return run


def begin_model(
    connection: Connection,
    tenant: str,
    place: Place,
    id: str,
    *,
    name: str,
    type: str | None,
    run_id: str | None,
    at_ns: int,
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> LoggedModel:
    """A logged model, PENDING, with its node in the lineage and an edge to the run it came out of."""
    made = LoggedModel(
        id=id,
        experiment_id=str(place.number),
        name=name,
        type=type,
        run_id=run_id,
        status="PENDING",
        status_message=None,
        artifact_uri=below(place.artifact_location, "models", id, "artifacts"),
        lifecycle="active",
        created_ms=at_ns // _NS,
        updated_ms=at_ns // _NS,
        params=dict(params),
        tags=dict(tags),
    )
    model_rows.add(connection, tenant, made)
    node = Node(made.node, "logged_model", name[:300], id, at_ns=at_ns, detail={"experiment": made.experiment_id})
    lineage.add(connection, tenant, node, [Link("produced_by", run_node(run_id))] if run_id else ())
    return made
