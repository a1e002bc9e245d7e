"""``demo``: start a server, tell the story, and keep serving."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from twinloop.cli.arguments import Commands
from twinloop.cli.connection import wait_until_ready
from twinloop.core.errors import InvalidInput, Unavailable

_READY_S = 60
_STOP_S = 60


def declare(commands: Commands) -> None:
    demo = commands.add(
        "demo", run_demo, "Tell the whole story on real data, then keep serving.", "twinloop demo --once"
    )
    demo.add_argument("--once", action="store_true", help="end after the story and leave nothing running")
    demo.add_argument("--port", type=int, help="port to serve on (default: 7700; a free one with --once)")
    demo.add_argument(
        "--documents", type=Path, metavar="FOLDER", help="documents to answer from (default: Twinloop's own)"
    )
    demo.add_argument(
        "--chat-url", metavar="URL", help="an OpenAI-compatible provider that writes the answers (https://…/v1)"
    )
    demo.add_argument("--chat-key", metavar="KEY", help="its key")
    demo.add_argument("--chat-model", metavar="NAME", help="its model; needed with --chat-url")


def run_demo(arguments: argparse.Namespace) -> int:
    import twinloop
    from twinloop.cli.story import endings
    from twinloop.cli.story.flights import ENDPOINT as FLIGHTS
    from twinloop.cli.story.flights import Flights
    from twinloop.cli.story.handbook import ENDPOINT as HANDBOOK
    from twinloop.cli.story.handbook import SECRET, Handbook, Provider
    from twinloop.cli.story.teller import Teller
    from twinloop.core.settings import load

    if arguments.chat_url and not arguments.chat_model:
        raise InvalidInput("--chat-url needs the name of a model. Give --chat-model too.")
    provider = (
        Provider(arguments.chat_url, arguments.chat_model, bool(arguments.chat_key)) if arguments.chat_url else None
    )
    settings = load({"home": arguments.home})
    port = arguments.port if arguments.port is not None else 0 if arguments.once else settings.port
    signal.signal(signal.SIGTERM, _interrupt)
    secrets = {f"TWINLOOP_SECRET_{SECRET.upper()}": arguments.chat_key} if arguments.chat_key else {}
    with _server(settings.home, port, secrets) as server, twinloop.connect(url=server.url) as client:
        wait_until_ready(client)
        teller = Teller(client)
        teller.chapter(f"Serving {server.url} from {settings.home}")
        flights = Flights(teller)
        handbook = Handbook(teller, settings.home / "demo" / "documents", arguments.documents, provider)
        flights.tell()
        handbook.tell()
        endings.explain(teller, flights, handbook)
        endings.roll_back_under_load(teller, FLIGHTS, flights.second, flights.first, flights.ask)
        endings.roll_back_under_load(teller, HANDBOOK, handbook.second, handbook.first, handbook.ask)
        endings.sum_up(teller, server.url, flights, f" --home {arguments.home}" if arguments.home else "")
        if not arguments.once:
            print("Serving until Ctrl-C.", flush=True)
            server.wait()
    return 0


def _interrupt(number: int, frame: object) -> None:
    """End as on Ctrl-C, so that the server ends too."""
    raise KeyboardInterrupt


class _Server:
    """``twinloop up`` as a child process."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process = process
        self.url = url

    def wait(self) -> None:
        """Until it ends, or Ctrl-C, which the terminal sends to it too."""
        try:
            self._process.wait()
        except KeyboardInterrupt:
            return

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def _server(home: Path, port: int, environment: Mapping[str, str]) -> Iterator[_Server]:
    """Serve ``home`` for the length of the block.

    Raises:
        Unavailable: it did not start; it has said why on stderr.
    """
    command = [sys.executable, "-m", "twinloop", "up", "--home", str(home), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    assert process.stdout is not None
    try:
        url = next((word for line in process.stdout for word in line.split() if word.startswith("http://")), None)
        if url is None:
            process.wait(timeout=_READY_S)
            raise Unavailable(
                "The demo's server did not start, for the reason above. Mend it, or choose another --home or --port."
            )
        server = _Server(process, url)
        yield server
    finally:
        _Server(process, "").stop()
        process.stdout.close()
