"""Chats from a program: ask an endpoint, whole or piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from twinloop.sdk.client import Client

Json = dict[str, Any]


class Chat:
    def __init__(self, client: Client) -> None:
        self._client = client

    def ask(self, endpoint: str, question: str, before: Sequence[Mapping[str, str]] = (), **options: Any) -> Json:
        """Ask and wait for the whole answer.

        ``before`` holds earlier messages as {role, content}; ``options`` may be max_tokens, temperature, top_p, seed,
        stop. Returns {text, citations, declined, finish, usage, release, trace}.
        """
        return self._client.call("POST", _path(endpoint), _body(question, before, options))

    def stream(
        self, endpoint: str, question: str, before: Sequence[Mapping[str, str]] = (), **options: Any
    ) -> Iterator[Json]:
        """Ask and yield {delta, citations} as they come, at last {done, finish, declined, usage, release, trace}."""
        yield from self._client.events("POST", _path(endpoint), {**_body(question, before, options), "stream": True})


def _path(endpoint: str) -> str:
    return f"/api/v1/endpoints/{endpoint}/chat"


def _body(question: str, before: Sequence[Mapping[str, str]], options: Mapping[str, Any]) -> Json:
    return {"messages": [*map(dict, before), {"role": "user", "content": question}], **options}
