"""The client that a command talks through."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from twinloop.core.errors import Unavailable

if TYPE_CHECKING:
    from twinloop.sdk.client import Client

_READY_S = 120.0
_PAUSE_S = 0.1


@contextmanager
def connected(arguments: argparse.Namespace, *, ready: bool = False) -> Iterator[Client]:
    """``--url``, else TWINLOOP_URL, else the server that holds the home, else Twinloop in this process on that home.

    With ``ready``, whatever is live there has been loaded when the block begins.
    """
    import twinloop

    client = twinloop.connect(url=arguments.url, home=arguments.home)
    try:
        if ready:
            wait_until_ready(client)
        yield client
    finally:
        client.close()


def wait_until_ready(client: Client) -> None:
    """Return once everything that was live is loaded. Raises Unavailable when that takes more than two minutes."""
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            client.call("GET", "/readyz")
            return
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_S)
