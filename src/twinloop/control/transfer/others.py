"""What is carried of lineage, traces, evidence, pipelines, releases and artifacts; and what is not carried at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, or_, select, tuple_

from twinloop.control.artifacts import repository as artifact_rows
from twinloop.control.artifacts.model import Artifact
from twinloop.control.artifacts.paths import check_path, join
from twinloop.control.artifacts.repository import artifacts
from twinloop.control.evaluation.datasets import repository as datasets
from twinloop.control.evaluation.issues import repository as issues
from twinloop.control.evaluation.labels import repository as labels
from twinloop.control.evaluation.repository import evidence
from twinloop.control.evaluation.scorers import repository as scorers
from twinloop.control.lineage.repository import edges, nodes
from twinloop.control.pipelines.repository import pipeline_runs, step_runs
from twinloop.control.releases.repository import release_events, traffic
from twinloop.control.tracing import tables as tracing
from twinloop.control.transfer.histories import history
from twinloop.control.transfer.model import Row, Scope
from twinloop.control.transfer.shape import Need, Shape
from twinloop.core.digests import Digest, parse_digest
from twinloop.core.errors import Conflict, InvalidInput
from twinloop.core.ids import check_name

LEFT_OUT = {
    "keys": "keys let callers into one installation; make new ones",
    "webhooks": "webhooks have secrets and tell one installation's news; make them again",
    "webhook_deliveries": "they belong to webhooks",
    "webhook_cursors": "they belong to webhooks",
    "artifact_uploads": "uploads under way are no artifacts yet",
    "artifact_parts": "uploads under way are no artifacts yet",
    "replays": "journals belong to the clients of one installation",
    "replay_rejections": "journals belong to the clients of one installation",
    "alias_events": "they are among the events of the registry",
    "latest_metrics": "last points are found among the points",
    "online_views": "online values are made again from their datasets: materialize the views",
    "online_values": "online values are made again from their datasets: materialize the views",
}
"""Tables that are not carried, and why."""


def _nothing(row: Row) -> None:
    pass


def _artifact(row: Row) -> None:
    """Folders come with the files below them, so they are not carried."""
    check_path(join(row["folder"], row["name"]))
    if "/" in row["name"]:
        raise InvalidInput("The name of an artifact holds no slash.")
    parse_digest(row["digest"])
    if row["size"] < 0:
        raise InvalidInput("The size of an artifact is 0 or more.")


def _traffic(row: Row) -> None:
    check_name(row["endpoint"], "endpoint")
    if not 0 <= row["weight"] <= 1:
        raise InvalidInput("The weight of a canary is from 0 to 1.")


def _read_artifacts(
    connection: Connection, tenant: str, scopes: Sequence[Scope] | None, after: Sequence[Any] | None, limit: int
) -> list[Row]:
    """Files alone, by folder and name; those of a scope are the ones at any depth below it."""
    place = (artifacts.c.folder, artifacts.c.name)
    query = select(*(artifacts.c[name] for name in ARTIFACTS.columns))
    query = query.where(artifacts.c.tenant == tenant, artifacts.c.is_dir.is_(False))
    if scopes is not None:
        query = query.where(or_(*(_below(str(scope[0])) for scope in scopes)))
    if after is not None:
        query = query.where(tuple_(*place) > tuple_(*after))
    return [dict(row._mapping) for row in connection.execute(query.order_by(*place).limit(limit))]


def _below(folder: str) -> Any:
    # "0" is the character after "/": all that lies deeper is between them.
    return or_(artifacts.c.folder == folder, and_(artifacts.c.folder > f"{folder}/", artifacts.c.folder < f"{folder}0"))


def _write_artifacts(connection: Connection, tenant: str, rows: Sequence[Row]) -> int:
    added = 0
    for row in rows:
        path = join(row["folder"], row["name"])
        if artifact_rows.get(connection, tenant, path) is None:
            made = Artifact(path, row["size"], Digest(row["digest"]), False, row["at_ms"], row["flag"])
            artifact_rows.put(connection, tenant, made)
            added += 1
    return added


def _admit_artifacts(connection: Connection, tenant: str, rows: Sequence[Row]) -> list[str | None]:
    return [_in_the_way(connection, tenant, join(row["folder"], row["name"])) for row in rows]


def _in_the_way(connection: Connection, tenant: str, path: str) -> str | None:
    try:
        artifact_rows.check_free(connection, tenant, path)
    except Conflict as error:
        return error.message
    return None


_TRACE = ("trace_id",)
_LEASE = {"token": "", "lease_until_ns": 0}
"""Who executes a pipeline is a matter of one installation; what comes in is held by nobody."""

ARTIFACTS = Shape(
    "artifacts", artifacts, ("folder", "name"), ("folder",), hidden=frozenset({"is_dir"}), check=_artifact,
    admit=_admit_artifacts, reader=_read_artifacts, writer=_write_artifacts,
)  # fmt: skip

_OF_TRACE = (Need(_TRACE, "traces", _TRACE),)
_IN_EXPERIMENT = Need(("experiment",), "experiments", ("number",))
_OF_DATASET = Need(("dataset",), "evaluation_datasets", ("id",))
_OF_SCORER = (Need(("scorer",), "scorers", ("id",)),)

SHAPES = (
    Shape("lineage_nodes", nodes, ("key",), ("key",)),
    Shape("lineage_edges", edges, ("child", "position"), ("child",), lookups=(("parent",),)),
    Shape("traces", tracing.traces, _TRACE, _TRACE, (_IN_EXPERIMENT,), (("experiment",),)),
    Shape("spans", tracing.spans, ("trace_id", "span_id"), _TRACE, _OF_TRACE),
    Shape("trace_tags", tracing.trace_tags, ("trace_id", "key"), _TRACE, _OF_TRACE),
    Shape("trace_metadata", tracing.trace_metadata, ("trace_id", "key"), _TRACE, _OF_TRACE),
    Shape("trace_runs", tracing.trace_runs, ("trace_id", "run"), _TRACE, _OF_TRACE),
    Shape("trace_prompts", tracing.trace_prompts, ("trace_id", "prompt"), _TRACE, _OF_TRACE),
    Shape("assessments", tracing.assessments, ("id",), _TRACE, _OF_TRACE),
    Shape("evidence", evidence, ("id",), ("subject",)),
    Shape("evaluation_datasets", datasets.datasets, ("id",), ("id",)),
    Shape("evaluation_dataset_tags", datasets.tags, ("dataset", "key"), ("dataset",), (_OF_DATASET,)),
    Shape(
        "evaluation_dataset_experiments", datasets.links, ("dataset", "experiment"), ("dataset",),
        (_OF_DATASET, _IN_EXPERIMENT),
    ),
    history("evaluation_dataset_records", datasets.records, ("dataset",), _nothing, "position", (_OF_DATASET,)),
    history("issues", issues.issues, ("experiment",), _nothing, "position", (_IN_EXPERIMENT,)),
    history("label_schemas", labels.schemas, ("experiment",), _nothing, "position", (_IN_EXPERIMENT,)),
    Shape("scorers", scorers.scorers, ("id",), ("id",), (_IN_EXPERIMENT,)),
    Shape("scorer_versions", scorers.versions, ("scorer", "version"), ("scorer",), _OF_SCORER),
    Shape("scorer_schedules", scorers.schedules, ("scorer",), ("scorer",), _OF_SCORER),
    Shape("pipeline_runs", pipeline_runs, ("id",), ("id",), hidden=frozenset(_LEASE), fixed=_LEASE),
    Shape("step_runs", step_runs, ("run_id", "node"), ("run_id",), (Need(("run_id",), "pipeline_runs", ("id",)),)),
    Shape("traffic", traffic, ("endpoint",), ("endpoint",), check=_traffic),
    history("release_events", release_events, ("endpoint",), _nothing),
    ARTIFACTS,
)  # fmt: skip
