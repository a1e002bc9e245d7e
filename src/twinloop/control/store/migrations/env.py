"""Alembic runs this file; the connection is given by ``twinloop.backends.migrate``."""

from typing import Any, Literal

from alembic import context

from twinloop.control.store.schema import Json, metadata


def _plain(kind: str, item: Any, autogen_context: Any) -> str | Literal[False]:
    """A step names database types only, so that it stays what it was when our own types change."""
    return "sa.Text()" if kind == "type" and isinstance(item, Json) else False


connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_item=_plain)
context.run_migrations()
