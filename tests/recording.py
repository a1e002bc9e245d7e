"""For tests of runs that are logged without waiting: a spool of their own, and what lies in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from twinloop.control.tracking.replay.operations import Operation, decode
from twinloop.sdk.spooling.left import spools
from twinloop.sdk.spooling.reader import Reader
from twinloop.sdk.tracking import process

NOBODY = "http://127.0.0.1:9"
"""A URL where nothing answers."""

QUIET: dict[str, Any] = {"capture": False, "system_metrics": False}
"""For runs of which only what the test logs matters."""


@contextmanager
def spooling(
    monkeypatch: pytest.MonkeyPatch, folder: Path, url: str = NOBODY, exit_wait_s: float = 0.0
) -> Iterator[Path]:
    """Let this process's runs spool below ``folder`` and go to ``url``; end them afterwards, as the end of a program does."""
    root = folder / "spool"
    monkeypatch.setenv("TWINLOOP_SPOOL", str(root))
    monkeypatch.setenv("TWINLOOP_URL", url)
    monkeypatch.setenv("TWINLOOP_EXIT_WAIT_S", str(exit_wait_s))
    try:
        yield root
    finally:
        process.end()


def operations(root: Path, *, files: bool = False) -> list[Operation]:
    """Everything in the journals below ``root``: of records, or of files."""
    found: list[Operation] = []
    for folder in spools(root):
        if folder.name.endswith("-files") == files:
            reader = Reader(folder)
            while records := reader.read(0, 1000, 2**20):
                found += [decode(record.payload) for record in records if record.payload is not None]
            reader.close()
    return found


def of(kind: type, root: Path) -> list[Any]:
    """The operations of one kind."""
    return [operation for operation in operations(root) if isinstance(operation, kind)]
