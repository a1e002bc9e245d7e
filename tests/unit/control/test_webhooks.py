from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.receiving import Received, Receiver
from tests.toys import WordKind
from twinloop.backends.secret_files import FileSecrets
from twinloop.backends.sqlite import SqliteStore, open_store
from twinloop.backends.webhook_http import HttpSender
from twinloop.control.registry.ledger import RegistryChanged
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.control.webhooks.events import REGISTRY, RegistryOutbox, tell
from twinloop.control.webhooks.model import Delivery, Retries, WebhookChange, WebhookDraft
from twinloop.control.webhooks.reach import Reach
from twinloop.control.webhooks.service import Webhooks
from twinloop.core.clock import SystemClock
from twinloop.core.errors import Forbidden, InvalidInput, NotFound
from twinloop.core.events import Bus

OTHER = Principal("o", "other", Role.admin)
QUICK = Retries(attempts=4, first_s=0.02, factor=1.5)
SECRET = "whsec-something-nobody-may-see"


class Place(NamedTuple):
    """A registry and its webhooks over a real store, secrets in files, and a sender that may call this machine."""

    folder: Path
    store: SqliteStore
    registry: Registry
    bus: Bus

    def webhooks(self, retries: Retries = QUICK, whole_s: float = 2.0) -> Webhooks:
        found = Webhooks(
            self.store,
            FileSecrets(self.folder / "secrets"),
            HttpSender(Reach(loopback=True), whole_s),
            [RegistryOutbox([tell])],
            REGISTRY,
            SystemClock(),
            retries,
        )
        self.bus.subscribe(RegistryChanged, found.follow)
        return found

    async def register(self, *texts: str, who: Principal = LOCAL_ADMIN) -> None:
        for text in texts:
            await self.registry.register(who, "word", "hello", {"text": text})


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    store, bus = open_store(tmp_path / "hooks.db"), Bus()
    yield Place(tmp_path, store, Registry(store, [WordKind()], SystemClock(), bus), bus)
    asyncio.run(store.aclose())


@pytest.fixture
async def webhooks(place: Place) -> AsyncIterator[Webhooks]:
    opened = place.webhooks()
    await opened.open()
    yield opened
    await opened.aclose()


def draft(receiver: Receiver | str, *events: str, secret: str | None = None) -> WebhookDraft:
    url = receiver if isinstance(receiver, str) else receiver.url
    return WebhookDraft("hook", url, events or ("revision.registered",), secret=secret)


async def came(receiver: Receiver, count: int) -> list[Received]:
    return await asyncio.to_thread(receiver.wait, count)


async def settled(webhooks: Webhooks, id: str, done: Callable[[list[Delivery]], bool]) -> list[Delivery]:
    """The deliveries of a webhook, once they are as wished."""
    deadline = time.monotonic() + 10
    while not done(found := await webhooks.deliveries(LOCAL_ADMIN, id)):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.01)
    return found


def all_are(state: str, count: int) -> Callable[[list[Delivery]], bool]:
    return lambda found: len(found) == count and all(item.state == state for item in found)


def answers(*statuses: int, **headers: str) -> Callable[[Received], tuple[int, dict[str, str]]]:
    """Each status once, the last one from then on."""
    left = list(statuses)
    return lambda request: (left.pop(0) if len(left) > 1 else left[0], headers)


async def test_a_registration_arrives_signed(place: Place, webhooks: Webhooks) -> None:
    with Receiver() as receiver:
        await webhooks.create(LOCAL_ADMIN, draft(receiver, secret=SECRET))
        await place.register("x")
        (request,) = await came(receiver, 1)

    stamp = request.headers["x-mlflow-timestamp"]
    signed = f"{request.delivery}.{stamp}.".encode() + request.body
    expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert request.headers["x-mlflow-signature"] == f"v1,{expected}"
    assert abs(int(stamp) - time.time()) < 60
    assert (request.json["entity"], request.json["action"]) == ("revision", "registered")
    assert {"kind": "word", "name": "hello", "number": 1, "by": "local"}.items() <= request.json["data"].items()
    assert SECRET not in request.body.decode() + str(request.headers)


