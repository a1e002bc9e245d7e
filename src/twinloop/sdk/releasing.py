"""Release an endpoint as its project declares it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from twinloop.control.evaluation.model import Condition
from twinloop.control.releases.declaration import EndpointDeclaration
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.sdk.client import Client

Json = dict[str, Any]


def declared(client: Client, endpoint: str) -> EndpointDeclaration | None:
    """What ``twinloop.Endpoint`` declared and ``apply`` registered; None when nobody declared it."""
    try:
        manifest = client.revisions.get(f"endpoint/{endpoint}")["manifest"]
    except NotFound:
        return None
    return msgspec.convert(manifest, EndpointDeclaration)


def release(
    client: Client,
    endpoint: str,
    *,
    type: str | None = None,
    pins: Mapping[str, str] | None = None,
    stage: str | None = None,
    weight: float | None = None,
    gate: Sequence[Condition] | None = None,
    reason: str = "",
) -> Json:
    """Release ``endpoint``; what is not given is as declared. ``pins`` replace the declared ones role by role.

    Raises:
        InvalidInput: neither given nor declared.
        GateFailed: the evidence does not allow it.
    """
    plan = declared(client, endpoint)
    wanted = {**(plan.pins if plan else {}), **(pins or {})}
    kind = type or (plan.type if plan else None)
    if kind is None or not wanted:
        raise InvalidInput(
            f"The endpoint {endpoint} is not declared. Give its type and pins, or declare a twinloop.Endpoint and apply it."
        )
    return client.endpoints.release(
        endpoint,
        kind,
        wanted,
        stage=stage or (plan.stage if plan else "live"),
        weight=weight if weight is not None else (plan.weight if plan else 0.1),
        gate=gate if gate is not None else (plan.gate if plan else ()),
        reason=reason,
    )
