"""/api/v1/pipelines: runs of pipelines, recorded by the runner in the client's process."""

from __future__ import annotations

from typing import TypedDict

import msgspec
from starlette.routing import Route

from twinloop.control.pipelines.model import Begin, Begun, Ending, PipelineRun, Result, StepChange
from twinloop.control.pipelines.service import Pipelines
from twinloop.protocols.http import Call, route
from twinloop.protocols.native import wire
from twinloop.protocols.native.errors import NATIVE

_RUNS = "/api/v1/pipelines/runs"


class Recorded(msgspec.Struct, frozen=True):
    token: str
    changes: list[StepChange] = []


class Ended(msgspec.Struct, frozen=True):
    token: str
    state: Ending
    changes: list[StepChange] = []


class Keys(msgspec.Struct, frozen=True):
    keys: list[str]


class References(msgspec.Struct, frozen=True):
    references: list[str]


class RunsQuery(msgspec.Struct, frozen=True):
    pipeline: str | None = None
    state: str | None = None
    limit: wire.Limit = 100
    before: wire.Before = 0


class RunQuery(msgspec.Struct, frozen=True):
    tracebacks: bool = False


class Results(TypedDict):
    results: list[Result]


class Digests(TypedDict):
    digests: dict[str, str | None]


class PipelineRuns(TypedDict):
    runs: list[PipelineRun]


def routes(pipelines: Pipelines) -> list[Route]:
    async def begin(call: Call, wanted: Begin) -> Begun:
        """Start a run of a pipeline, or go on with the one with the same parameters that was interrupted."""
        return await pipelines.begin(call.who, wanted)

    async def record(call: Call, said: Recorded) -> wire.Nothing:
        """Bring steps of a run to new states and renew its lease."""
        await pipelines.record(call.who, call.path["id"], said.token, said.changes)
        return {}

    async def finish(call: Call, said: Ended) -> wire.Nothing:
        """Record the last changes and the end of a run."""
        await pipelines.finish(call.who, call.path["id"], said.token, said.state, said.changes)
        return {}

    async def lookup(call: Call, wanted: Keys) -> Results:
        """The newest known result of each step key that has one."""
        return {"results": await pipelines.lookup(call.who, wanted.keys)}

    async def resolve(call: Call, wanted: References) -> Digests:
        """The digest of the revision that each reference names now, or null."""
        return {"digests": await pipelines.resolve(call.who, wanted.references)}

    async def runs(call: Call, query: RunsQuery) -> PipelineRuns:
        """Runs of pipelines, newest first, narrowed by pipeline and state."""
        before = query.before or None
        return {"runs": await pipelines.list(call.who, query.pipeline, query.state, query.limit, before)}

    async def run(call: Call, query: RunQuery) -> PipelineRun:
        """One run with its steps; tracebacks of failures with tracebacks=true."""
        return await pipelines.get(call.who, call.path["id"], tracebacks=query.tracebacks)

    return [
        route(NATIVE, "POST", _RUNS, begin, body=Begin, answer=Begun),
        route(NATIVE, "GET", _RUNS, runs, query=RunsQuery, answer=PipelineRuns),
        route(NATIVE, "GET", _RUNS + "/{id}", run, query=RunQuery, answer=PipelineRun),
        route(NATIVE, "POST", _RUNS + "/{id}/steps", record, body=Recorded, answer=wire.Nothing),
        route(NATIVE, "POST", _RUNS + "/{id}/finish", finish, body=Ended, answer=wire.Nothing),
        route(NATIVE, "POST", "/api/v1/pipelines/results", lookup, body=Keys, answer=Results),
        route(NATIVE, "POST", "/api/v1/pipelines/references", resolve, body=References, answer=Digests),
    ]
