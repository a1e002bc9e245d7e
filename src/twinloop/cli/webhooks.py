"""``webhooks add``, ``list``, ``test``, ``deliveries``, ``again`` and ``remove``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import Any

from twinloop.cli.arguments import Commands
from twinloop.cli.connection import connected
from twinloop.cli.output import clock_time, facts, show, table
from twinloop.core.errors import InvalidInput


def declare(commands: Commands) -> None:
    webhooks = commands.group("webhooks", "Tell other systems what changes.")
    add = webhooks.add(
        "add",
        run_add,
        "Make a webhook.",
        "twinloop webhooks add deploys https://hooks.example/x --event release.promoted",
    )
    add.add_argument("name", help="what to call it")
    add.add_argument("receiver", metavar="URL", help="where to send to")
    add.add_argument("--event", action="append", required=True, help="what to tell; give it once for each event")
    add.add_argument("--secret", action="store_true", help="read a secret to sign with from standard input")
    webhooks.add("list", run_list, "List webhooks.")
    webhooks.add("events", run_events, "List the events that can be listened for.")
    test = webhooks.add("test", run_test, "Send an example once and show the answer.")
    test.add_argument("id", help="as webhooks list shows it")
    test.add_argument("--event", help="which one (default: the first it listens for)")
    deliveries = webhooks.add("deliveries", run_deliveries, "List what became of deliveries, newest first.")
    deliveries.add_argument("id", help="as webhooks list shows it")
    deliveries.add_argument("--state", choices=["pending", "delivered", "failed", "cancelled"], default="")
    again = webhooks.add("again", run_again, "Send a delivery again, under the same id.")
    again.add_argument("id", help="the webhook")
    again.add_argument("delivery", help="as webhooks deliveries shows it")
    remove = webhooks.add("remove", run_remove, "Delete a webhook.")
    remove.add_argument("id", help="as webhooks list shows it")


def run_add(arguments: argparse.Namespace) -> int:
    secret = sys.stdin.readline().strip() if arguments.secret else None
    if arguments.secret and not secret:
        raise InvalidInput(
            'There is no secret on standard input. Give it like: printf %s "$SECRET" | twinloop webhooks add …'
        )
    with connected(arguments) as client:
        made = client.webhooks.create(arguments.name, arguments.receiver, arguments.event, secret)
    show(arguments, made, lambda hook: [hook["id"]])
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        found = client.webhooks.list()
    show(arguments, {"webhooks": found}, _lines)
    return 0


def run_events(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        found = client.webhooks.events()
    show(arguments, {"events": found}, lambda answer: list(answer["events"]))
    return 0


def run_test(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        result = client.webhooks.test(arguments.id, arguments.event)
    show(arguments, result, lambda answer: facts({name: value for name, value in answer.items() if value is not None}))
    return 0 if result["delivered"] else 1


def run_deliveries(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        found = client.webhooks.deliveries(arguments.id, arguments.state)
    show(arguments, {"deliveries": found}, _delivery_lines)
    return 0


def run_again(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        found = client.webhooks.redeliver(arguments.id, arguments.delivery)
    show(arguments, found, lambda delivery: [f"{delivery['id']} is sent again."])
    return 0


def run_remove(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        client.webhooks.delete(arguments.id)
    show(arguments, {"deleted": arguments.id}, lambda answer: [f"The webhook {arguments.id} is told nothing any more."])
    return 0


def _lines(listed: dict[str, Any]) -> Iterable[str]:
    rows = (
        [hook["id"], hook["name"], "yes" if hook["active"] else "no", "yes" if hook["signed"] else "no", hook["url"],
         " ".join(hook["events"])]
        for hook in listed["webhooks"]
    )  # fmt: skip
    return table(["ID", "NAME", "ACTIVE", "SIGNED", "URL", "EVENTS"], rows)


def _delivery_lines(listed: dict[str, Any]) -> Iterable[str]:
    rows = (
        [item["id"], clock_time(item["created_at"]), item["event"], item["state"], item["attempts"], item["status"],
         item["note"]]
        for item in listed["deliveries"]
    )  # fmt: skip
    return table(["ID", "HAPPENED", "EVENT", "STATE", "ATTEMPTS", "STATUS", "NOTE"], rows)
