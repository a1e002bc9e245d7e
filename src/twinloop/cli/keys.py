"""``keys create``, ``keys list`` and ``keys revoke``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from twinloop.cli.arguments import Commands
from twinloop.cli.connection import connected
from twinloop.cli.output import clock_time, show, table


def declare(commands: Commands) -> None:
    keys = commands.group("keys", "Make, list and revoke the keys that open a server.")
    create = keys.add("create", run_create, "Make a key; it is shown once.", "twinloop keys create ops --role admin")
    create.add_argument("name", help="whose key it is")
    create.add_argument("--role", choices=["viewer", "developer", "releaser", "admin"], default="developer")
    keys.add("list", run_list, "List keys.")
    revoke = keys.add("revoke", run_revoke, "Revoke a key.")
    revoke.add_argument("id", help="as keys list shows it")


def run_create(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        made = client.call("POST", "/api/v1/keys", {"name": arguments.name, "role": arguments.role})
    show(arguments, made, _made_lines)
    return 0


def _made_lines(key: dict[str, Any]) -> Iterable[str]:
    yield key["secret"]
    yield f"This is the only time the key {key['id']} is shown. Send it as: Authorization: Bearer KEY, or set TWINLOOP_KEY."


def run_list(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        listed = client.call("GET", "/api/v1/keys")
    show(arguments, listed, _lines)
    return 0


def run_revoke(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        revoked = client.call("DELETE", f"/api/v1/keys/{arguments.id}")
    show(arguments, revoked, lambda key: [f"The key {arguments.id} opens nothing any more."])
    return 0


def _lines(listed: dict[str, Any]) -> Iterable[str]:
    rows = (
        [k["id"], k["name"], k["role"], clock_time(k["created_at"]), clock_time(k.get("revoked_at"))]
        for k in listed["keys"]
    )
    return table(["ID", "NAME", "ROLE", "MADE", "REVOKED"], rows)
