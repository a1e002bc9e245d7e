"""``release``, ``promote``, ``rollback`` and ``releases``."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twinloop.cli.arguments import Commands, pairs
from twinloop.cli.connection import connected
from twinloop.cli.output import clock_time, show, table
from twinloop.cli.server import endpoint_lines
from twinloop.control.evaluation.model import Condition
from twinloop.core.errors import InvalidInput

if TYPE_CHECKING:
    from twinloop.sdk.client import Client

_CONDITION = re.compile(r"([A-Za-z_][\w.@/-]*)\s*(>=|<=)\s*([-+0-9.eE]+)\Z")


def declare(commands: Commands) -> None:
    release = commands.add(
        "release",
        run_release,
        "Release revisions to an endpoint; what is left out is as the project declares it.",
        "twinloop release flight-delay --type predict --pin model=model/flight-delay@2 --stage canary --weight 0.1",
    )
    release.add_argument("endpoint")
    release.add_argument("--type", choices=["predict", "chat", "embed", "search"], help="needed for a new endpoint")
    release.add_argument("--pin", action="append", default=[], metavar="ROLE=REF", help="a revision for a role; repeat")
    release.add_argument("--stage", choices=["live", "canary", "shadow"], help="default: as declared, or live")
    release.add_argument("--weight", type=float, help="share of principals a canary gets, 0 to 1")
    release.add_argument("--gate", action="append", default=[], metavar="'METRIC>=X'", help="a condition; repeat")
    release.add_argument("--baseline", metavar="REF", help="the revision that delta_* conditions compare with")
    release.add_argument("--reason", default="")
    promote = commands.add("promote", run_promote, "Make the canary (or a named release) live.")
    promote.add_argument("endpoint")
    promote.add_argument("release", nargs="?")
    promote.add_argument("--reason", default="")
    rollback = commands.add("rollback", run_rollback, "Go back to the release that was live before.")
    rollback.add_argument("endpoint")
    rollback.add_argument(
        "--to", metavar="RELEASE", help="a release such as flight-delay@1 (default: the previous one)"
    )
    rollback.add_argument("--reason", default="")
    releases = commands.add("releases", run_releases, "List an endpoint's releases and what happened to them.")
    releases.add_argument("endpoint", nargs="?", help="default: list the endpoints")


def run_release(arguments: argparse.Namespace) -> int:
    from twinloop.sdk.releasing import release

    gate = [condition(text, arguments.baseline) for text in arguments.gate]
    with connected(arguments) as client:
        released = release(
            client,
            arguments.endpoint,
            type=arguments.type or _existing_type(client, arguments.endpoint),
            pins=pairs(arguments.pin, "pin"),
            stage=arguments.stage,
            weight=arguments.weight,
            gate=gate or None,
            reason=arguments.reason,
        )
    show(arguments, released, lambda r: _release_lines([r]))
    return 0


def _existing_type(client: Client, endpoint: str) -> str | None:
    return next((str(found["type"]) for found in client.endpoints.list() if found["name"] == endpoint), None)


def condition(text: str, baseline: str | None = None) -> Condition:
    """``auc>=0.6`` as a gate's condition; ``delta_*`` metrics compare with ``baseline``."""
    found = _CONDITION.match(text.strip())
    try:
        metric, side, bound = found.groups() if found else ("", "", "")
        value = float(bound)
    except ValueError:
        raise InvalidInput(f"{text[:80]!r} is not a condition. Write metric>=number or metric<=number.") from None
    compared = baseline if metric.startswith("delta_") else None
    if side == ">=":
        return Condition(metric, at_least=value, baseline=compared)
    return Condition(metric, at_most=value, baseline=compared)


def run_promote(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        endpoint = client.endpoints.promote(arguments.endpoint, arguments.release, arguments.reason)
    show(arguments, endpoint, lambda e: endpoint_lines([e]))
    return 0


def run_rollback(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        endpoint = client.endpoints.rollback(arguments.endpoint, arguments.to, arguments.reason)
    show(arguments, endpoint, lambda e: endpoint_lines([e]))
    return 0


def run_releases(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        if arguments.endpoint is None:
            found = {"endpoints": client.endpoints.list()}
        else:
            name = arguments.endpoint
            found = {"releases": client.endpoints.releases(name), "events": client.endpoints.history(name)}
    show(arguments, found, lambda f: endpoint_lines(f["endpoints"]) if "endpoints" in f else _history_lines(f))
    return 0


def _history_lines(found: dict[str, Any]) -> Iterable[str]:
    yield from _release_lines(found["releases"])
    yield ""
    rows = ([clock_time(e["at"]), e["action"], e["release"], e["by"], e["reason"]] for e in found["events"])
    yield from table(["AT", "ACTION", "RELEASE", "BY", "REASON"], rows)


def _release_lines(releases: list[dict[str, Any]]) -> Iterable[str]:
    rows = (
        [r["ref"], r["state"], _weight(r), _verdict(r), _pins(r), clock_time(r["created_at"]), r["created_by"]]
        for r in releases
    )
    return table(["RELEASE", "STATE", "WEIGHT", "GATE", "PINS", "MADE", "BY"], rows)


def _weight(release: dict[str, Any]) -> str | None:
    return f"{release['weight']:.0%}" if release.get("weight") else None


def _verdict(release: dict[str, Any]) -> str | None:
    gate = release.get("gate")
    return gate["verdict"] if gate else None


def _pins(release: dict[str, Any]) -> str:
    return ", ".join(f"{role}={pin['ref']}" for role, pin in sorted(release["pins"].items()))
