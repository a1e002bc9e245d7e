"""An answer in pieces as OpenAI's server-sent events. Pure but for the clock its caller reads."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from twinloop.control.gateway.model import Deltas
from twinloop.control.releases.answers import ChatDelta, Citation, Usage
from twinloop.core.errors import TwinloopError
from twinloop.protocols.http import InternalError
from twinloop.protocols.openai.errors import body_of
from twinloop.protocols.openai.translate import annotate, completion_id, completion_usage
from twinloop.protocols.openai.wire import Provenance

log = logging.getLogger("twinloop.protocols")

DONE = b"data: [DONE]\n\n"
_encode = msgspec.json.Encoder().encode


def event(value: Any) -> bytes:
    return b"data: " + _encode(value) + b"\n\n"


class ChunkWriter:
    """Writes the ``chat.completion.chunk`` events of one answer. What is the same in all of them is encoded once."""

    def __init__(self, model: str, created: int, release: str, trace: str, include_usage: bool) -> None:
        self._release = release
        self._trace = trace
        self._include_usage = include_usage
        head = {"id": completion_id(trace), "object": "chat.completion.chunk", "created": created, "model": model}
        self._head = b"data: " + _encode(head)[:-1]
        self._rest = b',"usage":null' if include_usage else b""
        self._text: list[str] = []
        self._citations: list[Citation] = []

    def first(self) -> bytes:
        return self._chunk(b'{"role":"assistant","content":"","refusal":null}')

    def text(self, delta: ChatDelta) -> bytes:
        """A piece of text; citations that come with it are in the chunk's ``twinloop`` object."""
        self._text.append(delta.text)
        extra = b""
        if delta.citations:
            self._citations.extend(delta.citations)
            extra = b',"twinloop":' + _encode({"citations": delta.citations})
        return self._chunk(b'{"content":' + _encode(delta.text) + b"}", extra=extra)

    def last(self, finish: str, usage: Usage) -> bytes:
        """The finish reason with all annotations and the provenance, the usage when it was asked for, and the end."""
        provenance = Provenance(self._release, self._trace, finish == "declined", tuple(self._citations))
        delta = _encode({"annotations": annotate("".join(self._text), self._citations)} if self._citations else {})
        reason = b'"length"' if finish == "length" else b'"stop"'
        events = self._chunk(delta, reason, b',"twinloop":' + _encode(provenance))
        if self._include_usage:
            events += self._head + b',"choices":[],"usage":' + _encode(completion_usage(usage)) + b"}\n\n"
        return events + DONE

    def _chunk(self, delta: bytes, finish: bytes = b"null", extra: bytes = b"") -> bytes:
        choice = b',"choices":[{"index":0,"delta":' + delta + b',"logprobs":null,"finish_reason":' + finish + b"}]"
        return self._head + choice + self._rest + extra + b"}\n\n"


async def chunks(deltas: Deltas, writer: ChunkWriter) -> AsyncGenerator[bytes, None]:
    """Yield the events of an answer; an error in the middle becomes an error event, after which the stream ends.

    Closing this iterator closes ``deltas``, which stops the generation.
    """
    finish, usage = "stop", Usage()
    begun = False
    try:
        async with aclosing(deltas):
            async for delta in deltas:
                if not begun:
                    begun = True
                    yield writer.first()
                if delta.text or delta.citations:
                    yield writer.text(delta)
                finish = delta.finish or finish
                usage = delta.usage or usage
    except TwinloopError as error:
        yield event(body_of(error))
        return
    except Exception:
        log.exception("A streamed answer failed")
        yield event(body_of(InternalError("Something went wrong inside Twinloop; its log says what.")))
        return
    yield writer.last(finish, usage)
