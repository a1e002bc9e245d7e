"""What was live when: every change of a card and its revisions, with the releases that put them before people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from twinloop.control.evaluation.model import GateResult
from twinloop.control.registry.model import RegistryEvent
from twinloop.control.registry.service import Registry
from twinloop.control.registry.telling import Told
from twinloop.control.releases import repository
from twinloop.control.releases.repository import Tenure
from twinloop.control.search.page import Page
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Store
from twinloop.core.digests import Digest
from twinloop.core.errors import InvalidInput

_PAGE = 1000


class Period(msgspec.Struct, frozen=True):
    """A time in which a release answered at ``endpoint`` with the revision: ``until_ns`` is None while it still does.

    ``role`` is what the release pins the revision as; ``gate`` is the evidence it had to pass.
    """

    endpoint: str
    release: str
    stage: str
    role: str
    since_ns: int
    until_ns: int | None
    weight: float
    reason: str
    gate: GateResult | None


class Entry(msgspec.Struct, frozen=True):
    """One thing that happened. ``action`` is one of the registry's, or ``release``, ``promote`` or ``rollback``.

    A release's entry has its ``period``; ``number`` is None where the card as a whole is meant.
    """

    at_ns: int
    by: str
    action: str
    kind: str
    name: str
    title: str
    number: int | None
    detail: dict[str, Any] = {}
    period: Period | None = None


class _Mark(NamedTuple):
    """Where to go on: behind these sequences of the registry's events and of the releases'."""

    event: int | None
    release: int | None


class History:
    """Reads the append-only histories of the registry and of releases as one."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    async def of(self, who: Principal, ref: str, limit: int = 100, token: str | None = None) -> Page[Entry]:
        """What happened to ``kind/name``, or to one revision of it, newest first; what was deleted is still told.

        Raises:
            NotFound: there never was such a thing.
        """
        who.require(Role.viewer)
        if not 1 <= limit <= _PAGE:
            raise InvalidInput(f"limit must be between 1 and {_PAGE}.")
        mark = _read(token)
        return await self._store.read(lambda c: self._page(c, who.tenant, ref, limit, mark))

    def _page(self, connection: Connection, tenant: str, ref: str, limit: int, mark: _Mark) -> Page[Entry]:
        told = self._registry.told(connection, tenant, ref, limit + 1, mark.event)
        tenures = [
            tenure
            for tenure in repository.tenures(connection, tenant, list(told.revisions))
            if mark.release is None or tenure.sequence < mark.release
        ]
        merged = list(_merged(told.events, tenures))
        shown = _whole(merged, limit)
        following = None
        if len(shown) < len(merged):
            following = _write(shown, mark)
        return Page(tuple(_entry(item, told) for item in shown), following)


def _merged(events: Sequence[RegistryEvent], tenures: Sequence[Tenure]) -> Iterator[RegistryEvent | Tenure]:
    """Both newest first, as one; each keeps its own order, which counts more than its clock."""
    left, right = list(events), list(tenures)
    while left or right:
        if right and (not left or right[0].since_ns >= left[0].at_ns):
            yield right.pop(0)
        else:
            yield left.pop(0)


def _whole(merged: list[RegistryEvent | Tenure], limit: int) -> list[RegistryEvent | Tenure]:
    """The first ``limit``, and what belongs to the same change of traffic as the last of them."""
    end = min(limit, len(merged))
    while 0 < end < len(merged):
        last, after = merged[end - 1], merged[end]
        if not (isinstance(last, Tenure) and isinstance(after, Tenure) and last.sequence == after.sequence):
            break
        end += 1
    return merged[:end]


def _entry(item: RegistryEvent | Tenure, told: Told) -> Entry:
    if isinstance(item, RegistryEvent):
        return Entry(item.at_ns, item.by, item.action, item.kind, item.name, item.title, item.number, item.detail)
    card, number = told.card, told.revisions[Digest(item.digest)]
    period = Period(
        item.endpoint,
        item.release,
        item.stage,
        item.role,
        item.since_ns,
        item.until_ns,
        item.weight,
        item.reason,
        item.gate,
    )
    return Entry(item.since_ns, item.by, item.action, card.kind, card.name, card.title, number, period=period)


def _write(shown: Sequence[RegistryEvent | Tenure], mark: _Mark) -> str:
    event, release = mark
    for item in shown:
        if isinstance(item, RegistryEvent):
            event = item.sequence
        else:
            release = item.sequence
    return f"{'' if event is None else event}.{'' if release is None else release}"


def _read(token: str | None) -> _Mark:
    if not token:
        return _Mark(None, None)
    event, dot, release = token.partition(".")
    if not dot or any(part and not (part.isascii() and part.isdigit() and len(part) < 19) for part in (event, release)):
        raise InvalidInput("Invalid page token. Give the token of the page before, unchanged.")
    return _Mark(int(event) if event else None, int(release) if release else None)