async def test_without_a_secret_nothing_is_signed(place: Place, webhooks: Webhooks) -> None:
    with Receiver() as receiver:
        await webhooks.create(LOCAL_ADMIN, draft(receiver))
        await place.register("x")
        (request,) = await came(receiver, 1)
    assert "x-mlflow-signature" not in request.headers


async def test_only_what_is_listened_for_in_the_own_tenant_and_from_now_on_is_told(
    place: Place, webhooks: Webhooks
) -> None:
    await place.register("before")
    with Receiver() as receiver:
        await webhooks.create(LOCAL_ADMIN, draft(receiver, "revision.registered", "alias.set"))
        await place.register("theirs", who=OTHER)
        await place.register("mine")
        await place.registry.set_alias(LOCAL_ADMIN, "word", "hello", "champion", 2)
        found = await came(receiver, 2)
        await asyncio.sleep(0.1)
    assert [request.event for request in found] == ["revision.registered", "alias.set"]
    assert [request.json["data"]["number"] for request in receiver.received] == [2, 2]


async def test_a_receiver_that_fails_is_tried_again_with_the_same_id_and_body(place: Place, webhooks: Webhooks) -> None:
    with Receiver(answers(500, 429, 200)) as receiver:
        hook = await webhooks.create(LOCAL_ADMIN, draft(receiver, secret=SECRET))
        await place.register("x")
        found = await came(receiver, 3)
        (delivery,) = await settled(webhooks, hook.id, all_are("delivered", 1))
    assert len({request.delivery for request in found}) == 1
    assert len({request.body for request in found}) == 1
    assert (delivery.id, delivery.attempts, delivery.status) == (found[0].delivery, 3, 200)


async def test_after_the_last_attempt_it_is_given_up_and_what_happened_is_kept(
    place: Place, webhooks: Webhooks
) -> None:
    with Receiver(answers(503)) as receiver:
        hook = await webhooks.create(LOCAL_ADMIN, draft(receiver))
        await place.register("x")
        (delivery,) = await settled(webhooks, hook.id, all_are("failed", 1))
        assert len(receiver.received) == QUICK.attempts
    assert (delivery.attempts, delivery.status, delivery.note) == (QUICK.attempts, 503, "ok")


async def test_a_receiver_that_is_not_there_is_noted_without_its_address(place: Place, webhooks: Webhooks) -> None:
    hook = await webhooks.create(LOCAL_ADMIN, draft("http://127.0.0.1:9/token-in-the-path"))
    await place.register("x")
    (delivery,) = await settled(webhooks, hook.id, all_are("failed", 1))
    assert delivery.status is None
    assert "cannot be reached" in str(delivery.note)
    assert "token" not in str(delivery.note)


async def test_a_refusal_is_final(place: Place, webhooks: Webhooks) -> None:
    with Receiver(answers(401)) as receiver:
        hook = await webhooks.create(LOCAL_ADMIN, draft(receiver))
        await place.register("x")
        (delivery,) = await settled(webhooks, hook.id, all_are("failed", 1))
    assert (delivery.attempts, len(receiver.received)) == (1, 1)


async def test_a_redirect_is_not_followed(place: Place, webhooks: Webhooks) -> None:
    with Receiver() as elsewhere, Receiver(answers(307, location=elsewhere.url)) as receiver:
        hook = await webhooks.create(LOCAL_ADMIN, draft(receiver))
        await place.register("x")
        await settled(webhooks, hook.id, all_are("failed", 1))
        assert elsewhere.received == []


