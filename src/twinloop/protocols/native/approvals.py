"""/api/v1/approvals and /api/v1/history: who agreed to what, and what was live when."""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec
from starlette.routing import Route

from twinloop.control.evaluation.model import GateResult
from twinloop.control.registry.model import Standing
from twinloop.control.registry.service import Registry
from twinloop.control.releases.history import Entry, History, Period
from twinloop.core.clock import iso
from twinloop.protocols.http import Call, route
from twinloop.protocols.native import wire
from twinloop.protocols.native.errors import NATIVE


class ApprovalRequest(msgspec.Struct, frozen=True):
    """``ref`` names one revision by number or digest; ``approved`` false is a rejection, which outweighs every approval."""

    ref: str
    approved: bool = True
    comment: str = ""


class HistoryQuery(msgspec.Struct, frozen=True):
    limit: wire.Limit = 100
    token: str = ""


class ApprovalJson(TypedDict):
    by: str
    approved: bool
    comment: str
    at: str


class StandingJson(TypedDict):
    """``approved`` says whether the revision may go live as far as approval goes; ``wanted`` is how many must agree."""

    ref: str
    digest: str
    registered_by: str
    wanted: int
    approved: bool
    approvals: list[ApprovalJson]


class PeriodJson(TypedDict):
    """A time in which ``release`` answered at ``endpoint``; ``until`` is null while it does."""

    endpoint: str
    release: str
    stage: str
    role: str
    since: str
    until: str | None
    weight: float
    reason: str
    gate: GateResult | None


class EntryJson(TypedDict):
    """``ref`` is a revision, or a card where it was the card that changed."""

    at: str
    by: str
    action: str
    ref: str
    title: str
    detail: dict[str, Any]
    period: PeriodJson | None


class HistoryJson(TypedDict):
    """``next`` is the token of the part behind this one, null at the end."""

    entries: list[EntryJson]
    next: str | None


def routes(registry: Registry, history: History) -> list[Route]:
    async def say(call: Call, body: ApprovalRequest) -> StandingJson:
        """Approve or reject a revision that somebody else registered."""
        approvals = registry.approvals
        verb = approvals.approve if body.approved else approvals.reject
        return standing_json(await verb(call.who, body.ref, body.comment))

    async def standing(call: Call) -> StandingJson:
        """Who said what of a revision, and what it still needs."""
        return standing_json(await registry.approvals.of(call.who, call.path["ref"]))

    async def told(call: Call, query: HistoryQuery) -> HistoryJson:
        """What happened to kind/name, or to one revision of it, and where it was live when; newest first."""
        page = await history.of(call.who, call.path["ref"], query.limit, query.token or None)
        return {"entries": [entry_json(entry) for entry in page.items], "next": page.next}

    return [
        route(NATIVE, "POST", "/api/v1/approvals", say, body=ApprovalRequest, answer=StandingJson),
        route(NATIVE, "GET", "/api/v1/approvals/{ref:path}", standing, answer=StandingJson),
        route(NATIVE, "GET", "/api/v1/history/{ref:path}", told, query=HistoryQuery, answer=HistoryJson),
    ]


def standing_json(standing: Standing) -> StandingJson:
    revision = standing.revision
    return {
        "ref": revision.ref,
        "digest": revision.digest,
        "registered_by": revision.created_by,
        "wanted": standing.wanted,
        "approved": standing.approved,
        "approvals": [
            {"by": one.by, "approved": one.approved, "comment": one.comment, "at": iso(one.at_ns)}
            for one in standing.said
        ],
    }


def entry_json(entry: Entry) -> EntryJson:
    number = "" if entry.number is None else f"@{entry.number}"
    return {
        "at": iso(entry.at_ns),
        "by": entry.by,
        "action": entry.action,
        "ref": f"{entry.kind}/{entry.name}{number}",
        "title": entry.title,
        "detail": entry.detail,
        "period": None if entry.period is None else _period_json(entry.period),
    }


def _period_json(period: Period) -> PeriodJson:
    return {
        "endpoint": period.endpoint,
        "release": period.release,
        "stage": period.stage,
        "role": period.role,
        "since": iso(period.since_ns),
        "until": None if period.until_ns is None else iso(period.until_ns),
        "weight": period.weight,
        "reason": period.reason,
        "gate": period.gate,
    }
