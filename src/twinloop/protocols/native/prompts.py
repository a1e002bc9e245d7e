"""/api/v1/prompts: what a prompt says with its variables filled."""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec
from starlette.routing import Route

from twinloop.llm.prompts.service import Prompts
from twinloop.protocols.http import Call, route
from twinloop.protocols.native.errors import NATIVE


class RenderBody(msgspec.Struct, frozen=True):
    """A value for each variable of the prompt; what is not text is written as JSON."""

    variables: dict[str, Any] = {}


class Said(TypedDict):
    """``text`` for a text prompt, ``messages`` for a chat prompt; the other is null."""

    prompt: str
    digest: str
    text: str | None
    messages: list[dict[str, Any]] | None


def routes(prompts: Prompts) -> list[Route]:
    async def render(call: Call, body: RenderBody) -> Said:
        """Fill a prompt's variables; missing and unknown ones are named."""
        found = await prompts.render(call.who, call.path["ref"], body.variables)
        return {
            "prompt": found.revision.ref,
            "digest": found.revision.digest,
            "text": found.rendered.text,
            "messages": found.rendered.messages,
        }

    return [route(NATIVE, "POST", "/api/v1/prompts/{ref:path}/render", render, body=RenderBody, answer=Said)]
