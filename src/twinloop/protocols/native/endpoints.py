"""/api/v1/endpoints: release, promote, roll back, and look at what is live."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.routing import Route

from twinloop.control.gateway.service import Gateway
from twinloop.control.releases.model import ReleaseRequest
from twinloop.control.releases.service import Releases
from twinloop.core.errors import InvalidInput
from twinloop.protocols.http import Call, route
from twinloop.protocols.native import encode
from twinloop.protocols.native.errors import NATIVE


class MoveRequest(msgspec.Struct, frozen=True):
    """``release`` and ``to`` name a release as ``endpoint@3``, or by its number alone."""

    release: str | int | None = None
    to: str | int | None = None
    reason: str = ""


def routes(releases: Releases, gateway: Gateway) -> list[Route]:
    async def listing(call: Call) -> Any:
        """Every endpoint and which releases answer there."""
        return {"endpoints": [encode.endpoint(row.traffic) for row in gateway.endpoints(call.who)]}

    async def get(call: Call) -> Any:
        """One endpoint."""
        return encode.endpoint(await releases.traffic(call.who, call.path["name"]))

    async def standing(call: Call) -> Any:
        """Releases of an endpoint, newest first, with their state."""
        found = await releases.releases(call.who, call.path["name"], call.integer("limit", 100, 1, 1000))
        return {"releases": [encode.release(one) for one in found]}

    async def history(call: Call) -> Any:
        """Every change of what was live, newest first."""
        await releases.traffic(call.who, call.path["name"])
        found = await releases.history(call.who, call.path["name"], call.integer("limit", 100, 1, 1000))
        return {"events": [encode.release_event(event) for event in found]}

    async def release(call: Call) -> Any:
        """Pin revisions as a release and let it answer live, as a canary or as a shadow."""
        body = await call.json(ReleaseRequest)
        return encode.release(await releases.release(call.who, call.path["name"], body))

    async def promote(call: Call) -> Any:
        """Make the canary live."""
        body = await call.json(MoveRequest)
        number = _number(call.path["name"], body.release)
        return encode.endpoint(await releases.promote(call.who, call.path["name"], number, body.reason))

    async def rollback(call: Call) -> Any:
        """Withdraw the canary, or return to the release that was live before."""
        body = await call.json(MoveRequest)
        number = _number(call.path["name"], body.to)
        return encode.endpoint(await releases.rollback(call.who, call.path["name"], number, body.reason))

    async def metadata(call: Call) -> Any:
        """Inputs and outputs of the live release."""
        return dict(gateway.metadata(call.who, call.path["name"]))

    one = "/api/v1/endpoints/{name:path}"
    return [
        route(NATIVE, "GET", "/api/v1/endpoints", listing),
        route(NATIVE, "GET", one + "/releases", standing),
        route(NATIVE, "POST", one + "/releases", release),
        route(NATIVE, "GET", one + "/history", history),
        route(NATIVE, "GET", one + "/metadata", metadata),
        route(NATIVE, "POST", one + "/promote", promote),
        route(NATIVE, "POST", one + "/rollback", rollback),
        route(NATIVE, "GET", one, get),
    ]


def _number(endpoint: str, given: str | int | None) -> int | None:
    """``endpoint@3`` or ``3`` as 3. Raises InvalidInput for a release of another endpoint."""
    if given is None or isinstance(given, int):
        return given
    name, at, number = given.rpartition("@")
    if (at and name != endpoint) or not (number.isascii() and number.isdigit() and len(number) < 10):
        raise InvalidInput(f"{given[:80]!r} is not a release of {endpoint}. Write {endpoint}@3 or 3.")
    return int(number)
