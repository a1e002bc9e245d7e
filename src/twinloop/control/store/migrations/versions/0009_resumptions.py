"""When a run was last resumed by a journal, so that the end of an earlier program that arrives late does not end it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("resumed_ms", sa.BigInteger(), nullable=True))
