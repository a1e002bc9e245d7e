"""/api/v1/pipelines: runs of pipelines, recorded by the runner in the client's process."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.routing import Route

from twinloop.control.pipelines.model import Begin, Ending, StepChange
from twinloop.control.pipelines.service import Pipelines
from twinloop.protocols.http import Call, route
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


def routes(pipelines: Pipelines) -> list[Route]:
    async def begin(call: Call) -> Any:
        """Start a run of a pipeline, or go on with the one with the same parameters that was interrupted."""
        return await pipelines.begin(call.who, await call.json(Begin))

    async def record(call: Call) -> Any:
        """Bring steps of a run to new states and renew its lease."""
        said = await call.json(Recorded)
        await pipelines.record(call.who, call.path["id"], said.token, said.changes)
        return {}

    async def finish(call: Call) -> Any:
        """Record the last changes and the end of a run."""
        said = await call.json(Ended)
        await pipelines.finish(call.who, call.path["id"], said.token, said.state, said.changes)
        return {}

    async def lookup(call: Call) -> Any:
        """The newest known result of each step key that has one."""
        wanted = await call.json(Keys)
        return {"results": await pipelines.lookup(call.who, wanted.keys)}

    async def resolve(call: Call) -> Any:
        """The digest of the revision that each reference names now, or null."""
        wanted = await call.json(References)
        return {"digests": await pipelines.resolve(call.who, wanted.references)}

    async def runs(call: Call) -> Any:
        """Runs of pipelines, newest first, narrowed by pipeline and state."""
        limit = call.integer("limit", 100, 1, 1000)
        before = call.integer("before", 0) or None
        found = await pipelines.list(call.who, call.query.get("pipeline"), call.query.get("state"), limit, before)
        return {"runs": found}

    async def run(call: Call) -> Any:
        """One run with its steps; tracebacks of failures with tracebacks=true."""
        return await pipelines.get(call.who, call.path["id"], tracebacks=call.query.get("tracebacks") == "true")

    return [
        route(NATIVE, "POST", _RUNS, begin),
        route(NATIVE, "GET", _RUNS, runs),
        route(NATIVE, "GET", _RUNS + "/{id}", run),
        route(NATIVE, "POST", _RUNS + "/{id}/steps", record),
        route(NATIVE, "POST", _RUNS + "/{id}/finish", finish),
        route(NATIVE, "POST", "/api/v1/pipelines/results", lookup),
        route(NATIVE, "POST", "/api/v1/pipelines/references", resolve),
    ]
