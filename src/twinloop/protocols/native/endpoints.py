"""/api/v1/endpoints: release, promote, roll back, and look at what is live."""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec
from starlette.routing import Route

from twinloop.control.gateway.service import Gateway
from twinloop.control.releases.model import ReleaseRequest
from twinloop.control.releases.service import Releases
from twinloop.core.errors import InvalidInput
from twinloop.protocols.http import Call, route
from twinloop.protocols.native import encode, wire
from twinloop.protocols.native.errors import NATIVE


class MoveRequest(msgspec.Struct, frozen=True):
    """``release`` and ``to`` name a release as ``endpoint@3``, or by its number alone."""

    release: str | int | None = None
    to: str | int | None = None
    reason: str = ""


class LimitQuery(msgspec.Struct, frozen=True):
    limit: wire.Limit = 100


class Endpoints(TypedDict):
    endpoints: list[wire.Endpoint]


class ReleaseList(TypedDict):
    releases: list[wire.Release]


class History(TypedDict):
    events: list[wire.ReleaseEvent]


def routes(releases: Releases, gateway: Gateway) -> list[Route]:
    async def listing(call: Call) -> Endpoints:
        """Every endpoint and which releases answer there."""
        return {"endpoints": [encode.endpoint(row.traffic) for row in gateway.endpoints(call.who)]}

    async def get(call: Call) -> wire.Endpoint:
        """One endpoint."""
        return encode.endpoint(await releases.traffic(call.who, call.path["name"]))

    async def standing(call: Call, query: LimitQuery) -> ReleaseList:
        """Releases of an endpoint, newest first, with their state."""
        found = await releases.releases(call.who, call.path["name"], query.limit)
        return {"releases": [encode.release(one) for one in found]}

    async def history(call: Call, query: LimitQuery) -> History:
        """Every change of what was live, newest first."""
        await releases.traffic(call.who, call.path["name"])
        found = await releases.history(call.who, call.path["name"], query.limit)
        return {"events": [encode.release_event(event) for event in found]}

    async def release(call: Call, body: ReleaseRequest) -> wire.Release:
        """Pin revisions as a release and let it answer live, as a canary or as a shadow."""
        return encode.release(await releases.release(call.who, call.path["name"], body))

    async def promote(call: Call, body: MoveRequest) -> wire.Endpoint:
        """Make the canary live."""
        number = _number(call.path["name"], body.release)
        return encode.endpoint(await releases.promote(call.who, call.path["name"], number, body.reason))

    async def rollback(call: Call, body: MoveRequest) -> wire.Endpoint:
        """Withdraw the canary, or return to the release that was live before."""
        number = _number(call.path["name"], body.to)
        return encode.endpoint(await releases.rollback(call.who, call.path["name"], number, body.reason))

    async def metadata(call: Call) -> dict[str, Any]:
        """Inputs and outputs of the live release."""
        return dict(await gateway.metadata(call.who, call.path["name"]))

    one = "/api/v1/endpoints/{name:path}"
    return [
        route(NATIVE, "GET", "/api/v1/endpoints", listing, answer=Endpoints),
        route(NATIVE, "GET", one + "/releases", standing, query=LimitQuery, answer=ReleaseList),
        route(NATIVE, "POST", one + "/releases", release, body=ReleaseRequest, answer=wire.Release),
        route(NATIVE, "GET", one + "/history", history, query=LimitQuery, answer=History),
        route(NATIVE, "GET", one + "/metadata", metadata, answer=dict[str, Any]),
        route(NATIVE, "POST", one + "/promote", promote, body=MoveRequest, answer=wire.Endpoint),
        route(NATIVE, "POST", one + "/rollback", rollback, body=MoveRequest, answer=wire.Endpoint),
        route(NATIVE, "GET", one, get, answer=wire.Endpoint),
    ]


def _number(endpoint: str, given: str | int | None) -> int | None:
    """``endpoint@3`` or ``3`` as 3. Raises InvalidInput for a release of another endpoint."""
    if given is None or isinstance(given, int):
        return given
    name, at, number = given.rpartition("@")
    if (at and name != endpoint) or not (number.isascii() and number.isdigit() and len(number) < 10):
        raise InvalidInput(f"{given[:80]!r} is not a release of {endpoint}. Write {endpoint}@3 or 3.")
    return int(number)
