"""/api/v1/replays: what the SDK wrote down while it tracked, sent in order, applied once."""

from __future__ import annotations

from typing import Annotated, TypedDict

import msgspec
from starlette.routing import Route

from twinloop.control.tracking.replay.operations import Damaged, Operation, decode
from twinloop.control.tracking.replay.service import LIMIT, Replays
from twinloop.protocols.http import Call, route
from twinloop.protocols.native.errors import NATIVE


class ReplayBatch(msgspec.Struct, frozen=True):
    """``first`` is the number of the first operation; each is an object whose ``do`` says what it is."""

    spool: str
    first: int
    operations: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=LIMIT)]


class RejectionJson(TypedDict):
    """An operation that was refused for good. What came after it was applied."""

    sequence: int
    run: str
    message: str


class ReplayJson(TypedDict):
    """``last`` is the number of the newest operation that was dealt with."""

    last: int
    rejected: list[RejectionJson]


class ReplayState(TypedDict):
    last: int


def routes(replays: Replays) -> list[Route]:
    async def replay(call: Call, batch: ReplayBatch) -> ReplayJson:
        """Apply operations of a journal; those that were applied before are skipped."""
        found = await replays.apply(call.who, batch.spool, batch.first, [_operation(raw) for raw in batch.operations])
        return {
            "last": found.last,
            "rejected": [{"sequence": r.sequence, "run": r.run, "message": r.message} for r in found.rejected],
        }

    async def state(call: Call) -> ReplayState:
        """How far a journal has been replayed; 0 when nothing of it has."""
        return {"last": await replays.last(call.who, call.path["spool"])}

    return [
        route(NATIVE, "POST", "/api/v1/replays", replay, body=ReplayBatch, answer=ReplayJson),
        route(NATIVE, "GET", "/api/v1/replays/{spool}", state, answer=ReplayState),
    ]


def _operation(raw: msgspec.Raw) -> Operation:
    """One that cannot be read takes its number and is refused, so that it does not hold up what follows."""
    try:
        found: Operation = decode(raw)
    except (msgspec.DecodeError, ValueError) as error:
        return Damaged(why=f"The operation cannot be read: {error}.")
    return found
