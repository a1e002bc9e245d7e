"""``runs experiments``, ``list``, ``show``, ``compare``, ``delete`` and ``restore``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from twinloop.cli.arguments import Commands
from twinloop.cli.connection import connected
from twinloop.cli.output import clock_time, facts, show, table
from twinloop.core.errors import InvalidInput

Json = dict[str, Any]

_METRICS = 4
"""How many metrics a list shows where none are asked for."""
_WIDE = 60


def declare(commands: Commands) -> None:
    runs = commands.group("runs", "Find, show and compare tracked runs.")
    experiments = runs.add("experiments", run_experiments, "List experiments, newest first.")
    experiments.add_argument("--filter", default="", help="such as: name LIKE 'churn%%'")
    listed = runs.add(
        "list",
        run_list,
        "List runs of an experiment, newest first.",
        "twinloop runs list delays --filter 'metrics.log_loss < 0.5' --order 'metrics.log_loss ASC'",
    )
    listed.add_argument("experiment", nargs="?", default="Default", help="its name (default: Default)")
    listed.add_argument("--filter", default="", help="in MLflow's grammar, such as: params.depth = '6'")
    listed.add_argument("--order", action="append", default=[], help="such as: metrics.auc DESC; repeat")
    listed.add_argument("--metric", action="append", default=[], metavar="KEY", help="show this one; repeat")
    listed.add_argument("--param", action="append", default=[], metavar="KEY", help="show this one; repeat")
    listed.add_argument("--deleted", action="store_true", help="those that were deleted, instead")
    listed.add_argument("--limit", type=int, default=20, help="how many (default: 20)")
    shown = runs.add("show", run_show, "Show what a run logged.", "twinloop runs show 01a200255b767013a211c0d3b400b394")
    shown.add_argument("id")
    compare = runs.add("compare", run_compare, "Show where runs differ.")
    compare.add_argument("ids", nargs="+", metavar="ID")
    compare.add_argument("--all", action="store_true", help="also what they have in common")
    delete = runs.add("delete", run_delete, "Take a run out of sight; runs restore brings it back.")
    delete.add_argument("id")
    restore = runs.add("restore", run_restore, "Bring a deleted run back.")
    restore.add_argument("id")


def run_experiments(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        found = client.runs.experiments(arguments.filter)
    show(arguments, {"experiments": found}, _experiment_lines)
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    if arguments.limit < 1:
        raise InvalidInput("--limit must be at least 1.")
    view = "deleted" if arguments.deleted else "active"
    with connected(arguments) as client:
        page = min(arguments.limit, 1000)
        runs = client.runs.search(arguments.experiment, arguments.filter, arguments.order, page, view)
        found = list(islice(runs, arguments.limit))
    show(arguments, {"runs": found}, lambda answer: _run_lines(answer["runs"], arguments.metric, arguments.param))
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        run = client.runs.get(arguments.id)
    show(arguments, run, _one)
    return 0


def run_compare(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        found = [client.runs.get(id) for id in arguments.ids]
    show(arguments, {"runs": found}, lambda answer: _compared(answer["runs"], arguments.all))
    return 0


def run_delete(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        client.runs.delete(arguments.id)
    show(
        arguments,
        {"deleted": arguments.id},
        lambda _: [f"Deleted. Bring it back: twinloop runs restore {arguments.id}"],
    )
    return 0


def run_restore(arguments: argparse.Namespace) -> int:
    with connected(arguments) as client:
        client.runs.restore(arguments.id)
    show(arguments, {"restored": arguments.id}, lambda _: [f"{arguments.id} is back."])
    return 0


def _experiment_lines(answer: Json) -> list[str]:
    rows = ([one["id"], one["name"], clock_time(one["created_at"])] for one in answer["experiments"])
    return table(["ID", "EXPERIMENT", "MADE"], rows)


def _run_lines(runs: Sequence[Json], metrics: Sequence[str], params: Sequence[str]) -> list[str]:
    if not runs:
        return ["No such run. twinloop runs experiments lists where there may be some."]
    if not metrics and not params:
        own = (key for run in runs for key in run["metrics"] if not key.startswith("system/"))
        metrics = list(islice(dict.fromkeys(own), _METRICS))
    rows = (
        [run["id"], run["name"], run["status"], clock_time(run["started_at"])]
        + [_last(run, key) for key in metrics]
        + [run["params"].get(key) for key in params]
        for run in runs
    )
    return table(["RUN", "NAME", "STATUS", "STARTED", *metrics, *params], rows)


def _one(run: Json) -> Iterator[str]:
    about = {"run": run["id"], "name": run["name"], "experiment": run["experiment"], "status": run["status"]}
    times = {"started": clock_time(run["started_at"]), "ended": clock_time(run["ended_at"])}
    yield from facts({**about, "user": run["user"], **times, **({"part of": run["parent"]} if run["parent"] else {})})
    last = {key: f"{_number(point['value'])}  at step {point['step']}" for key, point in run["metrics"].items()}
    read = {item["name"]: f"{item['digest'][:19]}  {item['context'] or ''}".rstrip() for item in run["datasets"]}
    for title, values in (("params", run["params"]), ("metrics", last), ("data", read), ("tags", run["tags"])):
        if values:
            yield ""
            yield title
            yield from (f"  {line}" for line in facts({key: values[key] for key in sorted(values)}))


def _compared(runs: Sequence[Json], everything: bool) -> Iterator[str]:
    yield from table(["", *(run["name"] for run in runs)], [["id", *(run["id"] for run in runs)]])
    parts: tuple[tuple[str, Callable[[Json], Mapping[str, Any]]], ...] = (
        ("params", lambda run: run["params"]),
        ("metrics", lambda run: {key: _number(point["value"]) for key, point in run["metrics"].items()}),
        ("tags", lambda run: {key: value for key, value in run["tags"].items() if not key.startswith("mlflow.")}),
    )
    for title, read in parts:
        rows = list(_differing([read(run) for run in runs], everything))
        if rows:
            yield ""
            yield from table([title, *(run["name"] for run in runs)], rows)


def _differing(columns: Sequence[Mapping[str, Any]], everything: bool) -> Iterable[list[Any]]:
    for key in sorted({key for column in columns for key in column}):
        values = [column.get(key) for column in columns]
        if everything or len(set(values)) > 1:
            yield [key, *(None if value is None else _short(value) for value in values)]


def _last(run: Json, key: str) -> str | None:
    point = run["metrics"].get(key)
    return None if point is None else _number(point["value"])


def _number(value: float | None) -> str:
    """Null is NaN here."""
    return "nan" if value is None else f"{value:.6g}"


def _short(value: str) -> str:
    line = " ".join(value.split())
    return line if len(line) <= _WIDE else line[: _WIDE - 1] + "…"
