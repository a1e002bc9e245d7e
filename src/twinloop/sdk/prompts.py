"""Prompts from a program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twinloop.sdk.client import Client

Json = dict[str, Any]


class Prompts:
    def __init__(self, client: Client) -> None:
        self._client = client

    def register(
        self,
        name: str,
        system: str,
        template: str | None = None,
        retrieval: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        decline: str | None = None,
    ) -> Json:
        """Register ``prompt/<name>`` and return its revision; what is left out takes its default, written out.

        Raises:
            DefinitionError: a field is wrong.
        """
        from twinloop.sdk.definitions import Prompt

        declared = Prompt(
            name=name,
            system=system,
            template=template,
            retrieval=dict(retrieval or {}),
            options=dict(options or {}),
            decline=decline,
        )
        return self._client.revisions.register("prompt", name, declared.manifest())

    def render(self, ref: str, **variables: Any) -> str | list[Json]:
        """What the prompt ``ref`` (``name``, ``name@3``, ``name@alias``) says with its variables filled.

        Returns:
            The text of a text prompt, or the messages of a chat prompt.

        Raises:
            InvalidInput: a variable has no value, or a value no variable.
        """
        whole = ref if "/" in ref else f"prompt/{ref}"
        said = self._client.call("POST", f"/api/v1/prompts/{whole}/render", {"variables": variables})
        return said["text"] if said["text"] is not None else said["messages"]