async def test_a_receiver_that_asks_for_time_is_given_it(place: Place, webhooks: Webhooks) -> None:
    with Receiver(answers(503, 200, **{"retry-after": "1"})) as receiver:
        await webhooks.create(LOCAL_ADMIN, draft(receiver))
        begun = time.monotonic()
        await place.register("x")
        await came(receiver, 2)
    assert time.monotonic() - begun >= 1


async def test_deliveries_arrive_in_the_order_of_what_happened(place: Place, webhooks: Webhooks) -> None:
    with Receiver() as receiver:
        await webhooks.create(LOCAL_ADMIN, draft(receiver))
        await place.register(*(str(number) for number in range(50)))
        found = await came(receiver, 50)
    assert [request.json["data"]["number"] for request in found] == list(range(1, 51))


async def test_what_must_wait_for_another_attempt_lets_the_rest_pass(place: Place) -> None:
    webhooks = place.webhooks(Retries(attempts=3, first_s=30))
    await webhooks.open()
    with Receiver(answers(500, 200)) as receiver:
        await webhooks.create(LOCAL_ADMIN, draft(receiver))
        await place.register("a", "b", "c")
        found = await came(receiver, 3)
    await webhooks.aclose()
    assert [request.json["data"]["number"] for request in found] == [1, 2, 3]


async def test_a_slow_receiver_holds_up_nobody_else(place: Place, webhooks: Webhooks) -> None:
    def slowly(request: Received) -> tuple[int, dict[str, str]]:
        time.sleep(1.5)
        return 200, {}

    with Receiver(slowly) as slow, Receiver() as quick:
        await webhooks.create(LOCAL_ADMIN, draft(slow))
        await webhooks.create(LOCAL_ADMIN, draft(quick))
        begun = time.monotonic()
        await place.register("a", "b", "c", "d", "e")
        await came(quick, 5)
        assert time.monotonic() - begun < 1.4
        assert len(slow.received) <= 1


async def test_what_happens_while_nobody_sends_is_sent_by_the_next_process(place: Place) -> None:
    first = place.webhooks()
    await first.open()
    with Receiver() as receiver:
        await first.create(LOCAL_ADMIN, draft(receiver))
        await first.aclose()
        await place.register("a", "b")
        assert receiver.received == []
        second = place.webhooks()
        await second.open()
        found = await came(receiver, 2)
        await second.aclose()
    assert [request.json["data"]["number"] for request in found] == [1, 2]


async def test_a_delivery_cut_off_by_a_crash_is_sent_again_under_its_id(place: Place) -> None:
    def never(request: Received) -> tuple[int, dict[str, str]]:
        time.sleep(2 if len(receiver.received) == 1 else 0)
        return 200, {}

    first = place.webhooks()
    await first.open()
    with Receiver(never) as receiver:
        await first.create(LOCAL_ADMIN, draft(receiver))
        await place.register("x")
        await came(receiver, 1)
        await first.aclose()  # the receiver has it, and nobody wrote that down
        second = place.webhooks()
        await second.open()
        before, after = await came(receiver, 2)
        await second.aclose()
    assert before.delivery == after.delivery
    assert before.body == after.body


async def test_a_webhook_switched_off_is_told_nothing_of_that_time(place: Place, webhooks: Webhooks) -> None:
    with Receiver() as receiver:
        hook = await webhooks.create(LOCAL_ADMIN, draft(receiver))
        await webhooks.update(LOCAL_ADMIN, hook.id, WebhookChange(active=False))
        await place.register("off")
        await webhooks.update(LOCAL_ADMIN, hook.id, WebhookChange(active=True))
        await place.register("on")
        (request,) = await came(receiver, 1)
        await asyncio.sleep(0.1)
        assert len(receiver.received) == 1
    assert request.json["data"]["number"] == 2


