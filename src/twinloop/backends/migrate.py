"""Brings a database to the current schema, in one transaction, before anything else uses it."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from sqlalchemy import Connection, Engine, MetaData, inspect, text

from twinloop.control.store import migrations
from twinloop.control.store.schema import metadata
from twinloop.core.errors import StorageUnreadable

FOLDER = Path(migrations.__file__).parent


def migrate(engine: Engine) -> None:
    """Run the steps that the database has not seen.

    Raises:
        StorageUnreadable: the database was made by a newer Twinloop.
    """
    with engine.begin() as connection:
        there = version(connection)
        if there == migrations.HEAD:
            return
        _upgrade(connection, there)


def version(connection: Connection) -> str | None:
    """The newest step the database has seen; None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def all_tables() -> MetaData:
    """The metadata with the tables of every repository, and of the backends that keep theirs in the relational store."""
    importlib.import_module("twinloop.backends.memory")
    for layer in ("control", "ml", "llm"):
        package = importlib.import_module(f"twinloop.{layer}")
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if found.name.endswith(".repository"):
                importlib.import_module(found.name)
    return metadata


def _upgrade(connection: Connection, there: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    known = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
    if there is not None and there not in known:
        raise StorageUnreadable(
            f"The database has the schema {there}, which this Twinloop does not know. Use the newer Twinloop that made it."
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
