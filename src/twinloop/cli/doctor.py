"""``doctor``: is everything here that Twinloop needs?"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from twinloop.cli.arguments import Commands
from twinloop.cli.output import show

if TYPE_CHECKING:
    from twinloop.cli.checks import Check

_SIGNS = {"ok": "ok    ", "note": "note  ", "broken": "BROKEN"}


def declare(commands: Commands) -> None:
    commands.add("doctor", run_doctor, "Check this installation and say how to mend it.")


def run_doctor(arguments: argparse.Namespace) -> int:
    """0 when everything required is right, else 2."""
    from twinloop.cli.checks import all_checks
    from twinloop.core.settings import load

    checks = [*all_checks(load({"home": arguments.home})), *_server(arguments)]
    show(arguments, {"checks": checks}, lambda found: _lines(found["checks"]))
    return 2 if any(check.state == "broken" for check in checks) else 0


def _server(arguments: argparse.Namespace) -> Iterable[Check]:
    from twinloop.cli.checks import Check
    from twinloop.cli.connection import connected
    from twinloop.core.errors import TwinloopError

    if not arguments.url:
        return
    try:
        with connected(arguments) as client:
            status = client.status()
    except TwinloopError as error:
        yield Check("server", "broken", error.message, "Start it with: twinloop up")
        return
    yield Check("server", "ok", f"{arguments.url} runs version {status['version']}")


def _lines(checks: list[Check]) -> Iterable[str]:
    width = max(len(check.name) for check in checks)
    for check in checks:
        yield f"{_SIGNS[check.state]}  {check.name.ljust(width)}  {check.detail}"
        if check.mend:
            yield f"{' ' * (width + 8)}  → {check.mend}"
    broken = sum(check.state == "broken" for check in checks)
    yield ""
    yield "Everything required is here." if not broken else f"{broken} of {len(checks)} checks found something broken."
