"""Brings a database to the current schema."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from sqlalchemy import create_engine

from twinloop.control.store.schema import metadata


def load_tables() -> None:
    """Import every repository, so that ``metadata`` holds every table."""
    for layer in ("control", "ml", "llm"):
        package = importlib.import_module(f"twinloop.{layer}")
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if found.name.endswith(".repository"):
                importlib.import_module(found.name)


def migrate_sqlite(path: Path) -> None:
    load_tables()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        metadata.create_all(connection)
    engine.dispose()
