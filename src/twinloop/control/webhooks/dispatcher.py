"""The background task that turns what happened into deliveries and sends them.

An outbox is read behind a cursor, and the deliveries it leads to are written in the transaction that moves the cursor,
so every event is told once. A delivery is marked as sent after the receiver took it: when the process dies in between,
it is sent again under the same id. Each webhook has its own line: what is due is sent one after the other, and what
must wait for another attempt lets the rest pass. So a receiver that is slow or gone holds up nobody but itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from twinloop.control.security.ports import Secrets
from twinloop.control.security.redaction import redact
from twinloop.control.store.ports import Store
from twinloop.control.webhooks import body, repository
from twinloop.control.webhooks.model import Answer, Delivery, Occurrence, Parcel, Retries, Webhook
from twinloop.control.webhooks.ports import Outbox, Sender
from twinloop.core.clock import Clock
from twinloop.core.errors import TwinloopError, Unavailable
from twinloop.core.ids import new_id

log = logging.getLogger("twinloop.webhooks")

_LOOK_S = 5.0
_PAUSE_S = 5.0
_GRACE_S = 1.0
_BATCH = 500
_NOTE = 500
_KEPT_NS = 30 * 24 * 3600 * 1_000_000_000
_TIDY_NS = 3600 * 1_000_000_000


class _View(NamedTuple):
    """What is to be done: whether anybody listens, whether an outbox has news, which webhooks have something due now.

    ``wait_s`` is how long nothing else will be due.
    """

    listening: bool
    news: bool
    due: list[tuple[str, str]]
    wait_s: float = _LOOK_S


class Dispatcher:
    """Follows outboxes and serves webhooks until it is closed. ``nudge`` it when a webhook or an outbox changes.

    Without a nudge it looks every few seconds, for what another process did.
    """

    def __init__(
        self,
        store: Store,
        secrets: Secrets,
        sender: Sender,
        outboxes: Sequence[Outbox],
        clock: Clock,
        retries: Retries = Retries(),
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._sender = sender
        self._outboxes = outboxes
        self._clock = clock
        self._retries = retries
        self._lines: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._nudged = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._tidied_ns = 0
        self._closing = False

    def open(self) -> None:
        self._task = asyncio.create_task(self._run(), name="twinloop-webhooks")

    def nudge(self) -> None:
        """Look for something to do now."""
        self._nudged.set()

    async def aclose(self) -> None:
        """Stop. A receiver that is being called has a moment to answer; otherwise the next process calls it again."""
        self._closing = True
        lines = list(self._lines.values())
        if self._task is not None:
            self._task.cancel()
        if lines:
            await asyncio.wait(lines, timeout=_GRACE_S)
        for line in lines:
            line.cancel()
        await asyncio.gather(*lines, *([self._task] if self._task is not None else ()), return_exceptions=True)
        await self._sender.aclose()

    async def _run(self) -> None:
        while not self._closing:
            wait: float | None = _PAUSE_S
            try:
                wait = await self._round()
            except TwinloopError as error:
                log.warning("Webhooks wait: %s", error.message)
            except Exception:
                log.exception("Webhooks wait: something unforeseen went wrong")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._nudged.wait()
            self._nudged.clear()

    async def _round(self) -> float | None:
        """Do what is to be done; returns for how many seconds nothing is, None until somebody listens."""
        view = await self._store.read(self._look)
        if not view.listening:
            return None
        if view.news:
            more = await self._store.write(self._collect)
            if more:
                self.nudge()
            view = await self._store.read(self._look)
        for owner in view.due:
            if owner not in self._lines:
                self._lines[owner] = asyncio.create_task(self._serve(*owner), name=f"twinloop-webhook-{owner[1]}")
        await self._tidy()
        return view.wait_s

    def _look(self, connection: Connection) -> _View:
        if not repository.listening(connection):
            return _View(False, False, [])
        now = self._clock.now_ns()
        news = any(outbox.last(connection) > repository.cursor(connection, outbox.name) for outbox in self._outboxes)
        later = repository.due_after(connection, now)
        wait = _LOOK_S if later is None else min(_LOOK_S, (later - now) / 1_000_000_000)
        return _View(True, news, repository.due(connection, now), wait)

    def collect_all(self, connection: Connection) -> None:
        """Read the outboxes to their end, so that what has happened is told by what webhooks say at this moment."""
        while self._collect(connection):
            pass

    def _collect(self, connection: Connection) -> bool:
        """Read the outboxes on; returns whether they hold more than was read."""
        listeners = repository.listening(connection)
        more = False
        for outbox in self._outboxes:
            found = outbox.after(connection, repository.cursor(connection, outbox.name), _BATCH)
            for occurrence in found:
                for webhook in listeners:
                    self._tell(connection, outbox.name, occurrence, webhook)
            if found:
                repository.move_cursor(connection, outbox.name, found[-1].sequence)
            more = more or len(found) == _BATCH
        return more

    def _tell(self, connection: Connection, source: str, occurrence: Occurrence, webhook: Webhook) -> None:
        if webhook.tenant != occurrence.tenant or occurrence.at_ns < webhook.since_ns:
            return
        now = self._clock.now_ns()
        for message in occurrence.messages:
            if message.event in webhook.events:
                delivery = Delivery(new_id(), webhook.id, message.event, "pending", 0, now, now)
                told = (source, occurrence.sequence)
                repository.post(connection, webhook.tenant, delivery, told, body.encode(message, occurrence.at_ns))

    async def _serve(self, tenant: str, webhook: str) -> None:
        """Send what is due to one webhook, oldest first, until nothing is. A line that fails is begun again later."""
        try:
            while not self._closing:
                parcel = await self._store.read(
                    lambda c: repository.next_parcel(c, tenant, webhook, self._clock.now_ns())
                )
                if parcel is None:
                    self.nudge()  # something may have come due between this look and the end of the line
                    return
                await self._settle(tenant, await self._attempt(parcel))
        except TwinloopError as error:
            log.warning("The webhook %s waits: %s", webhook, error.message)
        except Exception:
            log.exception("The webhook %s waits: something unforeseen went wrong", webhook)
        finally:
            self._lines.pop((tenant, webhook), None)

    async def _attempt(self, parcel: Parcel) -> Delivery:
        """Send once; returns the delivery as it is then."""
        delivery = msgspec.structs.replace(parcel.delivery, attempts=parcel.delivery.attempts + 1)
        secret: str | None = None
        try:
            secret = await secret_of(self._secrets, parcel.webhook)
            sent = body.headers(delivery.id, self._clock.now_ns(), parcel.body, secret)
            answer = await self._sender.send(parcel.webhook.url, sent, parcel.body)
        except TwinloopError as error:
            return self._after(delivery, None, error.message)
        except Exception:
            log.exception("A delivery to the webhook %s failed", parcel.webhook.id)
            return self._after(delivery, None, "Something went wrong inside Twinloop; its log says what.")
        return self._after(delivery, answer, None if answer.taken else _note(answer.body, secret))

    def _after(self, delivery: Delivery, answer: Answer | None, note: str | None) -> Delivery:
        now = self._clock.now_ns()
        status, asked_s = (None, None) if answer is None else (answer.status, answer.retry_after_s)
        known = msgspec.structs.replace(delivery, status=status, note=note)
        if answer is not None and answer.taken:
            return msgspec.structs.replace(known, state="delivered", ended_ns=now)
        if delivery.attempts >= self._retries.attempts or (answer is not None and answer.final):
            return msgspec.structs.replace(known, state="failed", ended_ns=now)
        wait = self._retries.wait_ns(delivery.attempts, asked_s)
        return msgspec.structs.replace(known, due_ns=now + wait)

    async def _settle(self, tenant: str, delivery: Delivery) -> None:
        """Write what became of an attempt. While the store takes nothing this waits, because sending again would repeat."""
        while True:
            try:
                await self._store.write(lambda c: repository.settle(c, tenant, delivery))
                return
            except TwinloopError as error:
                log.warning("A delivery cannot be written down, trying again: %s", error.message)
                await asyncio.sleep(_PAUSE_S)

    async def _tidy(self) -> None:
        now = self._clock.now_ns()
        if now - self._tidied_ns > _TIDY_NS:
            self._tidied_ns = now
            await self._store.write(lambda c: repository.forget(c, now - _KEPT_NS))


async def secret_of(secrets: Secrets, webhook: Webhook) -> str | None:
    """What the webhook's bodies are signed with. Raises Unavailable when it is lost: nothing goes out unsigned."""
    if webhook.secret is None:
        return None
    found = await secrets.get(webhook.secret)
    if found is None:
        raise Unavailable("The webhook's secret is missing on this server. Give the webhook a new one.")
    return found


def _note(text: str, secret: str | None) -> str:
    """What a receiver said, short and without secrets."""
    said = text.replace(secret, "***") if secret else text
    return str(redact(said))[:_NOTE]
