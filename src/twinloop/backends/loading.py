"""Finds the backend that a URL names, among those that installed packages offer in the group ``twinloop.backends``.

An entry point is called ``<port>.<scheme>`` and leads to a function ``(url, home) -> backend``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from twinloop.core.errors import InvalidSettings

GROUP = "twinloop.backends"


def open_backend(port: str, url: str, home: Path) -> Any:
    """Open the backend of ``port`` (store, blobs, vectors, online) at ``url``.

    Raises:
        InvalidSettings: no installed package offers the URL's scheme for this port; the message lists those offered.
        InstallationError: the backend itself cannot be opened.
    """
    scheme = urlsplit(url).scheme
    offered = {point.name: point for point in entry_points(group=GROUP)}
    chosen = offered.get(f"{port}.{scheme}")
    if chosen is None:
        schemes = sorted(name.partition(".")[2] for name in offered if name.startswith(f"{port}."))
        raise InvalidSettings(
            f"TWINLOOP_{port.upper()} is {url!r}, and no installed backend answers to {scheme or url!r}. "
            f"Here there are: {', '.join(schemes) or 'none; install Twinloop again'}."
        )
    make: Callable[[str, Path], Any] = chosen.load()
    return make(url, home)


def folder_of(url: str, home: Path) -> Path:
    """The folder or file of a ``scheme:///path`` URL; ``scheme:name`` is relative to the home."""
    parts = urlsplit(url)
    if parts.netloc:
        raise InvalidSettings(
            f"{url!r} names a host. Write scheme:///absolute/path, or scheme:name for one in the home."
        )
    path = Path(unquote(parts.path))
    return path if path.is_absolute() else home / path
