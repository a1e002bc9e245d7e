"""The client against a server that misbehaves in every way a provider can."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from twinloop.backends.openai_http.chat import OpenAiChatEngine
from twinloop.backends.openai_http.client import OpenAiClient, Timeouts, check_url
from twinloop.core.errors import DeadlineExceeded, InvalidInput, TwinloopError, Unavailable, UpstreamError
from twinloop.llm.generation.ports import Chunk, Message

KEY = "sk-secret-key"
CHUNK = b'data: {"choices":[{"delta":{"content":"Hello"},"finish_reason":null}]}\n\n'
END = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


class Provider:
    """Answers as its ``model`` is called; remembers who left."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.keys: list[str | None] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers.get("Authorization"))
        model = (await request.json())["model"]
        if model.isdigit():
            headers = {"Location": "http://127.0.0.1:9/v1"} if model == "302" else {}
            error = {"error": {"message": f"bad thing with {KEY}", "code": "x"}}
            return web.json_response(error, status=int(model), headers=headers)
        if model == "too-long":
            return web.json_response({"error": {"message": "8k", "code": "context_length_exceeded"}}, status=400)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if model == "silent":
            await asyncio.sleep(5)
        await response.write(CHUNK)
        if model == "ends":
            await response.write(END)
        elif model == "breaks":
            assert request.transport is not None
            request.transport.abort()
        elif model == "talks":
            try:
                while True:
                    await response.write(CHUNK)
                    await asyncio.sleep(0.01)
            except (ConnectionError, asyncio.CancelledError):
                self.left.set()
                raise
        return response


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
async def url(provider: Provider) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", provider.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    await runner.cleanup()


async def ask(url: str, model: str) -> list[Chunk]:
    engine = OpenAiChatEngine(OpenAiClient(url, KEY, Timeouts(connect=1, silence=0.3, whole=5)), model)
    try:
        async with contextlib.aclosing(engine.stream([Message("user", "hi")])) as chunks:
            return [chunk async for chunk in chunks]
    finally:
        await engine.aclose()


async def test_an_answer_is_streamed_with_the_key_as_bearer_token(url: str, provider: Provider) -> None:
    assert await ask(url, "ends") == [Chunk("Hello"), Chunk("", "stop")]
    assert provider.keys == [f"Bearer {KEY}"]


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("400", UpstreamError),
        ("401", UpstreamError),
        ("403", UpstreamError),
        ("404", UpstreamError),
        ("408", DeadlineExceeded),
        ("429", Unavailable),
        ("500", UpstreamError),
        ("503", Unavailable),
        ("504", DeadlineExceeded),
        ("302", UpstreamError),
        ("too-long", InvalidInput),
        ("silent", DeadlineExceeded),
        ("breaks", UpstreamError),
        ("falls-silent-after-a-word", UpstreamError),
    ],
)
async def test_each_failure_becomes_its_error(url: str, model: str, error: type[TwinloopError]) -> None:
    with pytest.raises(error) as caught:
        await ask(url, model)
    assert type(caught.value) is error


async def test_the_providers_words_are_kept_and_the_key_is_cut_out(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(UpstreamError, match=r"bad thing with \*\*\*") as caught:
        await ask(url, "401")
    assert KEY not in caught.value.message
    assert KEY not in caplog.text


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        await ask("http://127.0.0.1:9/v1", "any")


async def test_leaving_early_is_seen_by_the_provider(url: str, provider: Provider) -> None:
    engine = OpenAiChatEngine(OpenAiClient(url), "talks")
    async with contextlib.aclosing(engine.stream([Message("user", "hi")])) as chunks:
        async for _chunk in chunks:
            break
    async with asyncio.timeout(2):
        await provider.left.wait()
    await engine.aclose()


async def test_a_closed_client_says_so() -> None:
    client = OpenAiClient("http://127.0.0.1:9/v1")
    await client.aclose()
    await client.aclose()
    with pytest.raises(Unavailable, match="closed"):
        await client.get("models")


@pytest.mark.parametrize(
    "url", ["", "host/v1", "ftp://host", "http://", "http://user:pw@host", "http://host/?key=1", "http://host:99999/"]
)
def test_an_address_that_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="not an engine's URL"):
        check_url(url)
