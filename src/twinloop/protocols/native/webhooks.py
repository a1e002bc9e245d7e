"""/api/v1/webhooks: who is told what changed, and what became of it."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

import msgspec
from starlette.routing import Route

from twinloop.control.webhooks.model import Delivery, State, Webhook, WebhookChange, WebhookDraft
from twinloop.control.webhooks.service import Tested, Webhooks
from twinloop.core.clock import iso
from twinloop.protocols.http import Call, route
from twinloop.protocols.native import wire
from twinloop.protocols.native.errors import NATIVE

_PATH = "/api/v1/webhooks"


class NewWebhook(msgspec.Struct, frozen=True):
    """``secret`` signs every body and is never shown again; ``events`` are names such as ``release.promoted``."""

    name: str
    url: str
    events: list[str]
    description: str | None = None
    secret: str | None = None
    active: bool = True


class WebhookPatch(msgspec.Struct, frozen=True):
    """What to change; null leaves it. An empty ``secret`` takes it away."""

    name: str | None = None
    url: str | None = None
    events: list[str] | None = None
    description: str | None = None
    secret: str | None = None
    active: bool | None = None


class TestRequest(msgspec.Struct, frozen=True):
    """``event`` is what to send an example of; null takes the first the webhook listens for."""

    event: str | None = None


class Redelivery(msgspec.Struct, frozen=True):
    """``delivery`` is the id of the delivery to send again."""

    delivery: str


class WebhookQuery(msgspec.Struct, frozen=True):
    limit: wire.Limit = 100
    token: str = ""


class DeliveryQuery(msgspec.Struct, frozen=True):
    state: Literal["pending", "delivered", "failed", "cancelled", ""] = ""
    limit: wire.Limit = 100
    before: wire.Before = 0


class WebhookJson(TypedDict):
    """``signed`` says whether there is a secret."""

    id: str
    name: str
    url: str
    events: list[str]
    description: str | None
    active: bool
    signed: bool
    created_at: str
    updated_at: str


class WebhookList(TypedDict):
    """``next`` is the token of the part behind this one, null at the end."""

    webhooks: list[WebhookJson]
    next: str | None


class DeliveryJson(TypedDict):
    """One body on its way; ``id`` is the same in every attempt. ``note`` says what went wrong last."""

    id: str
    webhook: str
    event: str
    state: State
    attempts: int
    status: int | None
    note: str | None
    created_at: str
    created_ns: int
    due_at: str | None
    ended_at: str | None


class DeliveryList(TypedDict):
    deliveries: list[DeliveryJson]


class TestResult(TypedDict):
    """``status`` and ``body`` are the receiver's answer; ``problem`` says why there is none."""

    delivered: bool
    status: int | None
    body: str | None
    problem: str | None


class EventList(TypedDict):
    """Every event that can be listened for, with data as an example."""

    events: dict[str, dict[str, Any]]


class Deleted(TypedDict):
    deleted: str


def routes(webhooks: Webhooks) -> list[Route]:
    async def create(call: Call, body: NewWebhook) -> WebhookJson:
        """Make a webhook; it is told what happens from now on."""
        draft = WebhookDraft(body.name, body.url, tuple(body.events), body.description, body.secret, body.active)
        return _webhook(await webhooks.create(call.who, draft))

    async def listing(call: Call, query: WebhookQuery) -> WebhookList:
        """Webhooks, newest first, without their secrets."""
        found = await webhooks.webhooks(call.who, query.limit, query.token or None)
        return {"webhooks": [_webhook(webhook) for webhook in found.items], "next": found.next}

    async def events(call: Call) -> EventList:
        """The events that can be listened for."""
        return {"events": {name: dict(data) for name, data in sorted(webhooks.examples.items())}}

    async def get(call: Call) -> WebhookJson:
        """One webhook."""
        return _webhook(await webhooks.get(call.who, call.path["id"]))

    async def update(call: Call, body: WebhookPatch) -> WebhookJson:
        """Change some of a webhook, or switch it off and on."""
        events = None if body.events is None else tuple(body.events)
        change = WebhookChange(body.name, body.url, events, body.description, body.secret, body.active)
        return _webhook(await webhooks.update(call.who, call.path["id"], change))

    async def delete(call: Call) -> Deleted:
        """Delete a webhook; what was not sent yet is cancelled."""
        await webhooks.delete(call.who, call.path["id"])
        return {"deleted": call.path["id"]}

    async def test(call: Call, body: TestRequest) -> TestResult:
        """Send an example once and tell what the receiver answered."""
        return _result(await webhooks.test(call.who, call.path["id"], body.event))

    async def deliveries(call: Call, query: DeliveryQuery) -> DeliveryList:
        """What became of deliveries, newest first. They are kept for 30 days."""
        found = await webhooks.deliveries(
            call.who, call.path["id"], query.state or None, query.limit, query.before or None
        )
        return {"deliveries": [_delivery(delivery) for delivery in found]}

    async def redeliver(call: Call, body: Redelivery) -> DeliveryJson:
        """Send a delivery again, under the same id."""
        return _delivery(await webhooks.redeliver(call.who, call.path["id"], body.delivery))

    return [
        route(NATIVE, "POST", _PATH, create, body=NewWebhook, answer=WebhookJson),
        route(NATIVE, "GET", _PATH, listing, query=WebhookQuery, answer=WebhookList),
        route(NATIVE, "GET", f"{_PATH}/events", events, answer=EventList),
        route(NATIVE, "GET", f"{_PATH}/{{id}}", get, answer=WebhookJson),
        route(NATIVE, "PATCH", f"{_PATH}/{{id}}", update, body=WebhookPatch, answer=WebhookJson),
        route(NATIVE, "DELETE", f"{_PATH}/{{id}}", delete, answer=Deleted),
        route(NATIVE, "POST", f"{_PATH}/{{id}}/test", test, body=TestRequest, answer=TestResult),
        route(NATIVE, "GET", f"{_PATH}/{{id}}/deliveries", deliveries, query=DeliveryQuery, answer=DeliveryList),
        route(NATIVE, "POST", f"{_PATH}/{{id}}/deliveries", redeliver, body=Redelivery, answer=DeliveryJson),
    ]


def _webhook(webhook: Webhook) -> WebhookJson:
    return {
        "id": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "events": list(webhook.events),
        "description": webhook.description,
        "active": webhook.active,
        "signed": webhook.secret is not None,
        "created_at": iso(webhook.created_ms * 1_000_000),
        "updated_at": iso(webhook.updated_ms * 1_000_000),
    }


def _delivery(delivery: Delivery) -> DeliveryJson:
    return {
        "id": delivery.id,
        "webhook": delivery.webhook,
        "event": delivery.event,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "status": delivery.status,
        "note": delivery.note,
        "created_at": iso(delivery.created_ns),
        "created_ns": delivery.created_ns,
        "due_at": iso(delivery.due_ns) if delivery.state == "pending" else None,
        "ended_at": None if delivery.ended_ns is None else iso(delivery.ended_ns),
    }


def _result(tested: Tested) -> TestResult:
    answer = tested.answer
    return {
        "delivered": answer is not None and answer.taken,
        "status": None if answer is None else answer.status,
        "body": None if answer is None else answer.body,
        "problem": tested.problem,
    }
