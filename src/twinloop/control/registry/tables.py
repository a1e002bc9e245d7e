"""Tables of the registry. Revisions never change; cards and notes hold what may, and events keep every change."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text, false, text

from twinloop.control.store.schema import Json, metadata, pairs

revisions = Table(
    "revisions",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("kind", String(100), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("digest", String(71), nullable=False),
    Column("manifest", Json, nullable=False),
    Column("parents", Json, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("run_id", String(64)),
    Column("registered_ns", BigInteger, nullable=False),
    Column("source", Text),
    Column("origin", Json),
    Index("uq_revisions_digest", "tenant", "digest", unique=True),
    Index("ix_revisions_newest", "tenant", "created_ns"),
    Index("ix_revisions_run", "tenant", "run_id"),
)

aliases = Table(
    "aliases",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("kind", String(100), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("alias", String(200), primary_key=True),
    Column("number", Integer, nullable=False),
)

# Read once more by the step that turns it into registry events, then dropped in the version after.
alias_events = Table(
    "alias_events",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("tenant", String(100), nullable=False),
    Column("kind", String(100), nullable=False),
    Column("name", String(200), nullable=False),
    Column("alias", String(200), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("by", String(200), nullable=False),
    Index("ix_alias_events_name", "tenant", "kind", "name"),
)

cards = Table(
    "cards",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("kind", String(100), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("shelf", String(100), nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text),
    Column("approvals", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Index(
        "uq_cards_title",
        "tenant",
        "shelf",
        "title",
        unique=True,
        sqlite_where=text(
            "deleted = 0"
        ),  # what PostgreSQL is told stands in the step: naming it here loads its dialect
    ),
)

ON_SHELF = cards.c.deleted == false()
"""Written as the index of titles has it, so that it is used."""

card_tags = pairs(
    "card_tags", Column("kind", String(100), primary_key=True), Column("name", String(200), primary_key=True)
)

notes = Table(
    "notes",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("kind", String(100), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("description", Text),
    Column("stage", String(20), nullable=False),
    Column("status", String(20), nullable=False),
    Column("deleted", Boolean, nullable=False, server_default=false()),
    Column("updated_ms", BigInteger, nullable=False),
    Index("ix_notes_updated", "tenant", "kind", "updated_ms"),
    Index("ix_notes_stage", "tenant", "kind", "name", "stage", "deleted", "number"),
)

revision_tags = pairs(
    "revision_tags",
    Column("kind", String(100), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("number", Integer, primary_key=True),
)

registry_events = Table(
    "registry_events",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("tenant", String(100), nullable=False),
    Column("kind", String(100), nullable=False),
    Column("name", String(200), nullable=False),
    Column("title", Text, nullable=False),
    Column("number", Integer),
    Column("at_ns", BigInteger, nullable=False),
    Column("by", String(200), nullable=False),
    Column("action", String(40), nullable=False),
    Column("detail", Json, nullable=False),
    Index("ix_registry_events_card", "tenant", "kind", "name", "sequence"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("kind", String(100), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("by", String(200), primary_key=True),
    Column("approved", Boolean, nullable=False),
    Column("comment", Text, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
)