async def test_deleting_a_webhook_cancels_what_was_not_sent(place: Place) -> None:
    webhooks = place.webhooks(Retries(attempts=3, first_s=0.3))
    await webhooks.open()
    with Receiver(answers(500)) as receiver:
        hook = await webhooks.create(LOCAL_ADMIN, draft(receiver, secret=SECRET))
        await place.register("x")
        await came(receiver, 1)
        await settled(webhooks, hook.id, lambda found: found[0].attempts == 1)
        await webhooks.delete(LOCAL_ADMIN, hook.id)
        await asyncio.sleep(0.5)
        assert len(receiver.received) == 1
    (delivery,) = await webhooks.deliveries(LOCAL_ADMIN, hook.id)
    assert delivery.state == "cancelled"
    with pytest.raises(NotFound, match=f"Webhook with ID {hook.id} not found"):
        await webhooks.get(LOCAL_ADMIN, hook.id)
    assert not list((place.folder / "secrets").iterdir())
    await webhooks.aclose()


async def test_a_failed_delivery_can_be_sent_again(place: Place, webhooks: Webhooks) -> None:
    with Receiver(answers(400, 200)) as receiver:
        hook = await webhooks.create(LOCAL_ADMIN, draft(receiver))
        await place.register("x")
        (failed,) = await settled(webhooks, hook.id, all_are("failed", 1))
        await webhooks.redeliver(LOCAL_ADMIN, hook.id, failed.id)
        (delivered,) = await settled(webhooks, hook.id, all_are("delivered", 1))
        assert len({request.delivery for request in receiver.received}) == 1
    assert delivered.attempts == 1
    with pytest.raises(NotFound, match="no delivery"):
        await webhooks.redeliver(LOCAL_ADMIN, hook.id, "0" * 32)


async def test_a_secret_is_in_one_file_and_nowhere_else(place: Place, webhooks: Webhooks) -> None:
    with Receiver(lambda request: (500, {})) as receiver:
        hook = await webhooks.create(LOCAL_ADMIN, draft(receiver, secret=SECRET))
        await place.register("x")
        await settled(webhooks, hook.id, all_are("failed", 1))
    (file,) = (place.folder / "secrets").iterdir()
    assert file.read_text() == SECRET
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    with sqlite3.connect(place.folder / "hooks.db") as database:
        assert SECRET not in "\n".join(database.iterdump())
    assert SECRET not in repr(await webhooks.get(LOCAL_ADMIN, hook.id)) + repr(draft(receiver, secret=SECRET))


async def test_a_new_secret_takes_the_place_of_the_old_one(place: Place, webhooks: Webhooks) -> None:
    with Receiver() as receiver:
        hook = await webhooks.create(LOCAL_ADMIN, draft(receiver, secret=SECRET))
        await webhooks.update(LOCAL_ADMIN, hook.id, WebhookChange(secret="another"))
        (file,) = (place.folder / "secrets").iterdir()
        assert file.read_text() == "another"
        await webhooks.update(LOCAL_ADMIN, hook.id, WebhookChange(secret=""))
        await place.register("x")
        (request,) = await came(receiver, 1)
    assert "x-mlflow-signature" not in request.headers
    assert not list((place.folder / "secrets").iterdir())


async def test_of_new_secrets_at_once_one_is_kept(place: Place, webhooks: Webhooks) -> None:
    hook = await webhooks.create(LOCAL_ADMIN, draft("https://203.0.114.1/x", secret=SECRET))
    changes = [webhooks.update(LOCAL_ADMIN, hook.id, WebhookChange(secret=str(number))) for number in range(5)]
    await asyncio.gather(*changes)
    kept = [file.name for file in (place.folder / "secrets").iterdir()]
    assert kept == [(await webhooks.get(LOCAL_ADMIN, hook.id)).secret]


