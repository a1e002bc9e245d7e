"""CPU per chat request: an endpoint with tracing on against a bare proxy to the same fake provider.

Both are separate processes (uvicorn, httptools, uvloop). The fake provider answers OpenAI chat completions with fixed
text; ``streamed`` has a piece every 2 ms, as a quick model would write it, and ``burst`` all pieces at once. The bare
proxy is an ASGI function and one aiohttp session that pass bytes on. CPU is what the kernel charged to every thread of
the server's process while a round ran and until its traces were written. Rounds alternate, and the ratio is that of the
medians.

    python -m benchmarks.gateway [--rounds 7] [--requests 300]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec

from benchmarks.processes import Process, process, serve

CONCURRENCY = 8
PIECES = 32
PACE_S = 0.002
PACED, BURST = "paced", "burst"
TARGET = 4.0
_SETTLE_S = 0.4

_WORDS = [f"word{number} " for number in range(PIECES)]
_HEAD = {"id": "chatcmpl-fake", "created": 1_700_000_000, "model": "fake"}
_USAGE = {"prompt_tokens": 20, "completion_tokens": PIECES, "total_tokens": 20 + PIECES}
_QUESTION = [{"role": "user", "content": "What is a release, and how is it rolled back when it goes wrong?"}]

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]


def _event(choices: list[Any], **fields: Any) -> bytes:
    return (
        b"data: "
        + msgspec.json.encode({**_HEAD, "object": "chat.completion.chunk", "choices": choices, **fields})
        + b"\n\n"
    )


EVENTS = [
    *(_event([{"index": 0, "delta": {"content": word}, "finish_reason": None}]) for word in _WORDS),
    _event([{"index": 0, "delta": {}, "finish_reason": "stop"}]),
    _event([], usage=_USAGE),
    b"data: [DONE]\n\n",
]
WHOLE = msgspec.json.encode(
    {
        **_HEAD,
        "object": "chat.completion",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "".join(_WORDS)}, "finish_reason": "stop"}
        ],
        "usage": _USAGE,
    }
)


async def _body(receive: Receive) -> bytes:
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


async def _start(send: Send, status: int, kind: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})


async def provider(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """The fake provider: the same answer to everybody, in pieces when asked so."""
    asked = msgspec.json.decode(await _body(receive))
    if not asked.get("stream"):
        await _start(send, 200, b"application/json")
        await send({"type": "http.response.body", "body": WHOLE})
        return
    await _start(send, 200, b"text/event-stream")
    pause = 0.0 if asked["model"] == BURST else PACE_S
    for event in EVENTS:
        await send({"type": "http.response.body", "body": event, "more_body": True})
        await asyncio.sleep(pause)
    await send({"type": "http.response.body", "body": b""})


def proxy(upstream: str) -> Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]:
    """The least that a gateway can be: pass the body there and the answer back, as it comes."""
    session: aiohttp.ClientSession | None = None

    async def application(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        nonlocal session
        if session is None:
            session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        data = await _body(receive)
        headers = {"content-type": "application/json"}
        async with session.post(f"{upstream}/v1/chat/completions", data=data, headers=headers) as answer:
            await _start(send, answer.status, answer.headers["content-type"].encode())
            async for chunk in answer.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return application


def release_endpoints(url: str, upstream: str) -> None:
    """Chat endpoints of a prompt and a generator at the fake provider, without an index: a plain proxy's work."""
    import twinloop

    with twinloop.connect(url=url) as client:
        prompt = {"system": "Answer in one sentence.", "template": "{context}\n\n{question}"}
        for name in (PACED, BURST):
            generator = {"engine": "openai", "url": f"{upstream}/v1", "model": name}
            pins = {
                "generator": client.revisions.register("generator", name, generator)["ref"],
                "prompt": client.revisions.register("prompt", "plain", prompt)["ref"],
            }
            client.endpoints.release(name, "chat", pins)


async def load(url: str, model: str, requests: int, stream: bool) -> None:
    """``requests`` chats, CONCURRENCY at a time. Raises when one is not answered in full."""
    body = msgspec.json.encode({"model": model, "messages": _QUESTION, "stream": stream})
    left = iter(range(requests))

    async def work(session: aiohttp.ClientSession) -> None:
        for _ in left:
            async with session.post(f"{url}/v1/chat/completions", data=body) as answer:
                text = await answer.read()
                if answer.status != 200 or b"word1 " not in text or (stream and not text.endswith(b"[DONE]\n\n")):
                    raise SystemExit(f"{url} answered {answer.status}: {text[:300]!r}")

    headers = {"content-type": "application/json"}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(work(session) for _ in range(CONCURRENCY)))


class Figures(NamedTuple):
    """Milliseconds of CPU per request, one figure a round."""

    mode: str
    bare: list[float]
    twinloop: list[float]

    @property
    def ratio(self) -> float:
        return statistics.median(self.twinloop) / statistics.median(self.bare)


def measure(bare: Process, twinloop: Process, rounds: int, requests: int) -> Iterator[Figures]:
    for mode, model, stream in (("whole", PACED, False), ("streamed", PACED, True), ("burst", BURST, True)):
        figures = Figures(mode, [], [])
        for number in range(rounds + 1):
            for target, found in ((bare, figures.bare), (twinloop, figures.twinloop)):
                before = target.cpu_seconds()
                asyncio.run(load(target.url, model, requests, stream))
                time.sleep(_SETTLE_S)
                used = (target.cpu_seconds() - before) * 1e3 / requests
                if number:  # the first round warms both up
                    found.append(used)
        yield figures


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 0 when all ratios are within the target, else 1."""
    parser = argparse.ArgumentParser(description="CPU per chat request against a bare proxy.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--serve", choices=["provider", "proxy"], help=argparse.SUPPRESS)
    parser.add_argument("--upstream", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        serve(provider if options.serve == "provider" else proxy(options.upstream))
        return 0
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="twinloop-bench-"))) / "home"
        upstream = stack.enter_context(process("benchmarks.gateway", "--serve", "provider"))
        bare = stack.enter_context(process("benchmarks.gateway", "--serve", "proxy", "--upstream", upstream.url))
        twinloop = stack.enter_context(process("twinloop", "up", "--port", "0", "--home", os.fspath(home)))
        release_endpoints(twinloop.url, upstream.url)
        print(f"gateway: CPU per chat request, {options.rounds} rounds of {options.requests}, {CONCURRENCY} at a time")
        print(f"{'':10}{'bare proxy':>14}{'endpoint':>14}{'ratio':>10}{'target':>10}")
        worst = 0.0
        for figures in measure(bare, twinloop, options.rounds, options.requests):
            low, high = statistics.median(figures.bare), statistics.median(figures.twinloop)
            print(f"{figures.mode:10}{low:11.3f} ms{high:11.3f} ms{figures.ratio:9.2f}×{TARGET:9.1f}×")
            worst = max(worst, figures.ratio)
    return 0 if worst <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
