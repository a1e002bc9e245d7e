"""A release is itself a revision, so that it has a digest and ancestors like everything it pins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from twinloop.control.evaluation.model import GateResult
from twinloop.control.registry.model import Revision
from twinloop.control.releases.answers import EndpointKind
from twinloop.control.releases.model import Pin, Release
from twinloop.core.digests import Digest
from twinloop.core.errors import InvalidInput

RELEASE = "release"


class ReleaseManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    endpoint: str
    type: EndpointKind
    pins: dict[str, Pin]
    required: tuple[Pin, ...]
    gate: GateResult | None
    plan: dict[str, Any]


class ReleaseKind:
    name = RELEASE

    def validate(self, manifest: Mapping[str, Any]) -> None:
        _manifest(manifest)

    def requires(self, manifest: Mapping[str, Any]) -> Sequence[Digest]:
        read = _manifest(manifest)
        return [pin.digest for pin in (*read.pins.values(), *read.required)]


def release_of(revision: Revision) -> Release:
    """Read a revision of kind ``release``."""
    manifest = _manifest(revision.manifest)
    return Release(
        endpoint=manifest.endpoint,
        number=revision.number,
        digest=revision.digest,
        type=manifest.type,
        pins=manifest.pins,
        required=manifest.required,
        gate=manifest.gate,
        created_ns=revision.created_ns,
        created_by=revision.created_by,
    )


def _manifest(manifest: Mapping[str, Any]) -> ReleaseManifest:
    try:
        return msgspec.convert(manifest, ReleaseManifest)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"This is not a release's manifest: {error}. Release through an endpoint instead."
        ) from error