async def test_a_secret_for_a_webhook_that_is_deleted_meanwhile_is_forgotten(place: Place, webhooks: Webhooks) -> None:
    for _ in range(5):
        hook = await webhooks.create(LOCAL_ADMIN, draft("https://203.0.114.1/x", secret=SECRET))
        change = webhooks.update(LOCAL_ADMIN, hook.id, WebhookChange(secret="another"))
        await asyncio.gather(change, webhooks.delete(LOCAL_ADMIN, hook.id), return_exceptions=True)
    assert not list((place.folder / "secrets").iterdir())


async def test_secrets_that_no_webhook_uses_are_forgotten_at_start(place: Place) -> None:
    await FileSecrets(place.folder / "secrets").put("webhook-left-by-a-crash", "x")
    webhooks = place.webhooks()
    await webhooks.open()
    assert not list((place.folder / "secrets").iterdir())
    await webhooks.aclose()


async def test_without_its_secret_nothing_goes_out_unsigned(place: Place, webhooks: Webhooks) -> None:
    with Receiver() as receiver:
        hook = await webhooks.create(LOCAL_ADMIN, draft(receiver, secret=SECRET))
        next((place.folder / "secrets").iterdir()).unlink()
        await place.register("x")
        (delivery,) = await settled(webhooks, hook.id, all_are("failed", 1))
        assert receiver.received == []
        tested = await webhooks.test(LOCAL_ADMIN, hook.id)
    assert "secret is missing" in str(delivery.note)
    assert "secret is missing" in str(tested.problem)


async def test_what_looks_like_a_secret_does_not_leave_the_house(place: Place, webhooks: Webhooks) -> None:
    with Receiver() as receiver:
        await webhooks.create(LOCAL_ADMIN, draft(receiver, "card.tagged"))
        await place.register("x")
        card = place.registry.cards.named("word", "hello")
        await place.registry.cards.set_tag(LOCAL_ADMIN, card, "token", "sk-aaaaaaaaaaaaaaaaaaaaaaaa")
        (request,) = await came(receiver, 1)
    assert request.json["data"]["detail"] == {"key": "token", "value": "[redacted]"}


async def test_a_test_sends_an_example_once(webhooks: Webhooks) -> None:
    with Receiver(answers(500)) as receiver:
        hook = await webhooks.create(LOCAL_ADMIN, draft(receiver, "alias.set", "card.created"))
        first = await webhooks.test(LOCAL_ADMIN, hook.id)
        second = await webhooks.test(LOCAL_ADMIN, hook.id, "card.created")
    assert [request.event for request in receiver.received] == ["alias.set", "card.created"]
    assert first.answer is not None
    assert (first.answer.status, first.answer.body, second.problem) == (500, "ok", None)
    assert await webhooks.deliveries(LOCAL_ADMIN, hook.id) == []


@pytest.mark.parametrize("name", ["", "   ", "a b", "a/b", "-a", "a-", "_a", ".a", "a.", "a" * 64, "ä"])
async def test_a_name_that_is_none_is_refused(webhooks: Webhooks, name: str) -> None:
    with pytest.raises(InvalidInput, match="is invalid"):
        await webhooks.create(LOCAL_ADMIN, WebhookDraft(name, "https://example.com", ("card.created",)))


@pytest.mark.parametrize("name", ["a", "1", "a1", "web_hook-123.test", "A" * 63])
async def test_a_name_of_letters_digits_and_marks_is_taken(webhooks: Webhooks, name: str) -> None:
    made = await webhooks.create(LOCAL_ADMIN, WebhookDraft(name, "https://203.0.114.1/x", ("card.created",)))
    assert made.name == name


@pytest.mark.parametrize("events", [(), ("model.exploded",), ("card.created", "card.created")])
async def test_events_must_be_known_and_named_once(webhooks: Webhooks, events: Any) -> None:
    with pytest.raises(InvalidInput, match="event"):
        await webhooks.create(LOCAL_ADMIN, WebhookDraft("a", "https://example.com", events))


