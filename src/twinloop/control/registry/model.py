"""What the registry keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from twinloop.core.digests import Digest, digest_json

Stage = Literal["None", "Staging", "Production", "Archived"]
STAGES: tuple[Stage, ...] = ("None", "Staging", "Production", "Archived")

Status = Literal["READY", "PENDING_REGISTRATION", "FAILED_REGISTRATION"]

Action = Literal[
    "card.created",
    "card.described",
    "card.renamed",
    "card.tagged",
    "card.untagged",
    "card.deleted",
    "revision.registered",
    "revision.described",
    "revision.tagged",
    "revision.untagged",
    "revision.staged",
    "revision.approved",
    "revision.rejected",
    "revision.deleted",
    "alias.set",
    "alias.removed",
]
"""What can happen to a card, to one of its revisions, or to one of its aliases."""


class Parent(msgspec.Struct, frozen=True):
    """A lineage edge to the revision this one was made from."""

    role: str
    digest: Digest
    via: dict[str, Any] | None = None


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a revision's files came from, as its client said it.

    ``source`` is the place given when it was registered, ``storage`` the place that names in the end, ``model_id`` the
    logged model behind it, ``link`` a page about the run.
    """

    source: str | None = None
    storage: str | None = None
    model_id: str | None = None
    link: str | None = None


class Revision(msgspec.Struct, frozen=True):
    """An immutable ``kind/name@number``; ``digest`` is over kind, name, manifest and parents."""

    kind: str
    name: str
    number: int
    digest: Digest
    manifest: dict[str, Any]
    parents: tuple[Parent, ...]
    created_ns: int
    created_by: str
    run_id: str | None = None
    aliases: tuple[str, ...] = ()
    origin: Origin = Origin()

    @property
    def ref(self) -> str:
        return f"{self.kind}/{self.name}@{self.number}"


class Registered(msgspec.Struct, frozen=True):
    """The result of registering; ``created`` is False when the same content was there already."""

    revision: Revision
    created: bool


class Card(msgspec.Struct, frozen=True):
    """What may change about ``kind/name``: above all its title, which is what people call it.

    Titles are unique among the cards of one ``shelf`` that are not deleted; the name stays what it is for ever.
    ``approvals`` is how many principals must approve a revision before it may go live. Times are milliseconds.
    """

    kind: str
    name: str
    shelf: str
    title: str
    description: str | None
    approvals: int
    created_ms: int
    created_by: str
    updated_ms: int
    deleted: bool = False
    tags: dict[str, str] = {}

    @property
    def ref(self) -> str:
        return f"{self.kind}/{self.name}"


class Note(msgspec.Struct, frozen=True):
    """What may change about one revision. ``updated_ms`` is milliseconds since the Unix epoch."""

    description: str | None = None
    stage: Stage = "None"
    status: Status = "READY"
    deleted: bool = False
    updated_ms: int = 0
    tags: dict[str, str] = {}


class Version(msgspec.Struct, frozen=True):
    """A revision as its card shows it."""

    title: str
    revision: Revision
    note: Note


class Shown(msgspec.Struct, frozen=True):
    """A card with its aliases, and with the highest revision at each stage."""

    card: Card
    latest: tuple[Version, ...] = ()
    aliases: dict[str, int] = {}


class CardChange(msgspec.Struct, frozen=True):
    """What to change of a card; None leaves it. A tag that is None is taken away."""

    title: str | None = None
    description: str | None = None
    tags: dict[str, str | None] = {}
    approvals: int | None = None


class NoteChange(msgspec.Struct, frozen=True):
    """What to change of a revision's note; None leaves it. ``archive_others`` moves away what was at the stage."""

    description: str | None = None
    tags: dict[str, str | None] = {}
    stage: Stage | None = None
    archive_others: bool = False


class Act(NamedTuple):
    """Who changes something, for which tenant, and when: nanoseconds since the Unix epoch.

    ``imported_from`` names the other system in which it happened, and stands in the detail of every event of the act.
    """

    tenant: str
    by: str
    at_ns: int
    imported_from: str | None = None

    @property
    def at_ms(self) -> int:
        return self.at_ns // 1_000_000


class RegistryEvent(msgspec.Struct, frozen=True):
    """One change, never altered. ``title`` is what the card was called then; ``number`` is None for the card itself."""

    sequence: int
    tenant: str
    kind: str
    name: str
    title: str
    number: int | None
    at_ns: int
    by: str
    action: Action
    detail: dict[str, Any]


class Approval(msgspec.Struct, frozen=True):
    """What one principal said of one revision, last."""

    by: str
    approved: bool
    comment: str
    at_ns: int


class Standing(msgspec.Struct, frozen=True):
    """What was said of a revision, of how many it needs a yes, and whether it may go live for all of them."""

    revision: Revision
    wanted: int
    said: tuple[Approval, ...]
    approved: bool


def revision_digest(kind: str, name: str, manifest: Mapping[str, Any], parents: tuple[Parent, ...]) -> Digest:
    return digest_json(
        {"kind": kind, "name": name, "manifest": manifest, "parents": sorted([p.role, p.digest] for p in parents)}
    )
