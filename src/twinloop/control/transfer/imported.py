"""Registered models and prompts of another system become cards and revisions here, with their numbers and times."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection, select, update

from twinloop.control.registry import alias_rows, card_rows, event_rows, repository
from twinloop.control.registry.model import Act, Card, Origin, Parent, Revision, Stage, Status
from twinloop.control.registry.ports import Kind
from twinloop.control.registry.repository import Wanted
from twinloop.control.registry.service import Registry
from twinloop.control.registry.tables import cards, notes, registry_events, revisions
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Store
from twinloop.control.transfer.model import Outcome, Refusal
from twinloop.core.errors import InvalidInput, TwinloopError

_MS = 1_000_000
_TITLE = 1_000
_TEXT = 100_000


class ImportedModel(msgspec.Struct, frozen=True):
    """``kind`` is model or prompt; ``title`` is what it is called there."""

    kind: str
    title: str
    description: str | None
    created_ms: int
    updated_ms: int
    tags: dict[str, str] = {}


class ImportedVersion(msgspec.Struct, frozen=True):
    """``number`` is the one it has there. ``aliases`` point at it. ``source`` says where its files are here."""

    kind: str
    title: str
    number: int
    created_ms: int
    updated_ms: int
    created_by: str | None
    description: str | None
    stage: Stage
    status: Status
    source: str
    storage: str | None
    run_id: str | None
    model_id: str | None
    link: str | None
    tags: dict[str, str] = {}
    aliases: tuple[str, ...] = ()
    deleted: bool = False


Describe = Callable[[Principal, ImportedVersion], Awaitable[tuple[dict[str, Any], tuple[Parent, ...]]]]
"""Makes the manifest and the parents of a version. Raises InvalidInput when it is not what it says."""


class Counts(Protocol):
    """Told whether an item is new, and how much of other things came with it."""

    def __call__(self, new: bool, **more: int) -> None: ...


class Imports:
    """Takes registered models as they are elsewhere. What is here already is kept; what cannot be taken is refused."""

    def __init__(self, store: Store, registry: Registry, kinds: Mapping[str, Kind]) -> None:
        self._store = store
        self._registry = registry
        self._kinds = kinds

    async def models(self, who: Principal, origin: str, found: Sequence[ImportedModel]) -> Outcome:
        """Make the cards that are not there yet, in one transaction."""
        who.require(Role.admin)

        def work(connection: Connection) -> Outcome:
            outcome = Outcome({}, {}, [])
            for model in found:
                with counted(connection, outcome, "cards", [model.kind, model.title]) as done:
                    done(self._model(connection, who, origin, model))
            return outcome

        return await self._store.write(work)

    async def versions(
        self, who: Principal, origin: str, found: Sequence[ImportedVersion], describe: Describe
    ) -> Outcome:
        """Register versions with the numbers they have, in one transaction; each one's card must be there."""
        who.require(Role.admin)
        described: list[tuple[ImportedVersion, dict[str, Any], tuple[Parent, ...]] | Refusal] = []
        for version in found:
            try:
                described.append((version, *await self._described(who, version, describe)))
            except TwinloopError as error:
                described.append(Refusal("revisions", [version.kind, version.title, version.number], error.message))

        def work(connection: Connection) -> Outcome:
            outcome = Outcome({}, {}, [])
            for each in described:
                if isinstance(each, Refusal):
                    outcome.refused.append(each)
                    continue
                version = each[0]
                key = [version.kind, version.title, version.number]
                with counted(connection, outcome, "revisions", key) as done:
                    new, aliases = self._version(connection, who, origin, *each)
                    done(new, aliases=aliases)
            return outcome

        return await self._store.write(work)

    async def _described(
        self, who: Principal, version: ImportedVersion, describe: Describe
    ) -> tuple[dict[str, Any], tuple[Parent, ...]]:
        if version.kind not in self._kinds:
            raise InvalidInput(f"There is no kind {version.kind[:40]} here.")
        if version.number < 1:
            raise InvalidInput("The number of a version is 1 or more.")
        _check_pairs(version.tags, version.description)
        manifest, parents = await describe(who, version)
        manifest = {**manifest, "version": version.number}
        self._kinds[version.kind].validate(manifest)
        return manifest, parents

    def _model(self, connection: Connection, who: Principal, origin: str, model: ImportedModel) -> bool:
        if not model.title.strip() or len(model.title) > _TITLE or any(ord(char) < 32 for char in model.title):
            raise InvalidInput(f"A name has 1 to {_TITLE} characters and no control characters.")
        if model.kind not in self._kinds:
            raise InvalidInput(f"There is no kind {model.kind[:40]} here.")
        _check_pairs(model.tags, model.description)
        which = self._registry.cards.titled(model.kind, model.title)
        there = card_rows.find(connection, who.tenant, which)
        if there is not None:
            if there.kind != model.kind:
                raise InvalidInput(f"{model.title[:100]!r} is a {there.kind} here and a {model.kind} there.")
            return False
        act = Act(who.tenant, who.name, model.created_ms * _MS, origin)
        made = card_rows.make(connection, act, model.kind, which.shelf, model.title, model.description, model.tags)
        mine = (cards.c.tenant == who.tenant, cards.c.kind == made.kind, cards.c.name == made.name)
        connection.execute(update(cards).where(*mine).values(updated_ms=model.updated_ms))
        return True

    def _version(
        self,
        connection: Connection,
        who: Principal,
        origin: str,
        version: ImportedVersion,
        manifest: dict[str, Any],
        parents: tuple[Parent, ...],
    ) -> tuple[bool, int]:
        """Whether the version is new, and how many aliases are."""
        card = card_rows.get(connection, who.tenant, self._registry.cards.titled(version.kind, version.title))
        if card.kind != version.kind:
            raise InvalidInput(f"{version.title[:100]!r} is a {card.kind} here and a {version.kind} there.")
        created = version.created_ms * _MS
        there = connection.execute(
            select(revisions.c.created_ns, revisions.c.source).where(*_key(revisions, who.tenant, card, version.number))
        ).first()
        if there is not None:
            if (there.created_ns, there.source) != (created, version.source or None):
                raise InvalidInput(
                    f"{card.ref}@{version.number} is another version here. Numbers are never given twice."
                )
            act = Act(who.tenant, who.name, version.updated_ms * _MS, origin)
            return False, _point(connection, act, card, version)
        act = Act(who.tenant, version.created_by or who.name, created, origin)
        wanted = Wanted(
            manifest,
            parents,
            version.run_id,
            Origin(version.source or None, version.storage, version.model_id, version.link),
            number=version.number,
            gap=True,
            fresh=True,
            description=version.description,
            tags=version.tags,
            status=version.status,
        )
        made = repository.add(connection, act, card, wanted).revision
        later = act._replace(by=who.name, at_ns=version.updated_ms * _MS)
        _note(connection, later, card, made, version)
        return True, _point(connection, later, card, version)


