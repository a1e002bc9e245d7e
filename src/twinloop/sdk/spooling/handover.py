"""Sends spools to a home that nobody serves, with a process made for it.

Not inside the program that logs: Twinloop itself needs threads, which Python no longer gives when a program is ending, the
moment at which most of this happens; and a program that holds a home keeps servers and other programs away from it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from twinloop.core.errors import Unavailable
from twinloop.sdk.spooling.delivery import Rejected


class Sent(msgspec.Struct, frozen=True):
    """What ``twinloop spool send`` prints."""

    rejected: list[Rejected]
    failed: str | None = None


def hand_over(folders: Sequence[Path], timeout_s: float) -> list[Rejected]:
    """Send what lies in spools that this process goes on writing; returns what was refused.

    Raises:
        Unavailable: it did not work, or took too long; what was sent until then counts.
    """
    command = [sys.executable, "-m", "twinloop", "spool", "send", "--live", "--json", *map(str, folders)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False)
        found = msgspec.json.decode(done.stdout, type=Sent)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(
            f"Nobody serves the home, and it could not be opened here ({type(error).__name__})."
        ) from error
    except msgspec.DecodeError:
        raise Unavailable(f"Nobody serves the home. {_last_line(done.stderr)}") from None
    if found.failed:
        raise Unavailable(f"Nobody serves the home. {found.failed}")
    return found.rejected


def _last_line(text: bytes) -> str:
    return (text.decode(errors="replace").strip().splitlines() or ["Sending to it failed."])[-1][:500]