async def test_webhooks_are_an_admins_alone(webhooks: Webhooks) -> None:
    releaser = Principal("r", "default", Role.releaser)
    hook = await webhooks.create(LOCAL_ADMIN, draft("https://203.0.114.1/x"))
    for verb in (
        webhooks.create(releaser, draft("https://203.0.114.1/x")),
        webhooks.get(releaser, hook.id),
        webhooks.webhooks(releaser),
        webhooks.update(releaser, hook.id, WebhookChange(name="b")),
        webhooks.delete(releaser, hook.id),
        webhooks.test(releaser, hook.id),
        webhooks.deliveries(releaser, hook.id),
        webhooks.redeliver(releaser, hook.id, "x"),
    ):
        with pytest.raises(Forbidden):
            await verb
    with pytest.raises(NotFound):
        await webhooks.get(OTHER, hook.id)
    assert (await webhooks.webhooks(OTHER)).items == ()


async def test_pages_of_webhooks_neither_repeat_nor_skip(webhooks: Webhooks) -> None:
    made = [(await webhooks.create(LOCAL_ADMIN, draft("https://203.0.114.1/x"))).id for _ in range(5)]
    found: list[str] = []
    token = None
    while True:
        page = await webhooks.webhooks(LOCAL_ADMIN, 2, token)
        found += [webhook.id for webhook in page.items]
        if (token := page.next) is None:
            break
    assert sorted(found) == sorted(made)


@pytest.mark.parametrize("token", ["", "zzz", "é" * 32, "0" * 31])
async def test_a_page_token_that_no_page_gave_is_refused(webhooks: Webhooks, token: str) -> None:
    with pytest.raises(InvalidInput, match="Invalid page token"):
        await webhooks.webhooks(LOCAL_ADMIN, before=token)


async def test_a_receiver_that_is_answering_when_the_server_stops_is_not_called_again(place: Place) -> None:
    def slowly(request: Received) -> tuple[int, dict[str, str]]:
        time.sleep(0.3)
        return 200, {}

    first = place.webhooks()
    await first.open()
    with Receiver(slowly) as receiver:
        hook = await first.create(LOCAL_ADMIN, draft(receiver))
        await place.register("a", "b")
        await came(receiver, 1)
        await first.aclose()
        states = [item.state for item in await first.deliveries(LOCAL_ADMIN, hook.id)]
        assert sorted(states) == ["delivered", "pending"]


async def test_a_line_that_fails_is_not_begun_again_at_once(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    webhooks = place.webhooks()
    hook = await webhooks.create(LOCAL_ADMIN, draft("https://203.0.114.1/x"))
    await place.register("a")
    await webhooks.update(LOCAL_ADMIN, hook.id, WebhookChange(description="reads the outbox"))
    with sqlite3.connect(place.folder / "hooks.db") as database:
        database.execute("UPDATE webhook_deliveries SET attempts = 'damaged'")
    await webhooks.open()
    await asyncio.sleep(0.2)
    await webhooks.aclose()
    begun = len([record for record in caplog.records if "unforeseen" in record.message])
    assert begun in (1, 2), "once when it opens, and once more where it was nudged before"


async def test_what_happened_before_a_change_is_told_as_it_was_asked_for_then(place: Place) -> None:
    webhooks = place.webhooks()  # not opened yet: nothing reads the outbox but the change itself
    with Receiver() as receiver:
        hook = await webhooks.create(LOCAL_ADMIN, draft(receiver))
        await place.register("a")
        await webhooks.update(LOCAL_ADMIN, hook.id, WebhookChange(active=False, events=("alias.set",)))
        (held,) = await webhooks.deliveries(LOCAL_ADMIN, hook.id)
        assert (held.event, held.state) == ("revision.registered", "pending")
        await webhooks.open()
        await asyncio.sleep(0.1)
        assert receiver.received == []
        await webhooks.update(LOCAL_ADMIN, hook.id, WebhookChange(active=True))
        (request,) = await came(receiver, 1)
        await webhooks.aclose()
    assert request.delivery == held.id