def _note(connection: Connection, act: Act, card: Card, made: Revision, version: ImportedVersion) -> None:
    """What happened to a version after it was registered, as far as its last state tells."""
    changed = {"stage": version.stage, "deleted": version.deleted, "updated_ms": version.updated_ms}
    connection.execute(update(notes).where(*_key(notes, act.tenant, card, made.number)).values(changed))
    if version.stage != "None":
        detail = {"from": "None", "to": version.stage}
        event_rows.append(connection, act, (card.kind, card.name, card.title), "revision.staged", made.number, detail)
    if version.deleted:
        event_rows.append(connection, act, (card.kind, card.name, card.title), "revision.deleted", made.number)


def _point(connection: Connection, act: Act, card: Card, version: ImportedVersion) -> int:
    """Set the aliases that are not set here yet, and those that were moved there since; returns how many."""
    there = alias_rows.of_card(connection, act.tenant, card)
    elsewhere = [alias for alias in version.aliases if there.get(alias) != version.number]
    fresh = [alias for alias in elsewhere if alias not in there or _follows(connection, act, card, alias)]
    for alias in fresh:
        alias_rows.move(connection, act, card, alias, version.number)
    return len(fresh)


def _follows(connection: Connection, act: Act, card: Card, alias: str) -> bool:
    """Whether an alias is where an import from the same place put it, and nobody has moved it here."""
    event = registry_events.c
    query = select(event.detail).where(event.tenant == act.tenant, event.kind == card.kind, event.name == card.name)
    for (detail,) in connection.execute(query.where(event.action == "alias.set").order_by(event.sequence.desc())):
        if detail.get("alias") == alias:
            return bool(detail.get("imported_from") == act.imported_from)
    return False


@contextmanager
def counted(connection: Connection, outcome: Outcome, what: str, key: list[Any]) -> Iterator[Counts]:
    """Takes one item whole or not at all; the block says whether it is new, and how much of what came with it."""

    def done(new: bool, **more: int) -> None:
        into = outcome.added if new else outcome.kept
        into[what] = into.get(what, 0) + 1
        for name, count in more.items():
            outcome.added[name] = outcome.added.get(name, 0) + count

    try:
        with connection.begin_nested():
            yield done
    except TwinloopError as error:
        outcome.refused.append(Refusal(what, key, error.message))


def _check_pairs(tags: Mapping[str, str], description: str | None) -> None:
    for text in (*tags, *tags.values(), description or ""):
        if len(text) > _TEXT or "\0" in text:
            raise InvalidInput(f"A tag or description is longer than {_TEXT} characters, or holds a NUL character.")
    if any(not key or len(key) > 250 for key in tags):
        raise InvalidInput("The key of a tag has 1 to 250 characters.")


def _key(table: Any, tenant: str, card: Card, number: int) -> tuple[Any, ...]:
    return table.c.tenant == tenant, table.c.kind == card.kind, table.c.name == card.name, table.c.number == number
