"""The registry's events in the words of MLflow's webhooks: what each is called, and what it brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from twinloop.control.registry.model import RegistryEvent
from twinloop.control.webhooks.model import Message
from twinloop.protocols.mlflow.registry_checks import PROMPT_TEXT
from twinloop.protocols.mlflow.registry_translate import IS_PROMPT, PROMPT_TYPE

_MARKS = (IS_PROMPT, PROMPT_TYPE)


class _Words(NamedTuple):
    """What MLflow calls the parts of one kind of thing; None where it has no event."""

    card: str
    revision: str
    card_tag: str | None
    revision_tag: str
    alias: str


_WORDS: Mapping[str, _Words] = {
    "model": _Words("registered_model", "model_version", None, "model_version_tag", "model_version_alias"),
    "prompt": _Words("prompt", "prompt_version", "prompt_tag", "prompt_version_tag", "prompt_alias"),
}

_TAGS = {"example_key": "example_value"}
_BUDGET = {
    "budget_policy_id": "bp-abc123",
    "budget_unit": "USD",
    "budget_amount": 100.0,
    "current_spend": 105.5,
    "duration_unit": "MONTHS",
    "duration_value": 1,
    "target_scope": "ENDPOINT",
    "workspace": "default",
    "target_value": "ep-abc123",
    "window_start": 1704067200000,
}


def _examples() -> dict[str, Mapping[str, Any]]:
    made: dict[str, Mapping[str, Any]] = {}
    for kind, words in _WORDS.items():
        name = {"name": f"example_{kind}"}
        version = {**name, "version": "1"}
        label = "registered model" if kind == "model" else "prompt"
        made[f"{words.card}.created"] = {**name, "tags": _TAGS, "description": f"An example {label}"}
        own = (
            {"source": "models:/123", "run_id": "abcd1234abcd5678"}
            if kind == "model"
            else {"template": "Hello {{name}}!"}
        )
        made[f"{words.revision}.created"] = {
            **version,
            **own,
            "tags": _TAGS,
            "description": f"An example {kind} version",
        }
        for tag, owner in ((words.card_tag, name), (words.revision_tag, version)):
            if tag is not None:
                made[f"{tag}.set"] = {**owner, "key": "example_key", "value": "example_value"}
                made[f"{tag}.deleted"] = {**owner, "key": "example_key"}
        made[f"{words.alias}.created"] = {**name, "alias": "example_alias", "version": "1"}
        made[f"{words.alias}.deleted"] = {**name, "alias": "example_alias"}
    return made | {"budget_policy.exceeded": _BUDGET}


EXAMPLES = _examples()
"""Every event MLflow's webhooks know, with the data its receivers are shown in a test. Budgets are not kept here yet."""


def tell(event: RegistryEvent) -> Sequence[Message]:
    """What MLflow would say of a change in the registry; nothing where it has no word for it."""
    words = _WORDS.get(event.kind)
    if words is None:
        return ()
    name, detail = {"name": event.title}, event.detail
    version = {**name, "version": str(event.number)}
    tag = {"key": detail.get("key")}
    match event.action:
        case "card.created":
            return [Message(f"{words.card}.created", {**name, **_described(detail)})]
        case "revision.registered":
            return [Message(f"{words.revision}.created", {**version, **_registered(event)})]
        case "card.tagged" if words.card_tag:
            return [Message(f"{words.card_tag}.set", {**name, **tag, "value": detail.get("value")})]
        case "card.untagged" if words.card_tag:
            return [Message(f"{words.card_tag}.deleted", {**name, **tag})]
        case "revision.tagged":
            return [Message(f"{words.revision_tag}.set", {**version, **tag, "value": detail.get("value")})]
        case "revision.untagged":
            return [Message(f"{words.revision_tag}.deleted", {**version, **tag})]
        case "alias.set":
            return [Message(f"{words.alias}.created", {**version, "alias": detail.get("alias")})]
        case "alias.removed":
            return [Message(f"{words.alias}.deleted", {**name, "alias": detail.get("alias")})]
        case _:
            return ()


def _registered(event: RegistryEvent) -> dict[str, Any]:
    """A version that was given no description says null; a model says the empty text. So it is in MLflow."""
    detail = event.detail
    told = _described(detail)
    told["description"] = told["description"] or None
    if event.kind == "prompt":
        return {"template": told["tags"].pop(PROMPT_TEXT, None), **told}
    return {"source": detail.get("source") or "", "run_id": detail.get("run_id"), **told}


def _described(detail: Mapping[str, Any]) -> dict[str, Any]:
    tags = {key: value for key, value in (detail.get("tags") or {}).items() if key not in _MARKS}
    return {"tags": tags, "description": detail.get("description")}
