"""``ask``: a question to a chat endpoint."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from twinloop.cli.arguments import Commands
from twinloop.cli.connection import connected, in_path
from twinloop.cli.output import show
from twinloop.core.errors import UpstreamError

if TYPE_CHECKING:
    from twinloop.sdk.client import Client

_QUOTE_SHOWN = 160


def declare(commands: Commands) -> None:
    ask = commands.add("ask", run_ask, "Ask a chat endpoint.", 'twinloop ask handbook "What is a release?"')
    ask.add_argument("endpoint")
    ask.add_argument("question", nargs="+")
    ask.add_argument("--system", help="a system message before the question")


def run_ask(arguments: argparse.Namespace) -> int:
    messages = [{"role": "user", "content": " ".join(arguments.question)}]
    if arguments.system:
        messages.insert(0, {"role": "system", "content": arguments.system})
    path = f"endpoints/{in_path(arguments.endpoint)}/chat"
    with connected(arguments) as client:
        if arguments.json:
            show(arguments, client.call("POST", path, json={"messages": messages, "stream": False}), lambda a: [])
            return 0
        citations, last = _print_stream(client, path, messages)
    for line in _after(citations, last):
        print(line)
    return 0


def _print_stream(client: Client, path: str, messages: list[dict[str, str]]) -> tuple[list[Any], dict[str, Any]]:
    citations: list[Any] = []
    for event in stream_events(client.call("POST", path, json={"messages": messages, "stream": True}, stream=True)):
        if "error" in event:
            raise UpstreamError(event["error"]["message"])
        sys.stdout.write(event.get("delta", ""))
        sys.stdout.flush()
        citations.extend(event.get("citations") or [])
        if event.get("done"):
            print()
            return citations, event
    print()
    raise UpstreamError("The answer broke off before its end. Ask again, and see the server's log.")


def stream_events(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON of each ``data:`` line of a stream of server-sent events, however it is cut into chunks."""
    import msgspec

    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:") and (text := line[5:].strip()) not in (b"", b"[DONE]"):
                yield msgspec.json.decode(text)


def citation_lines(citations: Iterable[dict[str, Any]]) -> Iterator[str]:
    """``[1] document › heading, characters 10 to 200`` and the quote."""
    for citation in citations:
        place = " › ".join([citation["document"], *citation["heading"]])
        yield f"[{citation['number']}] {place}, characters {citation['start']} to {citation['end']}"
        quote = " ".join(citation["quote"].split())
        yield f"    {quote if len(quote) <= _QUOTE_SHOWN else quote[: _QUOTE_SHOWN - 1] + '…'}"


def _after(citations: list[Any], last: dict[str, Any]) -> Iterator[str]:
    if citations:
        yield ""
        yield from citation_lines(citations)
    yield ""
    if last.get("declined"):
        yield "The documents do not answer this, so the endpoint declined."
    yield f"release {last['release']}   why: twinloop why {last['trace']}"
