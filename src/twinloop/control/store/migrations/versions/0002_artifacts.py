"""Files of runs, models and traces."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _artifact_parts()
    _artifact_uploads()
    _artifacts()


def _artifact_parts() -> None:
    op.create_table(
        "artifact_parts",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("upload", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "upload", "number", name=op.f("pk_artifact_parts")),
    )


def _artifact_uploads() -> None:
    op.create_table(
        "artifact_uploads",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("path", sa.String(length=1024), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("part_size", sa.BigInteger(), nullable=True),
        sa.Column("begun_ms", sa.BigInteger(), nullable=False),
        sa.Column("touched_ms", sa.BigInteger(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_artifact_uploads")),
    )
    op.create_index("ix_artifact_uploads_token", "artifact_uploads", ["token_hash"], unique=True)
    op.create_index("ix_artifact_uploads_touched", "artifact_uploads", ["touched_ms"], unique=False)


def _artifacts() -> None:
    op.create_table(
        "artifacts",
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column(
            "folder",
            sa.String(length=1024).with_variant(sa.String(length=1024, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "name",
            sa.String(length=255).with_variant(sa.String(length=255, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("is_dir", sa.Boolean(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("flag", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "folder", "name", name=op.f("pk_artifacts")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_artifacts_digest", "artifacts", ["digest"], unique=False)
