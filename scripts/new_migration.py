"""Writes the next step of the schema from what the repositories say: ``python scripts/new_migration.py "Add colours"``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from twinloop.backends.migrate import FOLDER, all_tables, migrate


def main(message: str) -> None:
    all_tables()
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    steps = list(ScriptDirectory.from_config(config).walk_revisions())
    number = f"{len(steps) + 1:04d}"
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{Path(folder) / 'schema.db'}")
        if steps:
            migrate(engine)
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.revision(config, message, autogenerate=True, rev_id=number)
        engine.dispose()
    print(f"Written. Set HEAD in {FOLDER.name}/__init__.py to {number!r} and read the new step before you commit it.")


if __name__ == "__main__":
    main(sys.argv[1])
