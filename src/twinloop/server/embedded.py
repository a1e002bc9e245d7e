"""Twinloop inside a program: the same client and the same routes, without a socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from twinloop.compose import App, open_app
from twinloop.core.settings import Settings
from twinloop.sdk.client import Client
from twinloop.sdk.transports import Answered, Content, InProcessTransport, LoopThread
from twinloop.server.app import application


def open_embedded(settings: Settings) -> Client:
    """Hold the home and answer in this process until the client is closed.

    Raises:
        HomeHeld: another process has the home.
        InstallationError: the home must be mended first.
    """
    thread = LoopThread()
    try:
        app: App = thread.run(open_app(settings))
        restoring = asyncio.run_coroutine_threadsafe(app.restore(), thread.loop)
    except BaseException:
        thread.close()
        raise

    home = settings.home.resolve()

    def close() -> None:
        _open.pop(home, None)
        restoring.cancel()
        thread.run(app.aclose())

    transport = InProcessTransport(application(app), thread, close)
    _open[home] = Opened(os.getpid(), transport)
    return Client(transport, settings.key)


class Opened(NamedTuple):
    """A home that is open in the process ``pid``; a process that is forked off it has the lock and not the threads."""

    pid: int
    transport: InProcessTransport


_open: dict[Path, Opened] = {}


def shared(home: Path, key: str) -> Client | None:
    """Another client of the Twinloop that this process has open for a home; None when it has none.

    Closing it leaves that one open.
    """
    found = _open.get(home.resolve())
    return Client(_Shared(found.transport), key) if found is not None and found.pid == os.getpid() else None


class _Shared:
    """A transport that somebody else closes."""

    def __init__(self, transport: InProcessTransport) -> None:
        self._transport = transport

    def send(self, method: str, target: str, headers: Mapping[str, str], content: Content | None) -> Answered:
        return self._transport.send(method, target, headers, content)

    def close(self) -> None: ...
