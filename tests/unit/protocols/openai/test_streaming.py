"""OpenAI's event stream, written piece by piece."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

from twinloop.control.releases.answers import ChatDelta, Citation, Usage
from twinloop.core.errors import UpstreamError
from twinloop.protocols.openai.streaming import DONE, ChunkWriter, chunks

CITATION = Citation(1, "document/a.md@1", "A", ("A",), 0, 5, "quote", 0.9)


def writer(include_usage: bool = False) -> ChunkWriter:
    return ChunkWriter("handbook", 1_700_000_000, "handbook@3", "ab" * 16, include_usage)


async def answer() -> AsyncGenerator[ChatDelta, None]:
    yield ChatDelta("It is so ")
    yield ChatDelta("[1].", (CITATION,))
    yield ChatDelta(finish="stop", usage=Usage(12, 5))


async def events(deltas: AsyncGenerator[ChatDelta, None], using: ChunkWriter) -> list[Any]:
    raw = b"".join([event async for event in chunks(deltas, using)])
    return [line.removeprefix("data: ") for line in raw.decode().split("\n\n") if line]


async def test_a_stream_opens_with_the_role_and_ends_with_done() -> None:
    lines = await events(answer(), writer())
    assert lines[-1] == "[DONE]"
    decoded = [json.loads(line) for line in lines[:-1]]
    assert decoded[0]["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in decoded) == "It is so [1]."
    assert [chunk["choices"][0]["finish_reason"] for chunk in decoded] == [None, None, None, "stop"]
    assert {chunk["id"] for chunk in decoded} == {"chatcmpl-" + "ab" * 16}
    assert all("usage" not in chunk for chunk in decoded)


async def test_citations_come_with_their_text_and_as_annotations_at_the_end() -> None:
    decoded = [json.loads(line) for line in (await events(answer(), writer()))[:-1]]
    assert decoded[2]["twinloop"]["citations"][0]["document"] == "document/a.md@1"
    place = decoded[-1]["choices"][0]["delta"]["annotations"][0]["url_citation"]
    assert "It is so [1]."[place["start_index"] : place["end_index"]] == "[1]"
    assert decoded[-1]["twinloop"]["release"] == "handbook@3"


async def test_usage_comes_in_a_chunk_of_its_own_when_asked_for() -> None:
    decoded = [json.loads(line) for line in (await events(answer(), writer(include_usage=True)))[:-1]]
    assert [chunk["usage"] for chunk in decoded[:-1]] == [None] * 4
    assert decoded[-1]["choices"] == []
    assert decoded[-1]["usage"] == {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}


async def test_an_error_in_the_middle_is_an_event_and_the_end() -> None:
    async def breaking() -> AsyncGenerator[ChatDelta, None]:
        yield ChatDelta("Half an ans")
        raise UpstreamError("The provider hung up. Try again.")

    lines = await events(breaking(), writer())
    assert json.loads(lines[-1])["error"]["message"] == "The provider hung up. Try again."
    assert DONE.decode().strip() not in [f"data: {line}" for line in lines]


async def test_an_unforeseen_error_shows_nothing_of_the_inside() -> None:
    async def breaking() -> AsyncGenerator[ChatDelta, None]:
        yield ChatDelta("Half")
        raise RuntimeError("secret detail")

    lines = await events(breaking(), writer())
    assert "secret" not in lines[-1]
    assert json.loads(lines[-1])["error"]["type"] == "server_error"


async def test_leaving_early_stops_the_generation() -> None:
    stopped = []

    async def endless() -> AsyncGenerator[ChatDelta, None]:
        try:
            while True:
                yield ChatDelta("more ")
        finally:
            stopped.append(True)

    stream = chunks(endless(), writer())
    await anext(stream)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert stopped == [True]
