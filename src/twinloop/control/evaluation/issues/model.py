"""What is kept of an issue. Times are milliseconds since the Unix epoch."""

from __future__ import annotations

from typing import Literal

import msgspec

Status = Literal["pending", "rejected", "resolved"]
Severity = Literal["not_an_issue", "low", "medium", "high"]
SEVERITIES: tuple[Severity, ...] = ("not_an_issue", "low", "medium", "high")
"""From the least to the most severe."""


class Draft(msgspec.Struct, frozen=True):
    """An issue to make."""

    experiment_id: str
    name: str
    description: str
    status: Status = "pending"
    severity: Severity | None = None
    root_causes: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    source_run_id: str | None = None
    created_by: str | None = None


class Change(msgspec.Struct, frozen=True):
    """What to change of an issue; None leaves it."""

    name: str | None = None
    description: str | None = None
    status: Status | None = None
    severity: Severity | None = None


class Issue(msgspec.Struct, frozen=True):
    """A problem of an experiment. ``traces`` is how many refer to it, where that was asked for."""

    id: str
    experiment_id: str
    name: str
    description: str
    status: Status
    severity: Severity | None
    root_causes: tuple[str, ...]
    categories: tuple[str, ...]
    source_run_id: str | None
    created_by: str | None
    created_ms: int
    updated_ms: int
    traces: int | None = None


class Wish(msgspec.Struct, frozen=True):
    """A search: ``filter`` in the grammar of runs, over ``status`` and ``source_run_id``."""

    experiment_id: str | None = None
    filter: str = ""
    limit: int = 100
    offset: int = 0
    count_traces: bool = False
