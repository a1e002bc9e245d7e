"""What a list of traces shows of a request and of its answer."""

from __future__ import annotations

import json
from typing import Any

from twinloop.control.tracing.conventions import plain

LIMIT = 1000
_TEXTS = ("text", "output_text")


def as_json(value: Any) -> str:
    """An attribute as the text that MLflow keeps of it: JSON with spaces, and text that is JSON already as it is."""
    if isinstance(value, str) and plain(value) is not value:
        return value
    return json.dumps(value, ensure_ascii=False)


def preview(value: Any, role: str) -> str:
    """The last message of ``role`` where ``value`` is a chat's request or answer, else its JSON; 1,000 characters at most."""
    text = _message(plain(value), role) or as_json(value)
    return text if len(text) <= LIMIT else text[: LIMIT - 3] + "..."


def _message(value: Any, role: str) -> str | None:
    messages = _messages(value)
    if not messages:
        return None
    content = next((m["content"] for m in reversed(messages) if m.get("role") == role), messages[-1]["content"])
    if isinstance(content, str):
        return content
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            return part
        if isinstance(part, dict) and part.get("type") in _TEXTS:
            return part["text"] if isinstance(part.get("text"), str) else None
    return None


def _messages(value: Any) -> list[dict[str, Any]]:
    """The messages of a request or answer of OpenAI's chat or responses interface."""
    for _ in range(2):
        if not isinstance(value, dict):
            return []
        choices = value.get("choices")
        if isinstance(value.get("messages"), list) and value["messages"]:
            return [item for item in value["messages"] if _is_message(item)]
        if (
            isinstance(choices, list)
            and choices
            and isinstance(choices[0], dict)
            and _is_message(choices[0].get("message"))
        ):
            return [choices[0]["message"]]
        for name in ("input", "output"):
            if isinstance(value.get(name), list) and value[name]:
                return [item for item in value[name] if _is_message(item)]
        value = value.get("request")
    return []


def _is_message(item: Any) -> bool:
    return isinstance(item, dict) and "role" in item and "content" in item
