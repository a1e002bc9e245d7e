"""``ask``: a question to a chat endpoint."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from twinloop.cli.arguments import Commands
from twinloop.cli.connection import connected
from twinloop.cli.output import show
from twinloop.core.errors import UpstreamError

_QUOTE_SHOWN = 160


def declare(commands: Commands) -> None:
    ask = commands.add("ask", run_ask, "Ask a chat endpoint.", 'twinloop ask handbook "What is a release?"')
    ask.add_argument("endpoint")
    ask.add_argument("question", nargs="+")
    ask.add_argument("--system", help="a system message before the question")


def run_ask(arguments: argparse.Namespace) -> int:
    question = " ".join(arguments.question)
    before = [{"role": "system", "content": arguments.system}] if arguments.system else []
    with connected(arguments, ready=True) as client:
        if arguments.json:
            show(arguments, client.chat.ask(arguments.endpoint, question, before), lambda answer: [])
            return 0
        citations, last = print_stream(client.chat.stream(arguments.endpoint, question, before))
    for line in after(citations, last):
        print(line)
    return 0


def print_stream(events: Iterable[dict[str, Any]]) -> tuple[list[Any], dict[str, Any]]:
    """Print an answer as it comes; return its citations and its last event.

    Raises:
        UpstreamError: the stream ended before the answer did.
    """
    citations: list[Any] = []
    for event in events:
        sys.stdout.write(event.get("delta", ""))
        sys.stdout.flush()
        citations.extend(event.get("citations") or [])
        if event.get("done"):
            print()
            return citations, event
    print()
    raise UpstreamError("The answer broke off before its end. Ask again, and see the server's log.")


def citation_lines(citations: Iterable[dict[str, Any]]) -> Iterator[str]:
    """``[1] document › heading, characters 10 to 200`` and the quote."""
    for citation in citations:
        place = " › ".join([citation["document"], *citation["heading"]])
        yield f"[{citation['number']}] {place}, characters {citation['start']} to {citation['end']}"
        quote = " ".join(citation["quote"].split())
        yield f"    {quote if len(quote) <= _QUOTE_SHOWN else quote[: _QUOTE_SHOWN - 1] + '…'}"


def after(citations: list[Any], last: dict[str, Any]) -> Iterator[str]:
    if citations:
        yield ""
        yield from citation_lines(citations)
    yield ""
    if last.get("declined"):
        yield "The documents do not answer this, so the endpoint declined."
    yield f"release {last['release']}   why: twinloop why {last['trace']}"
