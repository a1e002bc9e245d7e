"""``up`` and ``status``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from twinloop.cli.arguments import Commands
from twinloop.cli.connection import connected
from twinloop.cli.output import clock_time, facts, show, table


def declare(commands: Commands) -> None:
    up = commands.add("up", run_up, "Serve until Ctrl-C.", "twinloop up --port 7700")
    up.add_argument("--host", help="address to listen on (default: 127.0.0.1; any other needs keys)")
    up.add_argument("--port", type=int, help="port to listen on (default: 7700; 0 takes a free one)")
    commands.add("status", run_status, "Show what is here and what answers.")


def run_up(arguments: argparse.Namespace) -> int:
    from twinloop.core.settings import load
    from twinloop.server.main import serve

    given = {name: getattr(arguments, name) for name in ("host", "port", "home")}
    serve(load(given))
    return 0


def run_status(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        status = {**client.status(), "endpoints": client.endpoints.list()}
    show(arguments, status, _status_lines)
    return 0


def _status_lines(status: dict[str, Any]) -> Iterable[str]:
    counts = status.get("counts", {})
    yield from facts(
        {
            "version": status["version"],
            "home": status["home"],
            "started": clock_time(status.get("started_at")),
            "you are": f"{status['principal']} ({status['role']}) in {status['tenant']}",
            **counts,
        }
    )
    yield ""
    yield from endpoint_lines(status["endpoints"])
    if status.get("engines"):
        yield ""
        yield from table(
            ["ENGINE", "STATE", "DETAIL"], ([e["name"], e["state"], e["detail"]] for e in status["engines"])
        )


def endpoint_lines(endpoints: list[dict[str, Any]]) -> Iterable[str]:
    if not endpoints:
        return ["No endpoint yet. Make a project with: twinloop init my-project"]
    rows = (
        [e["name"], e["type"], e["live"], _canary(e), e["shadow"], e["previous"], clock_time(e["updated_at"])]
        for e in endpoints
    )
    return table(["ENDPOINT", "TYPE", "LIVE", "CANARY", "SHADOW", "PREVIOUS", "CHANGED"], rows)


def _canary(endpoint: dict[str, Any]) -> str | None:
    return f"{endpoint['canary']} {endpoint['canary_weight']:.0%}" if endpoint["canary"] else None
