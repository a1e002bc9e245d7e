"""Tags, metadata, assessments and search columns of traces."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _assessments()
    _trace_metadata()
    _trace_prompts()
    _trace_runs()
    _trace_tags()
    _spans()
    _traces()


def _assessments() -> None:
    op.create_table(
        "assessments",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("trace_id", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("number", sa.Float(), nullable=True),
        sa.Column("numeric", sa.Boolean(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("source_type", sa.String(length=50), nullable=False),
        sa.Column("source_id", sa.String(length=250), nullable=True),
        sa.Column("run", sa.String(length=100), nullable=True),
        sa.Column("span_id", sa.String(length=50), nullable=True),
        sa.Column("rationale", sa.Text(), nullable=True),
        sa.Column("overrides", sa.String(length=100), nullable=True),
        sa.Column("valid", sa.Boolean(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_assessments")),
    )
    op.create_index(
        "ix_assessments_named", "assessments", ["tenant", "kind", "name", "valid", "trace_id"], unique=False
    )
    op.create_index("ix_assessments_trace", "assessments", ["tenant", "trace_id", "created_ms"], unique=False)


def _trace_metadata() -> None:
    op.create_table(
        "trace_metadata",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("trace_id", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "trace_id", "key", name=op.f("pk_trace_metadata")),
    )


def _trace_prompts() -> None:
    op.create_table(
        "trace_prompts",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("prompt", sa.String(length=300), nullable=False),
        sa.Column("trace_id", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "prompt", "trace_id", name=op.f("pk_trace_prompts")),
    )


def _trace_runs() -> None:
    op.create_table(
        "trace_runs",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("run", sa.String(length=100), nullable=False),
        sa.Column("trace_id", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "run", "trace_id", name=op.f("pk_trace_runs")),
    )


def _trace_tags() -> None:
    op.create_table(
        "trace_tags",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("trace_id", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "trace_id", "key", name=op.f("pk_trace_tags")),
    )


def _spans() -> None:
    op.add_column("spans", sa.Column("type", sa.String(length=500), nullable=True))
    op.add_column("spans", sa.Column("model", sa.String(length=500), nullable=True))
    op.add_column("spans", sa.Column("provider", sa.String(length=500), nullable=True))
    op.add_column("spans", sa.Column("input_cost", sa.Float(), nullable=True))
    op.add_column("spans", sa.Column("output_cost", sa.Float(), nullable=True))
    op.add_column("spans", sa.Column("total_cost", sa.Float(), nullable=True))
    op.create_index(
        "ix_spans_named", "spans", ["tenant", "name", "start_ns", "trace_id", "type", "status"], unique=False
    )


def _traces() -> None:
    op.add_column("traces", sa.Column("experiment", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("traces", sa.Column("title", sa.Text(), nullable=True))
    op.add_column("traces", sa.Column("told", sa.Boolean(), server_default=sa.text("(false)"), nullable=False))
    op.add_column("traces", sa.Column("duration_ms", sa.BigInteger(), nullable=True))
    op.add_column("traces", sa.Column("client_request_id", sa.Text(), nullable=True))
    op.add_column("traces", sa.Column("request_preview", sa.Text(), nullable=True))
    op.add_column("traces", sa.Column("response_preview", sa.Text(), nullable=True))
    op.add_column("traces", sa.Column("session", sa.String(length=250), nullable=True))
    op.add_column("traces", sa.Column("input_tokens", sa.BigInteger(), nullable=True))
    op.add_column("traces", sa.Column("output_tokens", sa.BigInteger(), nullable=True))
    op.add_column("traces", sa.Column("total_tokens", sa.BigInteger(), nullable=True))
    op.add_column("traces", sa.Column("cache_read_tokens", sa.BigInteger(), nullable=True))
    op.add_column("traces", sa.Column("cache_write_tokens", sa.BigInteger(), nullable=True))
    op.add_column("traces", sa.Column("cache_write_1h_tokens", sa.BigInteger(), nullable=True))
    op.add_column("traces", sa.Column("input_cost", sa.Float(), nullable=True))
    op.add_column("traces", sa.Column("output_cost", sa.Float(), nullable=True))
    op.add_column("traces", sa.Column("total_cost", sa.Float(), nullable=True))
    op.create_index("ix_traces_experiment", "traces", ["tenant", "experiment", "start_ns"], unique=False)
    op.create_index("ix_traces_session", "traces", ["tenant", "session"], unique=False)
