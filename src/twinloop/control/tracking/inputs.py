"""Queries on what runs read and made: datasets and logged models, with their edges in the lineage graph."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select

from twinloop.control.lineage import repository as lineage
from twinloop.control.lineage.model import Link, Node
from twinloop.control.store.sql import upsert
from twinloop.control.tracking.model import CONTEXT_TAG, PARENT_TAG, DatasetInput, DatasetSummary, model_node, run_node
from twinloop.control.tracking.tables import run_inputs, run_models, runs

_SUMMARIES = 1000
_DIGEST = re.compile(r"(?:sha256:)?(?P<hex>[0-9a-f]{8,64})\Z")


def put_inputs(
    connection: Connection, tenant: str, run_id: str, inputs: Sequence[DatasetInput], at_ns: int = 0
) -> None:
    """Add datasets the run read; one it has already, by name and digest, stays as it is."""
    rows = [
        {
            "tenant": tenant,
            "run": run_id,
            "name": item.name,
            "digest": item.digest,
            "context": item.tags.get(CONTEXT_TAG),
            "source_type": item.source_type,
            "source": item.source,
            "schema": item.schema,
            "profile": item.profile,
            "tags": item.tags,
        }
        for item in inputs
    ]
    upsert(connection, run_inputs, rows, ("tenant", "run", "name", "digest"))
    links = list(dict.fromkeys(_link(connection, tenant, item, at_ns) for item in inputs))
    lineage.add_links(connection, tenant, run_node(run_id), links, at_ns)


def put_models_read(connection: Connection, tenant: str, run_id: str, models: Sequence[str], at_ns: int) -> None:
    """Say which logged models the run read."""
    _put_models(connection, tenant, run_id, "input", [(model, 0) for model in models])
    links = [Link("model", model_node(model)) for model in models]
    lineage.add_links(connection, tenant, run_node(run_id), links, at_ns)


def put_models_made(
    connection: Connection, tenant: str, run_id: str, models: Sequence[tuple[str, int]], at_ns: int
) -> None:
    """Say which logged models the run made, each at a step of its training."""
    _put_models(connection, tenant, run_id, "output", models)
    for model, _ in models:
        lineage.add_links(connection, tenant, model_node(model), [Link("produced_by", run_node(run_id))], at_ns)


def parent_links(tags: Mapping[str, str]) -> list[Link]:
    """The edge of a nested run to the one it belongs to, which its tags name."""
    parent = tags.get(PARENT_TAG)
    return [Link("part_of", run_node(parent[:80]))] if parent else []


def nest(connection: Connection, tenant: str, run_id: str, tags: Mapping[str, str], at_ns: int) -> None:
    """Add the edge of a run that becomes a nested one."""
    links = parent_links(tags)
    if links:
        lineage.add_links(connection, tenant, run_node(run_id), links, at_ns)


def summaries(connection: Connection, tenant: str, experiments: Sequence[int]) -> list[DatasetSummary]:
    """The different datasets that runs of these experiments read, 1,000 at most."""
    query = (
        select(runs.c.experiment, run_inputs.c.name, run_inputs.c.digest, run_inputs.c.context)
        .distinct()
        .join(runs, (runs.c.tenant == run_inputs.c.tenant) & (runs.c.id == run_inputs.c.run))
        .where(run_inputs.c.tenant == tenant, runs.c.experiment.in_(experiments))
        .order_by(runs.c.experiment, run_inputs.c.name, run_inputs.c.digest, run_inputs.c.context)
        .limit(_SUMMARIES)
    )
    return [
        DatasetSummary(str(experiment), name, digest, context)
        for experiment, name, digest, context in connection.execute(query)
    ]


def _put_models(connection: Connection, tenant: str, run_id: str, role: str, models: Sequence[tuple[str, int]]) -> None:
    rows = [{"tenant": tenant, "run": run_id, "role": role, "model": model, "step": step} for model, step in models]
    upsert(connection, run_models, rows, ("tenant", "run", "role", "model", "step"))


def _link(connection: Connection, tenant: str, item: DatasetInput, at_ns: int) -> Link:
    """To the registered revision that the dataset is, or to a node that stands for data kept elsewhere."""
    role = (item.tags.get(CONTEXT_TAG) or "dataset")[:100]
    known = _revision(connection, tenant, item)
    if known is not None:
        return Link(role, known)
    identity = hashlib.sha256(f"{item.name}\0{item.digest}".encode()).hexdigest()[:40]
    about = {"source_type": item.source_type, "source": item.source[:500]}
    node = Node(f"dataset:{identity}", "dataset", item.name[:300], item.digest[:100], at_ns=at_ns, detail=about)
    lineage.add(connection, tenant, node, ())
    return Link(role, node.key)


def _revision(connection: Connection, tenant: str, item: DatasetInput) -> str | None:
    """The dataset revision of this name whose digest begins as the input's does."""
    found = _DIGEST.match(item.digest)
    if found is None:
        return None
    begin = f"sha256:{found['hex']}"
    nodes = lineage.nodes
    query = select(nodes.c.key).where(
        nodes.c.tenant == tenant,
        nodes.c.key >= begin,
        nodes.c.key < f"{begin}g",
        nodes.c.kind == "dataset",
        nodes.c.name == item.name,
    )
    key: str | None = connection.execute(query.limit(1)).scalar()
    return key
