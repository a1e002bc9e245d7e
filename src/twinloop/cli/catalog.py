"""``models``: the revisions that can answer, and their names."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from twinloop.cli.arguments import Commands
from twinloop.cli.connection import connected
from twinloop.cli.output import clock_time, short_digest, show, table

_KINDS = ("model", "generator", "embedder")


def declare(commands: Commands) -> None:
    models = commands.add(
        "models", run_models, "List models, generators and embedders.", "twinloop models --kind model"
    )
    models.add_argument("--kind", help="only this kind; any kind of revision is allowed (dataset, prompt, index, …)")
    models.add_argument("--name", help="only this name")
    models.add_argument("--limit", type=int, default=50)


def run_models(arguments: argparse.Namespace) -> int:
    found: list[dict[str, Any]] = []
    with connected(arguments) as client:
        for kind in (arguments.kind,) if arguments.kind else _KINDS:
            found.extend(client.revisions.list(kind, arguments.name, arguments.limit))
    show(arguments, {"revisions": found}, _lines)
    return 0


def _lines(answer: dict[str, Any]) -> Iterable[str]:
    if not answer["revisions"]:
        return ["No such revision yet. Train or register one; twinloop demo shows how."]
    rows = (
        [
            r["ref"],
            ", ".join(r["aliases"]) or None,
            short_digest(r["digest"]),
            clock_time(r["created_at"]),
            r["created_by"],
        ]
        for r in answer["revisions"]
    )
    return table(["REVISION", "ALIASES", "DIGEST", "MADE", "BY"], rows)
