"""Verbs of webhooks: make, change, test, remove, and see what became of deliveries."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection

from twinloop.control.search.page import Page
from twinloop.control.security.model import Principal, Role
from twinloop.control.security.ports import Secrets
from twinloop.control.store.ports import Store
from twinloop.control.webhooks import body, repository
from twinloop.control.webhooks.dispatcher import Dispatcher, secret_of
from twinloop.control.webhooks.model import (
    Answer,
    Delivery,
    Message,
    Retries,
    State,
    Webhook,
    WebhookChange,
    WebhookDraft,
)
from twinloop.control.webhooks.ports import Outbox, Sender
from twinloop.core.clock import Clock, SystemClock
from twinloop.core.errors import InvalidInput, TwinloopError
from twinloop.core.events import Event
from twinloop.core.ids import new_id

_ID = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_PAGE = 1000
_URL = 2000
_DESCRIPTION = 1000
_SECRET = 1000
_PREFIX = "webhook-"


class Tested(msgspec.Struct, frozen=True):
    """What came of a test: the receiver's answer, or why there is none."""

    answer: Answer | None
    problem: str | None = None


class Webhooks:
    """Keeps webhooks and serves them. Open it once, close it once.

    Webhooks are an admin's: a URL is often a secret itself, and each makes the server call another machine.
    """

    def __init__(
        self,
        store: Store,
        secrets: Secrets,
        sender: Sender,
        outboxes: Sequence[Outbox],
        examples: Mapping[str, Mapping[str, Any]],
        clock: Clock | None = None,
        retries: Retries = Retries(),
    ) -> None:
        """``examples`` holds every event that can be listened for, with data such as it would bring."""
        self._store = store
        self._secrets = secrets
        self._sender = sender
        self._outboxes = outboxes
        self.examples = examples
        self._clock = clock or SystemClock()
        self._dispatcher = Dispatcher(store, secrets, sender, outboxes, self._clock, retries)

    async def open(self) -> None:
        """Forget secrets that no webhook uses (a process may have died in between), and begin to serve."""
        used = await self._store.read(repository.secrets)
        for name in await self._secrets.names(_PREFIX):
            if name not in used:
                await self._secrets.remove(name)
        self._dispatcher.open()

    async def follow(self, event: Event) -> None:
        """An outbox has grown: look into it now."""
        self._dispatcher.nudge()

    async def aclose(self) -> None:
        await self._dispatcher.aclose()

    async def create(self, who: Principal, draft: WebhookDraft) -> Webhook:
        """Make a webhook. It is told what happens from now on.

        Raises:
            InvalidInput: a name, URL, event or secret that cannot be; or a URL that leads to a machine that may not be
                called.
        """
        who.require(Role.admin)
        _check_name(draft.name)
        await self._check_url(draft.url)
        self._check_events(draft.events)
        description = _described(draft.description)
        now = self._clock.now_ns()
        async with self._kept(draft.secret) as secret:
            webhook = Webhook(
                id=new_id(),
                tenant=who.tenant,
                name=draft.name,
                url=draft.url,
                events=draft.events,
                description=description,
                active=draft.active,
                secret=secret,
                created_ms=now // 1_000_000,
                updated_ms=now // 1_000_000,
                since_ns=now,
            )
            await self._store.write(lambda c: self._add(c, webhook))
        self._dispatcher.nudge()
        return webhook

    async def get(self, who: Principal, id: str) -> Webhook:
        """Raises NotFound."""
        who.require(Role.admin)
        return await self._store.read(lambda c: repository.get(c, who.tenant, id))

    async def webhooks(self, who: Principal, limit: int = 100, before: str | None = None) -> Page[Webhook]:
        """Webhooks, newest first; ``before`` is the ``next`` of the page before. Raises InvalidInput."""
        who.require(Role.admin)
        if not 1 <= limit <= _PAGE:
            raise InvalidInput(f"max_results must be between 1 and {_PAGE}.")
        if before is not None and not _ID.fullmatch(before):
            raise InvalidInput("Invalid page token. Give the next_page_token of the page before, unchanged.")
        found = await self._store.read(lambda c: repository.page(c, who.tenant, limit + 1, before))
        return Page(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)

    async def update(self, who: Principal, id: str, change: WebhookChange) -> Webhook:
        """Change some of a webhook. One that is switched on again is told what happens from then on.

        Raises:
            NotFound, or InvalidInput as ``create`` does.
        """
        await self.get(who, id)
        if change.name is not None:
            _check_name(change.name)
        if change.url is not None:
            await self._check_url(change.url)
        if change.events is not None:
            self._check_events(change.events)
        description = _described(change.description)
        now = self._clock.now_ns()

        def work(connection: Connection, secret: str | None) -> tuple[Webhook, Webhook]:
            before = repository.get(connection, who.tenant, id)
            if before.active:
                self._dispatcher.collect_all(connection)
            after = _changed(before, change, description, now)
            if change.secret is not None:
                after = msgspec.structs.replace(after, secret=secret)
            if after.active:
                self._catch_up(connection)
            repository.replace(connection, after)
            return before, after

        async with self._kept(change.secret) as secret:
            before, after = await self._store.write(lambda c: work(c, secret))
        if before.secret is not None and before.secret != after.secret:
            await self._secrets.remove(before.secret)
        self._dispatcher.nudge()
        return after

    async def delete(self, who: Principal, id: str) -> None:
        """What was not sent yet is cancelled; what was can still be listed. Raises NotFound."""
        who.require(Role.admin)
        now = self._clock.now_ns()
        gone = await self._store.write(lambda c: repository.remove(c, who.tenant, id, now))
        if gone.secret is not None:
            await self._secrets.remove(gone.secret)

    async def test(self, who: Principal, id: str, event: str | None = None) -> Tested:
        """Send an example of ``event``, or of the first the webhook listens for, once and now.

        Raises:
            NotFound: no such webhook.
            InvalidInput: no such event.
        """
        webhook = await self.get(who, id)
        chosen = event or webhook.events[0]
        self._check_events((chosen,))
        now = self._clock.now_ns()
        content = body.encode(Message(chosen, dict(self.examples[chosen])), now)
        try:
            secret = await secret_of(self._secrets, webhook)
            sent = body.headers(new_id(), now, content, secret)
            return Tested(await self._sender.send(webhook.url, sent, content))
        except TwinloopError as error:
            return Tested(None, error.message)

    async def deliveries(
        self, who: Principal, id: str, state: State | None = None, limit: int = 100, before_ns: int | None = None
    ) -> list[Delivery]:
        """What became of deliveries to a webhook, also a deleted one, newest first. They are kept for 30 days."""
        who.require(Role.admin)
        if not 1 <= limit <= _PAGE:
            raise InvalidInput(f"limit must be between 1 and {_PAGE}.")
        return await self._store.read(lambda c: repository.history(c, who.tenant, id, state, limit, before_ns))

    async def redeliver(self, who: Principal, id: str, delivery: str) -> Delivery:
        """Send a delivery again, under the same id, with as many attempts as a new one. Raises NotFound."""
        await self.get(who, id)
        now = self._clock.now_ns()
        found = await self._store.write(lambda c: repository.again(c, who.tenant, id, delivery, now))
        self._dispatcher.nudge()
        return found

    def _add(self, connection: Connection, webhook: Webhook) -> None:
        if webhook.active:
            self._catch_up(connection)
        repository.add(connection, webhook)

    def _catch_up(self, connection: Connection) -> None:
        """While nobody listened the outboxes were not read; nobody is to be told of that time."""
        if not repository.listening(connection):
            for outbox in self._outboxes:
                repository.move_cursor(connection, outbox.name, outbox.last(connection))

    async def _check_url(self, url: str) -> None:
        if not url.strip():
            raise InvalidInput(f"Webhook URL cannot be empty or just whitespace: {url!r}. Give an https address.")
        if len(url) > _URL:
            raise InvalidInput(f"Invalid webhook URL: it has {len(url)} characters and {_URL} is the most.")
        await self._sender.check(url)

    def _check_events(self, events: Sequence[str]) -> None:
        if not events:
            raise InvalidInput("Webhook events must be a non-empty list. Name at least one event.")
        for event in events:
            if event not in self.examples:
                raise InvalidInput(
                    f"There is no event {event[:100]!r}. Events are: {', '.join(sorted(self.examples))}."
                )
        if len(set(events)) < len(events):
            raise InvalidInput(f"Webhook events must be named once each: {json.dumps(list(events))}.")

    @asynccontextmanager
    async def _kept(self, secret: str | None) -> AsyncIterator[str | None]:
        """Keep a secret under the name that is given; forget it when what was to use it could not be written."""
        if not secret:
            yield None
            return
        if len(secret) > _SECRET:
            raise InvalidInput(f"The secret has {len(secret)} characters and {_SECRET} is the most.")
        name = f"{_PREFIX}{new_id()}"
        await self._secrets.put(name, secret)
        try:
            yield name
        except Exception:
            await self._secrets.remove(name)
            raise


def _changed(there: Webhook, change: WebhookChange, description: str | None, now_ns: int) -> Webhook:
    active = there.active if change.active is None else change.active
    return msgspec.structs.replace(
        there,
        name=there.name if change.name is None else change.name,
        url=there.url if change.url is None else change.url,
        events=there.events if change.events is None else change.events,
        description=there.description if change.description is None else description,
        active=active,
        since_ns=now_ns if active and not there.active else there.since_ns,
        updated_ms=max(now_ns // 1_000_000, there.updated_ms + 1),
    )


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"Webhook name {name[:100]!r} is invalid. It must start and end with a letter or digit, hold nothing but "
            "letters, digits, '.', '_' and '-', and have 63 characters at most."
        )


def _described(description: str | None) -> str | None:
    if description is not None and len(description) > _DESCRIPTION:
        raise InvalidInput(f"The description has {len(description)} characters and {_DESCRIPTION} is the most.")
    return description or None
