"""Gives revisions that were registered before there were cards their card, their note and their part of the history.

Plain SQL that SQLite and PostgreSQL both read: a step of the schema must mean the same whatever the code becomes.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

# Models and prompts share a shelf, so a prompt that has a model's name is called "name (prompt)". No name holds a space.
_CARDS = """
INSERT INTO cards (tenant, kind, name, shelf, title, description, approvals, created_ms, created_by, updated_ms, deleted)
SELECT r.tenant, r.kind, r.name,
       CASE r.kind WHEN 'prompt' THEN 'model' ELSE r.kind END,
       CASE WHEN r.kind = 'prompt' AND EXISTS (
                SELECT 1 FROM revisions m WHERE m.tenant = r.tenant AND m.kind = 'model' AND m.name = r.name)
            THEN r.name || ' (prompt)' ELSE r.name END,
       NULL, 0, r.created_ns / 1000000, r.created_by,
       (SELECT max(l.registered_ns) FROM revisions l
         WHERE l.tenant = r.tenant AND l.kind = r.kind AND l.name = r.name) / 1000000,
       FALSE
  FROM revisions r
 WHERE r.number = 1
   AND NOT EXISTS (SELECT 1 FROM cards c WHERE c.tenant = r.tenant AND c.kind = r.kind AND c.name = r.name)
"""

_NOTES = """
INSERT INTO notes (tenant, kind, name, number, description, stage, status, deleted, updated_ms)
SELECT r.tenant, r.kind, r.name, r.number, NULL, 'None', 'READY', FALSE, r.created_ns / 1000000
  FROM revisions r
 WHERE NOT EXISTS (
       SELECT 1 FROM notes n
        WHERE n.tenant = r.tenant AND n.kind = r.kind AND n.name = r.name AND n.number = r.number)
"""

# What is written into JSON here are digests and aliases, which hold no character that JSON would escape.
_EVENTS = """
INSERT INTO registry_events (tenant, kind, name, title, number, at_ns, "by", action, detail)
SELECT h.tenant, h.kind, h.name, c.title, h.number, h.at_ns, h."by", h.action, h.detail
  FROM (
       SELECT tenant, kind, name, NULL AS number, created_ns AS at_ns, created_by AS "by",
              'card.created' AS action, '{}' AS detail, 0 AS place
         FROM revisions WHERE number = 1
       UNION ALL
       SELECT tenant, kind, name, number, created_ns, created_by,
              'revision.registered', '{"digest":"' || digest || '"}', 1
         FROM revisions
       UNION ALL
       SELECT tenant, kind, name, number, at_ns, "by",
              'alias.set', '{"alias":"' || alias || '"}', 2
         FROM alias_events
       ) h
  JOIN cards c ON c.tenant = h.tenant AND c.kind = h.kind AND c.name = h.name
 WHERE NOT EXISTS (
       SELECT 1 FROM registry_events e WHERE e.tenant = h.tenant AND e.kind = h.kind AND e.name = h.name)
 ORDER BY h.at_ns, h.place, h.number
"""


def fill_registry(connection: Connection) -> None:
    """Fill ``cards``, ``notes`` and ``registry_events`` from ``revisions`` and ``alias_events``; what is there stays."""
    for statement in (_CARDS, _NOTES, _EVENTS):
        connection.execute(text(statement))
