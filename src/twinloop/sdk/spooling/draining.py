"""Sends spools whose programs have ended: killed, or gone before the server answered."""

from __future__ import annotations

import logging
import platform
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from twinloop.control.tracking.replay.operations import Finish, encode
from twinloop.core.errors import TwinloopError, Unavailable
from twinloop.sdk.client import Client
from twinloop.sdk.spooling.delivery import Delivery, Rejected, open_runs, send
from twinloop.sdk.spooling.journal import segments
from twinloop.sdk.spooling.left import alone, refusal, spools
from twinloop.sdk.spooling.spool import About, Place, about_of, keep_mark, read_mark

log = logging.getLogger("twinloop.sdk")


def drain(folder: Path, client: Client) -> list[Rejected] | None:
    """Send what one spool still holds, end the runs its program left open as KILLED, and delete the folder.

    Returns what the server refused; None when the spool's program lives, or somebody else is sending it.

    Raises:
        SpoolRefused: the server cannot go on with it; the folder stays.
        TwinloopError: it did not work this time; the folder stays.
    """
    with alone(folder) as mine:
        about = about_of(folder) if mine else None
        if about is None:
            return None
        rejected = empty(folder, about, client)
        _end_runs(folder, about.id, client)
        shutil.rmtree(folder, ignore_errors=True)
    return rejected


def empty(folder: Path, about: About, client: Client) -> list[Rejected]:
    """Send what one spool holds now and note how far that went; its program may go on writing. Raises as ``drain``."""
    rejected: list[Rejected] = []
    delivery = Delivery(
        about.id,
        folder,
        read_mark(folder),
        acknowledge=lambda sequence: keep_mark(folder, sequence),
        told=rejected.extend,
    )
    try:
        while delivery.advance(client):
            pass
    finally:
        delivery.close()
    return rejected


def sweep(root: Path, place: Place, client: Client) -> None:
    """Send everything that programs which have ended left for ``place``, oldest first, so that runs go on in order.

    Only those of this machine: of others that share the folder one cannot tell here whether they live.

    Raises:
        Unavailable: the server went away meanwhile.
    """
    for folder in spools(root):
        about = about_of(folder)
        if about is None or about.place != place or about.host != platform.node() or refusal(folder):
            continue
        try:
            rejected = drain(folder, client)
        except Unavailable:
            raise
        except (TwinloopError, OSError) as error:  # about this spool only, and no reason to hold up all others
            log.warning("%s The spool stays in %s.", error, folder)
            continue
        if rejected is not None:
            log.info("Sent what %s left in %s.", about.program, folder)
            _tell(rejected)


def _end_runs(folder: Path, spool: str, client: Client) -> None:
    """Under an id of its own, because a crash of the machine may have cut the journal behind what the server has."""
    found = open_runs(folder)
    if found:
        files = segments(folder)
        at = int(files[-1].stat().st_mtime * 1000) if files else time.time_ns() // 1_000_000
        send(client, f"{spool}-end", 1, [encode(Finish(run, at, "KILLED")) for run in found])


def _tell(rejected: Sequence[Rejected]) -> None:
    for item in rejected:
        log.warning("The server did not take something of run %s: %s", item.run, item.message)
