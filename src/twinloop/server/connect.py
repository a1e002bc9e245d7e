"""Finds the Twinloop a program means, and connects to it."""

from __future__ import annotations

from pathlib import Path

from twinloop.core.settings import load
from twinloop.sdk.client import Client


def connect(url: str | None = None, home: str | Path | None = None, key: str | None = None) -> Client:
    """A client for the Twinloop at ``url``; else at TWINLOOP_URL; else the one that serves ``home``; else embedded in ``home``.

    Naming a ``home`` goes before TWINLOOP_URL. Embedded use holds the home until the client is closed.

    Raises:
        InvalidSettings: the URL or a setting is wrong.
        HomeHeld: a process that does not serve holds the home.
        InstallationError: the home must be mended first.
    """
    settings = load({"url": url, "home": home, "key": key})
    target = url or ("" if home is not None else settings.url) or _serving(settings.home)
    if target:
        from twinloop.sdk.transports import HttpTransport

        return Client(HttpTransport(target), settings.key, target)
    from twinloop.sdk.tracking.process import handing_over
    from twinloop.server.embedded import open_embedded

    with handing_over(settings.home):
        return open_embedded(settings)


def _serving(home: Path) -> str:
    from twinloop.backends.home import holder

    found = holder(home)
    return found.url if found is not None else ""
