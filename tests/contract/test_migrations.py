"""The steps of the schema lead to the tables that the repositories ask for."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from twinloop.backends.migrate import FOLDER, all_tables, migrate, version
from twinloop.backends.sqlite import open_store
from twinloop.control.store.migrations import HEAD
from twinloop.core.errors import StorageUnreadable


def test_a_migrated_database_has_exactly_the_tables_of_the_repositories(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    migrate(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), all_tables()) == []
    engine.dispose()


def test_the_newest_step_is_the_one_the_store_looks_for(tmp_path: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    migrate(engine)
    migrate(engine)
    with engine.connect() as connection:
        assert version(connection) == HEAD
    engine.dispose()


def test_a_database_of_a_newer_twinloop_is_left_alone(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageUnreadable, match="newer"):
        migrate(engine)
    engine.dispose()


def test_every_table_keeps_tenants_apart() -> None:
    without = [name for name, table in all_tables().tables.items() if "tenant" not in table.columns]
    assert without == []


def test_a_step_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE traffic (n INTEGER)")
    with pytest.raises(Exception, match="traffic"):
        open_store(path)
    with sqlite3.connect(path) as database:
        assert [name for (name,) in database.execute("SELECT name FROM sqlite_master")] == ["traffic"]
        database.execute("DROP TABLE traffic")
    engine = create_engine(f"sqlite:///{path}")
    open_store(path)
    with engine.connect() as connection:
        assert version(connection) == HEAD
    engine.dispose()
