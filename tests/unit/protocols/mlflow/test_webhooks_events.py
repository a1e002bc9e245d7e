from __future__ import annotations

from typing import Any

import pytest

from twinloop.control.registry.model import RegistryEvent
from twinloop.protocols.mlflow.webhooks import event_names
from twinloop.protocols.mlflow.webhooks_events import EXAMPLES, tell
from twinloop.protocols.mlflow.webhooks_wire import Event


def event(kind: str, action: Any, number: int | None = None, **detail: Any) -> RegistryEvent:
    return RegistryEvent(1, "default", kind, "slug", "The Title", number, 0, "me", action, detail)


@pytest.mark.parametrize(
    ("happened", "name", "data"),
    [
        (
            event("model", "card.created", tags={"a": "b"}, description=None),
            "registered_model.created",
            {"name": "The Title", "tags": {"a": "b"}, "description": None},
        ),
        (
            event("model", "revision.registered", 3, source="s3://b/m", run_id="r", tags={}, description="d"),
            "model_version.created",
            {
                "name": "The Title",
                "version": "3",
                "source": "s3://b/m",
                "run_id": "r",
                "tags": {},
                "description": "d",
            },
        ),
        (
            event("model", "revision.tagged", 3, key="k", value="v"),
            "model_version_tag.set",
            {"name": "The Title", "version": "3", "key": "k", "value": "v"},
        ),
        (
            event("model", "revision.untagged", 3, key="k"),
            "model_version_tag.deleted",
            {"name": "The Title", "version": "3", "key": "k"},
        ),
        (
            event("model", "alias.set", 3, alias="champion"),
            "model_version_alias.created",
            {"name": "The Title", "version": "3", "alias": "champion"},
        ),
        (
            event("model", "alias.removed", 3, alias="champion"),
            "model_version_alias.deleted",
            {"name": "The Title", "alias": "champion"},
        ),
        (
            event("prompt", "card.created", tags={"mlflow.prompt.is_prompt": "true", "a": "b"}, description="d"),
            "prompt.created",
            {"name": "The Title", "tags": {"a": "b"}, "description": "d"},
        ),
        (
            event(
                "prompt",
                "revision.registered",
                1,
                tags={
                    "mlflow.prompt.is_prompt": "true",
                    "mlflow.prompt.text": "Hi {{you}}",
                    "_mlflow_prompt_type": "text",
                    "a": "b",
                },
                description="d",
            ),
            "prompt_version.created",
            {"name": "The Title", "version": "1", "template": "Hi {{you}}", "tags": {"a": "b"}, "description": "d"},
        ),
        (
            event("prompt", "card.tagged", key="k", value="v"),
            "prompt_tag.set",
            {"name": "The Title", "key": "k", "value": "v"},
        ),
        (event("prompt", "card.untagged", key="k"), "prompt_tag.deleted", {"name": "The Title", "key": "k"}),
        (
            event("prompt", "revision.tagged", 1, key="k", value="v"),
            "prompt_version_tag.set",
            {"name": "The Title", "version": "1", "key": "k", "value": "v"},
        ),
        (
            event("prompt", "revision.untagged", 1, key="k"),
            "prompt_version_tag.deleted",
            {"name": "The Title", "version": "1", "key": "k"},
        ),
        (
            event("prompt", "alias.set", 1, alias="live"),
            "prompt_alias.created",
            {"name": "The Title", "version": "1", "alias": "live"},
        ),
        (
            event("prompt", "alias.removed", 1, alias="live"),
            "prompt_alias.deleted",
            {"name": "The Title", "alias": "live"},
        ),
    ],
)
def test_each_change_is_told_in_mlflows_words(happened: RegistryEvent, name: str, data: dict[str, Any]) -> None:
    (message,) = tell(happened)
    assert message == (name, data)
    assert set(EXAMPLES[name]) == set(data)


@pytest.mark.parametrize("kind", ["model", "prompt"])
def test_a_version_without_a_description_says_null_and_a_card_says_the_empty_text(kind: str) -> None:
    (version,) = tell(event(kind, "revision.registered", 1, tags={}, description=""))
    assert version.data["description"] is None
    (card,) = tell(event(kind, "card.created", tags={}, description=""))
    assert card.data["description"] == ""


@pytest.mark.parametrize(
    "happened",
    [
        event("model", "card.tagged", key="k", value="v"),
        event("model", "card.renamed", **{"from": "a", "to": "b"}),
        event("model", "revision.approved", 1),
        event("dataset", "revision.registered", 1),
    ],
)
def test_what_mlflow_has_no_word_for_is_not_told(happened: RegistryEvent) -> None:
    assert list(tell(happened)) == []


def test_the_events_and_examples_are_those_of_mlflow() -> None:
    webhook = pytest.importorskip("mlflow.entities.webhook", reason="mlflow is not installed to compare with")
    types = pytest.importorskip("mlflow.webhooks.types", reason="mlflow is not installed to compare with")
    theirs = {
        f"{entity.value}.{action.value}": types.get_example_payload_for_event(webhook.WebhookEvent(entity, action))
        for entity, actions in webhook.VALID_ENTITY_ACTIONS.items()
        for action in actions
    }
    assert theirs == EXAMPLES


def test_an_event_named_twice_counts_once() -> None:
    twice = [Event("MODEL_VERSION", "CREATED"), Event("PROMPT", "CREATED"), Event("MODEL_VERSION", "CREATED")]
    assert event_names(twice) == ("model_version.created", "prompt.created")
