"""The client that a command talks through."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twinloop.sdk.client import Client


@contextmanager
def connected(arguments: argparse.Namespace) -> Iterator[Client]:
    """``--url``, else TWINLOOP_URL, else the server that holds the home, else Twinloop in this process on that home."""
    import twinloop

    client = twinloop.connect(url=arguments.url, home=arguments.home)
    try:
        yield client
    finally:
        client.close()
