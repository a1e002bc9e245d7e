"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _registry()
    _evaluation()
    _tracking()
    _security()
    _metrics()
    _lineage()
    _features()
    _pipelines()
    _releases()
    _tracing()


def _registry() -> None:
    op.create_table(
        "alias_events",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("alias", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_alias_events"),
    )
    op.create_index("ix_alias_events_name", "alias_events", ["tenant", "kind", "name"], unique=False)
    op.create_table(
        "aliases",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("alias", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "kind", "name", "alias", name="pk_aliases"),
    )
    op.create_table(
        "revisions",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("parents", sa.Text(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=True),
        sa.Column("registered_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "kind", "name", "number", name="pk_revisions"),
    )
    op.create_index("ix_revisions_newest", "revisions", ["tenant", "created_ns"], unique=False)
    op.create_index("ix_revisions_run", "revisions", ["tenant", "run_id"], unique=False)
    op.create_index("uq_revisions_digest", "revisions", ["tenant", "digest"], unique=True)


def _evaluation() -> None:
    op.create_table(
        "evidence",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=71), nullable=False),
        sa.Column("dataset", sa.String(length=71), nullable=True),
        sa.Column("baseline", sa.String(length=71), nullable=True),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_evidence"),
    )
    op.create_index("ix_evidence_subject", "evidence", ["tenant", "subject", "created_ns"], unique=False)


def _tracking() -> None:
    op.create_table(
        "experiment_tags",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("experiment", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "experiment", "key", name="pk_experiment_tags"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "experiments",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("lifecycle", sa.String(length=10), nullable=False),
        sa.Column("artifact_location", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "number", name="pk_experiments"),
    )
    op.create_index("uq_experiments_name", "experiments", ["tenant", "name"], unique=True)
    op.create_table(
        "run_inputs",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("digest", sa.String(length=100), nullable=False),
        sa.Column("context", sa.Text(), nullable=True),
        sa.Column("source_type", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("schema", sa.Text(), nullable=True),
        sa.Column("profile", sa.Text(), nullable=True),
        sa.Column("tags", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "run", "name", "digest", name="pk_run_inputs"),
    )
    op.create_table(
        "run_params",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "run", "key", name="pk_run_params"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run_tags",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "run", "key", name="pk_run_tags"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "runs",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("experiment", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("lifecycle", sa.String(length=10), nullable=False),
        sa.Column("deleted_ms", sa.BigInteger(), nullable=True),
        sa.Column("artifact_uri", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_runs"),
    )
    op.create_index(
        "ix_runs_newest",
        "runs",
        ["tenant", "experiment", "lifecycle", sa.literal_column("started_ms DESC"), "id"],
        unique=False,
    )


def _security() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("role", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("revoked_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
    )
    op.create_index("uq_keys_hash", "keys", ["hash"], unique=True)


def _metrics() -> None:
    op.create_table(
        "latest_metrics",
        sa.Column("series", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("is_nan", sa.Boolean(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("model_id", sa.String(length=100), nullable=True),
        sa.Column("dataset_name", sa.Text(), nullable=True),
        sa.Column("dataset_digest", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint("series", name="pk_latest_metrics"),
    )
    op.create_index("uq_latest_metrics_run_key", "latest_metrics", ["tenant", "run", "key"], unique=True)
    op.create_table(
        "metrics",
        sa.Column("series", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("is_nan", sa.Boolean(), nullable=False),
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("model_id", sa.String(length=100), nullable=True),
        sa.Column("dataset_name", sa.Text(), nullable=True),
        sa.Column("dataset_digest", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint("series", "at_ms", "step", "value", "is_nan", name="pk_metrics"),
        sqlite_with_rowid=False,
    )


def _lineage() -> None:
    op.create_table(
        "lineage_edges",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("child", sa.String(length=100), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("parent", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=100), nullable=False),
        sa.Column("leaf", sa.Boolean(), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("via", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "child", "position", name="pk_lineage_edges"),
    )
    op.create_index("ix_lineage_edges_parent", "lineage_edges", ["tenant", "parent", "leaf", "at_ns"], unique=False)
    op.create_table(
        "lineage_nodes",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("version", sa.String(length=100), nullable=False),
        sa.Column("digest", sa.String(length=100), nullable=True),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "key", name="pk_lineage_nodes"),
    )


def _features() -> None:
    op.create_table(
        "online_values",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("generation", sa.String(length=32), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "generation", "batch", name="pk_online_values"),
    )
    op.create_table(
        "online_views",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("view", sa.String(length=71), nullable=False),
        sa.Column("generation", sa.String(length=32), nullable=False),
        sa.Column("dataset", sa.String(length=71), nullable=False),
        sa.Column("dataset_ref", sa.String(length=300), nullable=False),
        sa.Column("clock_us", sa.BigInteger(), nullable=True),
        sa.Column("entities", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "view", name="pk_online_views"),
    )


def _pipelines() -> None:
    op.create_table(
        "pipeline_runs",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("pipeline", sa.String(length=200), nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("params_digest", sa.String(length=71), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("started_ns", sa.BigInteger(), nullable=False),
        sa.Column("started_by", sa.String(length=200), nullable=False),
        sa.Column("finished_ns", sa.BigInteger(), nullable=True),
        sa.Column("resumes", sa.Integer(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("lease_until_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_pipeline_runs"),
    )
    op.create_index("ix_pipeline_runs_newest", "pipeline_runs", ["tenant", "started_ns"], unique=False)
    op.create_index(
        "ix_pipeline_runs_same", "pipeline_runs", ["tenant", "pipeline", "params_digest", "started_ns"], unique=False
    )
    op.create_table(
        "step_runs",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("node", sa.String(length=250), nullable=False),
        sa.Column("step", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("key", sa.String(length=71), nullable=True),
        sa.Column("code", sa.String(length=71), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("started_ns", sa.BigInteger(), nullable=True),
        sa.Column("finished_ns", sa.BigInteger(), nullable=True),
        sa.Column("output", sa.Text(), nullable=True),
        sa.Column("source", sa.String(length=64), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "run_id", "node", name="pk_step_runs"),
    )
    op.create_index("ix_step_runs_code", "step_runs", ["tenant", "code", "state", "finished_ns"], unique=False)
    op.create_index("ix_step_runs_key", "step_runs", ["tenant", "key", "state", "finished_ns"], unique=False)


def _releases() -> None:
    op.create_table(
        "release_events",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("endpoint", sa.String(length=200), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(length=20), nullable=False),
        sa.Column("release", sa.String(length=250), nullable=False),
        sa.Column("stage", sa.String(length=20), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("traffic", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_release_events"),
    )
    op.create_index("ix_release_events_endpoint", "release_events", ["tenant", "endpoint", "sequence"], unique=False)
    op.create_table(
        "traffic",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("endpoint", sa.String(length=200), nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("live", sa.Integer(), nullable=True),
        sa.Column("canary", sa.Integer(), nullable=True),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("shadow", sa.Integer(), nullable=True),
        sa.Column("previous", sa.Integer(), nullable=True),
        sa.Column("updated_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "endpoint", name="pk_traffic"),
    )


def _tracing() -> None:
    op.create_table(
        "spans",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("trace_id", sa.String(length=32), nullable=False),
        sa.Column("span_id", sa.String(length=16), nullable=False),
        sa.Column("parent_id", sa.String(length=16), nullable=True),
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("end_ns", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "trace_id", "span_id", name="pk_spans"),
    )
    op.create_table(
        "traces",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("trace_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("endpoint", sa.String(length=200), nullable=True),
        sa.Column("release", sa.String(length=250), nullable=True),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("end_ns", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("source", sa.String(length=20), nullable=False),
        sa.Column("principal", sa.String(length=200), nullable=False),
        sa.Column("span_count", sa.Integer(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "trace_id", name="pk_traces"),
    )
    op.create_index("ix_traces_endpoint", "traces", ["tenant", "endpoint", "start_ns"], unique=False)
    op.create_index("ix_traces_newest", "traces", ["tenant", "start_ns"], unique=False)
    op.create_index("ix_traces_release", "traces", ["tenant", "release", "start_ns"], unique=False)
