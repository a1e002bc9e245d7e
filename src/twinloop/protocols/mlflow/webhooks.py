"""Handlers of ``webhooks…``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twinloop.control.webhooks.model import Webhook, WebhookChange, WebhookDraft
from twinloop.control.webhooks.service import Tested, Webhooks
from twinloop.core.errors import InvalidInput
from twinloop.protocols.http import Call
from twinloop.protocols.mlflow import translate
from twinloop.protocols.mlflow import webhooks_wire as wire
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.request import read
from twinloop.protocols.mlflow.webhooks_events import EXAMPLES

Json = dict[str, Any]
_PATH = "/api/2.0/mlflow/webhooks"


class WebhookHandlers:
    """One method per endpoint: decode, call one verb, encode."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    async def create(self, call: Call) -> Json:
        """Make a webhook."""
        request = await read(call, wire.Create)
        draft = WebhookDraft(
            request.name,
            request.url,
            event_names(request.events),
            request.description,
            request.secret,
            request.status == "ACTIVE",
        )
        return {"webhook": webhook_json(await self._webhooks.create(call.who, draft))}

    async def listing(self, call: Call) -> Json:
        """Webhooks, newest first."""
        request = await read(call, wire.Listing)
        limit = translate.integer(request.max_results, "max_results") or wire.PAGE
        found = await self._webhooks.webhooks(call.who, limit, request.page_token or None)
        return translate.page_json("webhooks", found, [webhook_json(item) for item in found.items if _known(item)])

    async def get(self, call: Call) -> Json:
        """One webhook by its id."""
        return {"webhook": webhook_json(await self._webhooks.get(call.who, call.path["webhook_id"]))}

    async def update(self, call: Call) -> Json:
        """Change some of a webhook."""
        request = await read(call, wire.Update)
        id = call.path["webhook_id"]
        there = await self._webhooks.get(call.who, id)
        events = None
        if request.events:
            # What MLflow's clients cannot see they cannot mean to take away.
            events = (*event_names(request.events), *(event for event in there.events if event not in EXAMPLES))
        change = WebhookChange(
            name=request.name or None,
            url=request.url or None,
            events=events,
            description=request.description,
            secret=request.secret,
            active=None if request.status is None else request.status == "ACTIVE",
        )
        return {"webhook": webhook_json(await self._webhooks.update(call.who, id, change))}

    async def delete(self, call: Call) -> Json:
        """Delete a webhook."""
        await self._webhooks.delete(call.who, call.path["webhook_id"])
        return {}

    async def test(self, call: Call) -> Json:
        """Send an example to a webhook and tell what it answered."""
        request = await read(call, wire.Test)
        event = None if request.event is None else event_names([request.event])[0]
        return {"result": result_json(await self._webhooks.test(call.who, call.path["webhook_id"], event))}


def event_names(events: Sequence[wire.Event]) -> tuple[str, ...]:
    """``model_version.created`` for MODEL_VERSION and CREATED, each once. Raises InvalidInput for others than MLflow's."""
    found: dict[str, None] = {}
    for event in events:
        entity, action = event.entity.lower(), event.action.lower()
        name = f"{entity}.{action}"
        if name not in EXAMPLES:
            valid = sorted(known.partition(".")[2] for known in EXAMPLES if known.partition(".")[0] == entity)
            raise InvalidInput(
                f"Invalid action {action[:40]!r} for entity {entity[:40]!r}. Valid actions are: {valid}. "
                "See MLflow's WebhookEvent for its entities."
            )
        found[name] = None
    return tuple(found)


def webhook_json(webhook: Webhook) -> Json:
    """A webhook without its secret. Events that MLflow has no words for are left out."""
    found: Json = {
        "webhook_id": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "events": [_event_json(event) for event in webhook.events if event in EXAMPLES],
        "status": "ACTIVE" if webhook.active else "DISABLED",
        "creation_timestamp": webhook.created_ms,
        "last_updated_timestamp": webhook.updated_ms,
    }
    if webhook.description is not None:
        found["description"] = webhook.description
    return found


def result_json(tested: Tested) -> Json:
    if tested.answer is None:
        return {"success": False, "error_message": f"Failed to test webhook: {tested.problem}"}
    answer = tested.answer
    return {"success": answer.status < 400, "response_status": answer.status, "response_body": answer.body}


def _event_json(event: str) -> Json:
    entity, _, action = event.upper().partition(".")
    return {"entity": entity, "action": action}


def _known(webhook: Webhook) -> bool:
    """Whether MLflow's clients can read it: they refuse a webhook without events."""
    return any(event in EXAMPLES for event in webhook.events)


def endpoints(webhooks: Webhooks) -> list[Endpoint]:
    """What MLflow offers on webhooks."""
    handlers = WebhookHandlers(webhooks)
    return [
        Endpoint("POST", _PATH, handlers.create),
        Endpoint("GET", _PATH, handlers.listing),
        Endpoint("GET", f"{_PATH}/{{webhook_id}}", handlers.get),
        Endpoint("PATCH", f"{_PATH}/{{webhook_id}}", handlers.update),
        Endpoint("DELETE", f"{_PATH}/{{webhook_id}}", handlers.delete),
        Endpoint("POST", f"{_PATH}/{{webhook_id}}/test", handlers.test),
    ]
