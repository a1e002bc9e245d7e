"""``spool``: what runs on this machine have logged and the server has not got yet."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli.arguments import Commands
from twinloop.cli.output import clock_time, show, table
from twinloop.core.errors import InvalidInput, TwinloopError

if TYPE_CHECKING:
    from twinloop.sdk.client import Client
    from twinloop.sdk.spooling.left import Left
    from twinloop.sdk.spooling.spool import Place


def declare(commands: Commands) -> None:
    spool = commands.group(
        "spool", "See and send what runs have logged here and the server has not got yet.", default=run_list
    )
    spool.add("list", run_list, "List what is waiting on this machine.")
    send = spool.add(
        "send", run_send, "Send what programs that have ended left, each record once.", "twinloop spool send"
    )
    send.add_argument("spools", nargs="*", metavar="SPOOL", help="ids, as spool list shows them; all unless given")
    send.add_argument("--live", action="store_true", help=argparse.SUPPRESS)
    delete = spool.add("delete", run_delete, "Delete what is waiting in a spool; it is lost.")
    delete.add_argument("spools", nargs="+", metavar="SPOOL", help="ids, as spool list shows them")


def run_list(arguments: argparse.Namespace) -> int:
    show(arguments, {"folder": str(_root()), "spools": [_json(item) for item in _found(())]}, _lines)
    return 0


def run_send(arguments: argparse.Namespace) -> int:
    from twinloop.sdk.spooling.delivery import SpoolRefused

    wanted = _found(arguments.spools)
    rejected: list[Any] = []
    failed: list[str] = []
    sent = 0
    for place in dict.fromkeys(item.about.place for item in wanted):
        try:
            with _client(arguments, place) as client:
                for item in (item for item in wanted if item.about.place == place):
                    try:
                        found = _send(item, client, live=arguments.live)
                    except (SpoolRefused, OSError) as error:  # about this spool only
                        failed.append(str(error))
                        continue
                    sent += found is not None
                    rejected += found or []
        except TwinloopError as error:
            failed.append(error.message)
    told = {
        "sent": sent,
        "held": sum(item.held for item in wanted) if not arguments.live else 0,
        "rejected": rejected,
        "failed": " ".join(failed) or None,
    }
    show(arguments, told, _sent_lines)
    return 2 if failed and not arguments.live else 0


def run_delete(arguments: argparse.Namespace) -> int:
    found = _found(arguments.spools)
    for item in found:
        if item.held:
            raise InvalidInput(
                f"The program of spool {item.about.id} (process {item.about.pid}) is running. Stop it first."
            )
    for item in found:
        shutil.rmtree(item.folder)
    deleted = {"deleted": [item.about.id for item in found]}
    show(arguments, deleted, lambda told: [f"Deleted {len(told['deleted'])} spools."])
    return 0


def _send(item: Left, client: Client, *, live: bool) -> list[Any] | None:
    from twinloop.sdk.spooling.draining import drain, empty, sweep

    if live:
        sweep(item.folder.parent, item.about.place, client)
        return empty(item.folder, item.about, client)
    return drain(item.folder, client)


def _client(arguments: argparse.Namespace, place: Place) -> Client:
    """``--url`` or ``--home`` if given, else where the spool's program meant to send."""
    import twinloop

    if arguments.url or arguments.home:
        return twinloop.connect(url=arguments.url, home=arguments.home)
    return twinloop.connect(url=place.url) if place.url else twinloop.connect(home=place.home)


def _root() -> Path:
    from twinloop.core.settings import load

    return load().spool


def _found(words: Sequence[str]) -> list[Left]:
    """The spools with these ids or folders, or all. Raises InvalidInput for one that is not there."""
    from twinloop.sdk.spooling.left import look, spools

    root = _root()
    folders = [root / word for word in words] if words else list(spools(root))
    found = []
    for folder in folders:
        left = look(folder)
        if left is not None:
            found.append(left)
        elif words:
            raise InvalidInput(f"There is no spool {folder.name}. List what there is with: twinloop spool")
    return found


def _json(item: Left) -> dict[str, Any]:
    return {
        "id": item.about.id,
        "to": str(item.about.place),
        "program": item.about.program,
        "pid": item.about.pid,
        "started_ms": item.about.started_ms,
        "waiting": item.waiting,
        "bytes": item.size,
        "state": "refused" if item.refused else "in use" if item.held else "left",
        "why": item.refused or None,
    }


def _lines(found: dict[str, Any]) -> Iterable[str]:
    from twinloop.core.clock import iso

    rows = [
        [
            item["id"],
            item["program"],
            clock_time(iso(item["started_ms"] * 1_000_000)),
            item["waiting"],
            item["bytes"],
            item["state"],
            item["to"],
        ]
        for item in found["spools"]
    ]
    if not rows:
        return [f"Nothing is waiting in {found['folder']}."]
    why = [f"{item['id']}: {item['why']}" for item in found["spools"] if item["why"]]
    return [*table(["SPOOL", "PROGRAM", "STARTED", "RECORDS", "BYTES", "STATE", "TO"], rows), *why]


def _sent_lines(told: dict[str, Any]) -> Iterable[str]:
    yield f"Sent {told['sent']} spools."
    if told["held"]:
        yield f"{told['held']} are in use; their programs send them."
    for item in told["rejected"]:
        yield f"Refused, run {item.run}: {item.message}"
    if told["failed"]:
        yield f"Not sent: {told['failed']}"
