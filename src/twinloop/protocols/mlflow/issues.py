"""Handlers of ``issues…``, with their requests."""

from __future__ import annotations

from typing import Any

import msgspec

from twinloop.control.evaluation.issues.model import Change, Draft, Issue, Severity, Status, Wish
from twinloop.control.evaluation.issues.service import Issues
from twinloop.protocols.http import Call
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.evaluation_datasets_translate import position, token
from twinloop.protocols.mlflow.request import Required, read
from twinloop.protocols.mlflow.translate import integer
from twinloop.protocols.mlflow.wire import Integer

Json = dict[str, Any]
_PATH = "/api/3.0/mlflow/issues"


class Create(msgspec.Struct, frozen=True):
    experiment_id: Required
    name: str = ""
    description: str = ""
    status: Status = "pending"
    severity: Severity | None = None
    root_causes: list[str] = []
    categories: list[str] = []
    source_run_id: str | None = None
    created_by: str | None = None


class Update(msgspec.Struct, frozen=True):
    name: str | None = None
    description: str | None = None
    status: Status | None = None
    severity: Severity | None = None


class Search(msgspec.Struct, frozen=True):
    experiment_id: str | None = None
    filter_string: str | None = None
    max_results: Integer | None = None
    page_token: str | None = None
    include_trace_count: bool = False


class IssueHandlers:
    """One method per endpoint: decode, call one verb, encode."""

    def __init__(self, issues: Issues) -> None:
        self._issues = issues

    async def create(self, call: Call) -> Json:
        """Make an issue."""
        request = await read(call, Create)
        draft = Draft(
            experiment_id=request.experiment_id,
            name=request.name,
            description=request.description,
            status=request.status,
            severity=request.severity,
            root_causes=tuple(request.root_causes),
            categories=tuple(request.categories),
            source_run_id=request.source_run_id or None,
            created_by=request.created_by or None,
        )
        return {"issue": issue_json(await self._issues.create(call.who, draft))}

    async def get(self, call: Call) -> Json:
        """One issue by its id."""
        return {"issue": issue_json(await self._issues.get(call.who, call.path["issue_id"]))}

    async def update(self, call: Call) -> Json:
        """Change some of an issue."""
        request = await read(call, Update)
        change = Change(request.name or None, request.description or None, request.status, request.severity)
        return {"issue": issue_json(await self._issues.update(call.who, call.path["issue_id"], change))}

    async def search(self, call: Call) -> Json:
        """Issues, the most severe first, narrowed by experiment and a filter."""
        request = await read(call, Search)
        wish = Wish(
            request.experiment_id or None, request.filter_string or "", count_traces=request.include_trace_count
        )
        if request.max_results is not None:
            wish = msgspec.structs.replace(wish, limit=integer(request.max_results, "max_results"))
        offset = position(request.page_token)
        found, following = await self._issues.search(call.who, msgspec.structs.replace(wish, offset=offset or 0))
        more = "" if following is None else token(following)
        return {"issues": [issue_json(issue) for issue in found], "next_page_token": more}


def issue_json(issue: Issue) -> Json:
    found: Json = {
        "issue_id": issue.id,
        "experiment_id": issue.experiment_id,
        "name": issue.name,
        "description": issue.description,
        "status": issue.status,
        "created_timestamp": issue.created_ms,
        "last_updated_timestamp": issue.updated_ms,
    }
    told = {
        "severity": issue.severity,
        "root_causes": list(issue.root_causes) or None,
        "categories": list(issue.categories) or None,
        "source_run_id": issue.source_run_id,
        "created_by": issue.created_by,
        "trace_count": issue.traces,
    }
    return found | {name: value for name, value in told.items() if value is not None}


def endpoints(issues: Issues) -> list[Endpoint]:
    """What MLflow offers on issues."""
    handlers = IssueHandlers(issues)
    return [
        Endpoint("POST", _PATH, handlers.create),
        Endpoint("POST", f"{_PATH}/search", handlers.search),
        Endpoint("GET", f"{_PATH}/{{issue_id}}", handlers.get),
        Endpoint("PATCH", f"{_PATH}/{{issue_id}}", handlers.update),
    ]
