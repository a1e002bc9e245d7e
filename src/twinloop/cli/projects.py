"""``init``, ``apply`` and ``run``: a project folder and its pipelines."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from twinloop.cli.arguments import Commands, pairs, scalar
from twinloop.cli.connection import connected
from twinloop.cli.output import progress, show
from twinloop.core.errors import Conflict


def declare(commands: Commands) -> None:
    init = commands.add("init", run_init, "Write a small project that runs.", "twinloop init my-project")
    init.add_argument("folder", type=Path)
    apply = commands.add("apply", run_apply, "Make what a project declares exist; show the plan first.")
    apply.add_argument("folder", type=Path, nargs="?", default=Path(), help="default: this folder")
    apply.add_argument("--plan", action="store_true", help="only show what would change")
    run = commands.add("run", run_run, "Run a pipeline of a project.", "twinloop run train --param until=2013-07-01")
    run.add_argument("pipeline")
    run.add_argument("--project", type=Path, default=Path(), metavar="FOLDER", help="default: this folder")
    run.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="a parameter; repeat")
    run.add_argument("--workers", type=int, help="steps that may run side by side")


def run_init(arguments: argparse.Namespace) -> int:
    from twinloop.cli.template import files

    folder: Path = arguments.folder
    written = files(folder.resolve().name)
    there = [name for name in written if (folder / name).exists()]
    if there:
        raise Conflict(f"{folder} holds {', '.join(there)} already. Choose another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in written.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    made = {"folder": str(folder), "files": list(written)}
    show(arguments, made, lambda m: [f"Wrote {', '.join(m['files'])} to {folder}.", *_next(folder)])
    return 0


def _next(folder: Path) -> Iterable[str]:
    return ["", "Next:", f"  cd {folder}", "  twinloop apply", "  twinloop run greet --param name=Ada"]


def run_apply(arguments: argparse.Namespace) -> int:
    from twinloop.sdk.plan import apply, planned
    from twinloop.sdk.project import load_project

    project = load_project(arguments.folder)
    with connected(arguments) as client, planned(client, project) as plan:
        show_lines = progress if arguments.json else print
        for line in plan.lines():
            show_lines(line)
        done = []
        for line in () if arguments.plan else apply(plan):
            done.append(line)
            show_lines(line)
        if arguments.json:
            show(arguments, {**plan.to_json(), "applied": done}, lambda answer: [])
    return 0


def run_run(arguments: argparse.Namespace) -> int:
    from twinloop.sdk.project import load_project

    pipeline = load_project(arguments.project).pipeline(arguments.pipeline)
    params = {name: scalar(value) for name, value in pairs(arguments.param, "parameter").items()}
    with connected(arguments) as client:
        report = client.pipelines.run(
            pipeline, params, workers=arguments.workers, progress=lambda step: progress(f"  {step.line()}")
        )
    show(arguments, report, lambda r: _report_lines(r))
    return 0


def _report_lines(report: Any) -> Iterable[str]:
    yield report.summary().splitlines()[-1]
    if report.value is not None:
        yield f"value: {report.value}"
