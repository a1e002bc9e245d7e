"""What an older home knows, in the new tables."""

import sqlalchemy as sa
from alembic import op

from twinloop.control.store.migrations.registry_filling import fill_registry

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_PLACE = """
    UPDATE latest_metrics SET experiment = (
        SELECT runs.experiment FROM runs WHERE runs.tenant = latest_metrics.tenant AND runs.id = latest_metrics.run
    )
"""


def upgrade() -> None:
    connection = op.get_bind()
    fill_registry(connection)
    connection.execute(sa.text(_PLACE))
