"""Twinloop inside a program: the same client and the same routes, without a socket."""

from __future__ import annotations

import asyncio

from twinloop.compose import App, open_app
from twinloop.core.settings import Settings
from twinloop.sdk.client import Client
from twinloop.sdk.transports import InProcessTransport, LoopThread
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

    def close() -> None:
        restoring.cancel()
        thread.run(app.aclose())

    return Client(InProcessTransport(application(app), thread, close), settings.key)
