"""The history of releases as webhooks follow it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select

from twinloop.control.releases.repository import release_events
from twinloop.control.webhooks.events import Examples
from twinloop.control.webhooks.model import Message, Occurrence

_NAMES = {"release": "release.released", "promote": "release.promoted", "rollback": "release.rolled_back"}

_TRAFFIC = {"live": 2, "canary": None, "weight": 0.0, "shadow": None, "previous": 1}

EXAMPLES: Examples = {
    name: {
        "endpoint": "example",
        "release": "example@2",
        "stage": "live",
        "by": "local",
        "reason": "",
        "traffic": _TRAFFIC,
    }
    for name in _NAMES.values()
}
"""The events of releases, each with data as an example: what moved, and the traffic after it."""


class ReleaseOutbox:
    """Implements Outbox over every change of what is live."""

    name = "releases"

    def last(self, connection: Connection) -> int:
        return connection.execute(select(func.max(release_events.c.sequence))).scalar() or 0

    def after(self, connection: Connection, sequence: int, limit: int) -> list[Occurrence]:
        query = select(release_events).where(release_events.c.sequence > sequence)
        return [_occurrence(row) for row in connection.execute(query.order_by(release_events.c.sequence).limit(limit))]


def _occurrence(row: Any) -> Occurrence:
    data = {
        "endpoint": row.endpoint,
        "release": row.release,
        "stage": row.stage,
        "by": row.by,
        "reason": row.reason,
        "traffic": {name: row.traffic.get(name) for name in _TRAFFIC},
    }
    return Occurrence(row.sequence, row.tenant, row.at_ns, (Message(_NAMES[row.action], data),))
