"""``cards``, ``history``, ``approve``, ``reject``, ``annotate``, ``diff`` and ``delete``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import Any

from twinloop.cli.arguments import Commands, pairs
from twinloop.cli.connection import connected
from twinloop.cli.output import clock_time, show, table
from twinloop.core.errors import InvalidInput

_LINE = 100


def declare(commands: Commands) -> None:
    cards = commands.add("cards", run_cards, "List registered models, prompts and so on.", "twinloop cards prompt")
    cards.add_argument("kind", nargs="?", default="model", help="default: model; prompt, dataset and so on")
    cards.add_argument("--filter", default="", help="such as: name LIKE 'churn%%' AND tags.team = 'growth'")
    history = commands.add(
        "history", run_history, "Show what happened to a model, and what was live when.", "twinloop history model/churn"
    )
    history.add_argument("ref", help="model/churn, or one revision such as model/churn@3")
    history.add_argument("--limit", type=int, default=50, help="how many entries; the newest come first")
    for name, handler, about in (
        ("approve", run_approve, "Approve a revision that somebody else registered."),
        ("reject", run_reject, "Reject a revision: it cannot go live until you approve it."),
    ):
        command = commands.add(name, handler, about, f"twinloop {name} model/churn@3 -m 'checked on March'")
        command.add_argument("ref", help="one revision, by number or digest")
        command.add_argument("-m", "--message", default="", help="why")
    annotate = commands.add(
        "annotate",
        run_annotate,
        "Change a card, or what is noted about one revision.",
        "twinloop annotate model/churn --approvals 1 --tag team=growth",
    )
    annotate.add_argument("ref", help="a card such as model/churn, or a revision such as model/churn@3")
    annotate.add_argument("--title", help="what a card is called; references keep its name")
    annotate.add_argument("--description")
    annotate.add_argument("--tag", action="append", default=[], metavar="KEY=VALUE", help="repeat")
    annotate.add_argument("--untag", action="append", default=[], metavar="KEY", help="repeat")
    annotate.add_argument("--approvals", type=int, help="how many must approve a card's revision before it goes live")
    annotate.add_argument("--stage", choices=["None", "Staging", "Production", "Archived"], help="of a revision")
    diff = commands.add("diff", run_diff, "Compare two revisions.", "twinloop diff prompt/handbook@1 prompt/handbook@2")
    diff.add_argument("before")
    diff.add_argument("after")
    delete = commands.add("delete", run_delete, "Take a card or a revision out of sight, unless a release pins it.")
    delete.add_argument("ref", help="a card such as model/churn, or a revision such as model/churn@3")


def run_cards(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        found = list(client.registry.cards(arguments.kind, arguments.filter))
    show(arguments, {"cards": found}, lambda f: _card_lines(f["cards"]))
    return 0


def run_history(arguments: argparse.Namespace) -> int:
    if arguments.limit < 1:
        raise InvalidInput("--limit must be at least 1.")
    with connected(arguments) as client:
        entries = client.registry.history(arguments.ref)
        found = [entry for _, entry in zip(range(arguments.limit), entries, strict=False)]
    show(arguments, {"entries": found}, lambda f: _history_lines(f["entries"]))
    return 0


def run_approve(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        standing = client.registry.approve(arguments.ref, arguments.message)
    show(arguments, standing, _standing_lines)
    return 0


def run_reject(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        standing = client.registry.reject(arguments.ref, arguments.message)
    show(arguments, standing, _standing_lines)
    return 0


def run_annotate(arguments: argparse.Namespace) -> int:
    tags: dict[str, str | None] = {**pairs(arguments.tag, "tag"), **dict.fromkeys(arguments.untag)}
    revision = "@" in arguments.ref
    given = {"stage": arguments.stage} if revision else {"title": arguments.title, "approvals": arguments.approvals}
    other = (arguments.title, arguments.approvals) if revision else (arguments.stage,)
    if any(value is not None for value in other):
        raise InvalidInput(
            "--stage is of a revision, --title and --approvals of a card. Name a revision with @ and its number, a card without."
        )
    with connected(arguments) as client:
        change = client.registry.annotate if revision else client.registry.change
        done = change(arguments.ref, description=arguments.description, tags=tags, **given)
    show(arguments, done, lambda d: _note_lines(d) if revision else _card_lines([d]))
    return 0


def run_diff(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        found = client.registry.diff(arguments.before, arguments.after)
    show(arguments, found, _difference_lines)
    return 0


def run_delete(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        client.registry.delete(arguments.ref)
    show(arguments, {"deleted": arguments.ref}, lambda f: [f"deleted  {f['deleted']}"])
    return 0


def _card_lines(cards: list[dict[str, Any]]) -> Iterable[str]:
    rows = (
        [
            card["ref"],
            None if card["title"] == card["name"] else card["title"],
            max(card["latest"].values(), default=None),
            ", ".join(f"{alias}={number}" for alias, number in sorted(card["aliases"].items())),
            card["approvals"] or None,
            clock_time(card["updated_at"]),
            _short(card["description"] or ""),
        ]
        for card in cards
    )
    return table(["CARD", "CALLED", "NEWEST", "ALIASES", "APPROVALS", "UPDATED", "ABOUT"], rows)


def _note_lines(note: dict[str, Any]) -> Iterable[str]:
    tags = ", ".join(f"{key}={value}" for key, value in sorted(note["tags"].items()))
    row = [
        note["revision"]["ref"],
        note["stage"],
        tags,
        clock_time(note["updated_at"]),
        _short(note["description"] or ""),
    ]
    return table(["REVISION", "STAGE", "TAGS", "UPDATED", "ABOUT"], [row])


def _standing_lines(standing: dict[str, Any]) -> Iterator[str]:
    rows = (
        [one["by"], "yes" if one["approved"] else "no", clock_time(one["at"]), one["comment"]]
        for one in standing["approvals"]
    )
    yield from table(["WHO", "SAYS", "AT", "WHY"], rows)
    state = "may go live" if standing["approved"] else "may not go live yet"
    yield f"{standing['ref']} {state}: {standing['wanted']} approvals are asked for."


def _history_lines(entries: list[dict[str, Any]]) -> Iterable[str]:
    rows = ([clock_time(e["at"]), e["action"], e["ref"], e["by"], _told(e)] for e in entries)
    return table(["AT", "WHAT", "OF", "BY", "HOW"], rows)


def _told(entry: dict[str, Any]) -> str:
    period = entry["period"]
    if period is not None:
        until = f"until {clock_time(period['until'])}" if period["until"] else "until now"
        gate = f", gate {period['gate']['verdict']}" if period["gate"] else ""
        reason = f", {period['reason']}" if period["reason"] else ""
        share = f" {period['weight']:.0%}" if period["stage"] == "canary" else ""
        return f"{period['stage']}{share} at {period['endpoint']} as {period['release']}, {until}{gate}{reason}"
    told = {key: value for key, value in entry["detail"].items() if value not in (None, "", {}, [])}
    return _short(", ".join(f"{key}: {value}" for key, value in told.items()))


def _difference_lines(found: dict[str, Any]) -> Iterator[str]:
    if not found["differences"]:
        yield f"{found['from']} and {found['to']} say the same."
    for difference in found["differences"]:
        if difference.get("text"):
            yield difference["path"]
            yield from difference["text"].splitlines()
            continue
        if difference["change"] != "added":
            yield f"- {difference['path']}: {difference.get('before')}"
        if difference["change"] != "removed":
            yield f"+ {difference['path']}: {difference.get('after')}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LINE else f"{line[: _LINE - 1]}…"
