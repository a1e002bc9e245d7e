"""The history of the schema, one step a file. Steps add first and remove a version later, so writers never stop."""

HEAD = "0009"
"""The newest step. A database that names it needs no migration, so that a start does not import Alembic."""
