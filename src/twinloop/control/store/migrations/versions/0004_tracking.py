"""Logged models, outputs and replays."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _logged_model_metrics()
    _logged_model_params()
    _logged_model_tags()
    _logged_models()
    _replay_rejections()
    _replays()
    _run_models()
    _latest_metrics()


def _logged_model_metrics() -> None:
    op.create_table(
        "logged_model_metrics",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("is_nan", sa.Boolean(), nullable=False),
        sa.Column("dataset_name", sa.Text(), nullable=True),
        sa.Column("dataset_digest", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint(
            "tenant", "model", "key", "at_ms", "step", "run", "value", "is_nan", name=op.f("pk_logged_model_metrics")
        ),
        sqlite_with_rowid=False,
    )


def _logged_model_params() -> None:
    op.create_table(
        "logged_model_params",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "model", "key", name=op.f("pk_logged_model_params")),
        sqlite_with_rowid=False,
    )


def _logged_model_tags() -> None:
    op.create_table(
        "logged_model_tags",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "model", "key", name=op.f("pk_logged_model_tags")),
        sqlite_with_rowid=False,
    )


def _logged_models() -> None:
    op.create_table(
        "logged_models",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("experiment", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("run", sa.String(length=100), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("status_message", sa.Text(), nullable=True),
        sa.Column("artifact_uri", sa.Text(), nullable=False),
        sa.Column("lifecycle", sa.String(length=10), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_logged_models")),
    )
    op.create_index(
        "ix_logged_models_newest",
        "logged_models",
        ["tenant", "experiment", "lifecycle", sa.literal_column("created_ms DESC"), "id"],
        unique=False,
    )


def _replay_rejections() -> None:
    op.create_table(
        "replay_rejections",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("spool", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("run", sa.String(length=64), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "spool", "sequence", name=op.f("pk_replay_rejections")),
    )


def _replays() -> None:
    op.create_table(
        "replays",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("spool", sa.String(length=64), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "spool", name=op.f("pk_replays")),
    )


def _run_models() -> None:
    op.create_table(
        "run_models",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "run", "role", "model", "step", name=op.f("pk_run_models")),
        sqlite_with_rowid=False,
    )


def _latest_metrics() -> None:
    op.add_column("latest_metrics", sa.Column("experiment", sa.BigInteger(), server_default="-1", nullable=False))
    op.create_index(
        "ix_latest_metrics_value", "latest_metrics", ["tenant", "experiment", "key", "is_nan", "value"], unique=False
    )
