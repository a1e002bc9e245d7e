"""The kind ``endpoint``: how a project wants an endpoint to be released. A release takes its defaults from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from twinloop.control.evaluation.model import Condition
from twinloop.control.releases.answers import EndpointKind
from twinloop.control.releases.model import Stage
from twinloop.core.digests import Digest
from twinloop.core.errors import InvalidInput
from twinloop.core.ids import Ref


class EndpointDeclaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Manifest of a revision of kind ``endpoint``. ``pins`` are references, resolved when a release is made."""

    type: EndpointKind
    pins: dict[str, str]
    gate: tuple[Condition, ...] = ()
    stage: Stage = "live"
    weight: float = 0.1


class DeclaredEndpointKind:
    name = "endpoint"

    def validate(self, manifest: Mapping[str, Any]) -> None:
        declared = read_declaration(manifest)
        for reference in declared.pins.values():
            Ref.parse(reference)
        if not 0 <= declared.weight <= 1:
            raise InvalidInput("weight is the canary's share of requests: give a number between 0 and 1.")

    def requires(self, manifest: Mapping[str, Any]) -> Sequence[Digest]:
        return ()


def read_declaration(manifest: Mapping[str, Any]) -> EndpointDeclaration:
    """Raises InvalidInput, naming the field, when ``manifest`` does not declare an endpoint."""
    try:
        return msgspec.convert(manifest, EndpointDeclaration)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"This does not declare an endpoint: {error}. Declare one with twinloop.Endpoint."
        ) from error
