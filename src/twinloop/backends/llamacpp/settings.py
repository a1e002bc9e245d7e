"""What the parent tells the child process, one JSON line on its standard input, and what the child answers."""

from __future__ import annotations

import msgspec


class ChildSettings(msgspec.Struct, frozen=True):
    """``context``: tokens per slot. ``slots``: requests answered at a time. ``key``: the only bearer token accepted."""

    model: str
    context: int
    slots: int
    threads: int
    key: str


class ChildReady(msgspec.Struct, frozen=True):
    """The model is loaded and the server listens here, ``http://127.0.0.1:PORT``."""

    url: str
