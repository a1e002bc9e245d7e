"""Evaluation datasets, scorers."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _evaluation_dataset_experiments()
    _evaluation_dataset_records()
    _evaluation_dataset_tags()
    _evaluation_datasets()
    _issues()
    _label_schemas()
    _scorer_schedules()
    _scorer_versions()
    _scorers()


def _evaluation_dataset_experiments() -> None:
    op.create_table(
        "evaluation_dataset_experiments",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("dataset", sa.String(length=40), nullable=False),
        sa.Column("experiment", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "dataset", "experiment", name=op.f("pk_evaluation_dataset_experiments")),
    )
    op.create_index(
        "ix_evaluation_dataset_experiments_experiment",
        "evaluation_dataset_experiments",
        ["tenant", "experiment"],
        unique=False,
    )


def _evaluation_dataset_records() -> None:
    op.create_table(
        "evaluation_dataset_records",
        sa.Column("position", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("dataset", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("input_hash", sa.String(length=64), nullable=False),
        sa.Column("inputs", sa.Text(), nullable=False),
        sa.Column("outputs", sa.Text(), nullable=True),
        sa.Column("expectations", sa.Text(), nullable=True),
        sa.Column("tags", sa.Text(), nullable=True),
        sa.Column("source_type", sa.String(length=40), nullable=True),
        sa.Column("source_data", sa.Text(), nullable=True),
        sa.Column("source_id", sa.Text(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("updated_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_evaluation_dataset_records")),
    )
    op.create_index(
        "ix_evaluation_dataset_records_order",
        "evaluation_dataset_records",
        ["tenant", "dataset", "position"],
        unique=False,
    )
    op.create_index("uq_evaluation_dataset_records_id", "evaluation_dataset_records", ["tenant", "id"], unique=True)
    op.create_index(
        "uq_evaluation_dataset_records_inputs",
        "evaluation_dataset_records",
        ["tenant", "dataset", "input_hash"],
        unique=True,
    )


def _evaluation_dataset_tags() -> None:
    op.create_table(
        "evaluation_dataset_tags",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("dataset", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "dataset", "key", name=op.f("pk_evaluation_dataset_tags")),
    )


def _evaluation_datasets() -> None:
    op.create_table(
        "evaluation_datasets",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("total", sa.String(length=64), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("schema", sa.Text(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("updated_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_evaluation_datasets")),
    )
    op.create_index("ix_evaluation_datasets_name", "evaluation_datasets", ["tenant", "name"], unique=False)
    op.create_index("ix_evaluation_datasets_newest", "evaluation_datasets", ["tenant", "created_ms"], unique=False)


def _issues() -> None:
    op.create_table(
        "issues",
        sa.Column("position", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("experiment", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("severity", sa.String(length=20), nullable=True),
        sa.Column("root_causes", sa.Text(), nullable=False),
        sa.Column("categories", sa.Text(), nullable=False),
        sa.Column("run", sa.String(length=64), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_issues")),
    )
    op.create_index("ix_issues_experiment", "issues", ["tenant", "experiment"], unique=False)
    op.create_index("uq_issues_id", "issues", ["tenant", "id"], unique=True)


def _label_schemas() -> None:
    op.create_table(
        "label_schemas",
        sa.Column("position", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("experiment", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("input", sa.Text(), nullable=False),
        sa.Column("instruction", sa.Text(), nullable=True),
        sa.Column("enable_comment", sa.Boolean(), nullable=False),
        sa.Column("default", sa.Boolean(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_label_schemas")),
    )
    op.create_index("uq_label_schemas_id", "label_schemas", ["tenant", "id"], unique=True)
    op.create_index("uq_label_schemas_name", "label_schemas", ["tenant", "experiment", "name"], unique=True)


def _scorer_schedules() -> None:
    op.create_table(
        "scorer_schedules",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("scorer", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("sample_rate", sa.Float(), nullable=False),
        sa.Column("filter", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "scorer", name=op.f("pk_scorer_schedules")),
    )


def _scorer_versions() -> None:
    op.create_table(
        "scorer_versions",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("scorer", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "scorer", "version", name=op.f("pk_scorer_versions")),
    )


def _scorers() -> None:
    op.create_table(
        "scorers",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("experiment", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_scorers")),
    )
    op.create_index("uq_scorers_name", "scorers", ["tenant", "experiment", "name"], unique=True)
