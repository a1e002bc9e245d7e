"""``import`` and ``export``: histories in from MLflow, and whole homes, models or runs out to folders and back."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli.arguments import Commands
from twinloop.cli.connection import connected
from twinloop.cli.output import facts, progress, show
from twinloop.core.errors import InvalidInput

if TYPE_CHECKING:
    from twinloop.sdk.transfer.found import Source
    from twinloop.sdk.transfer.report import Report

DIFFERS = 1
"""The exit status when what was copied is not the same on both sides, or something was refused."""

_PAUSE_S = 1.0


def declare(commands: Commands) -> None:
    bring = commands.add(
        "import",
        run_import,
        "Copy the history of an MLflow, or bring back an exported folder.",
        "twinloop import mlflow http://127.0.0.1:5000",
    )
    bring.add_argument("what", help="mlflow, or an exported folder")
    bring.add_argument("uri", nargs="?", help="of mlflow: http://host:5000 or sqlite:///mlflow.db")
    bring.add_argument(
        "--artifacts",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="with sqlite: where the artifacts lie (default: mlartifacts and mlruns beside the file); may be repeated",
    )
    bring.add_argument("--no-artifacts", action="store_true", help="leave the files of runs and models where they are")
    bring.add_argument("--verify", action="store_true", help="copy nothing, compare both sides")
    bring.add_argument("--recheck", action="store_true", help="look at everything again, not only at what is new")
    bring.add_argument("--checkpoint", type=Path, metavar="FILE", help="where to remember how far it came")
    bring.add_argument(
        "--token", help="of the MLflow server (default: TWINLOOP_SECRET_MLFLOW_TOKEN, MLFLOW_TRACKING_TOKEN)"
    )
    bring.add_argument("--username", help="of the MLflow server (default: MLFLOW_TRACKING_USERNAME)")
    bring.add_argument("--password", help="of the MLflow server (default: MLFLOW_TRACKING_PASSWORD)")
    bring.add_argument("--workspace", default="", help="of the MLflow server, where it has several")
    away = commands.add(
        "export",
        run_export,
        "Write a run, a model with all it came from, or everything, as one folder of open formats.",
        "twinloop export model/churn@3 --to churn-3",
    )
    away.add_argument(
        "what", help="everything, run/ID, or kind/name, kind/name@3, kind/name@alias with all its ancestry"
    )
    away.add_argument("--to", required=True, type=Path, metavar="FOLDER", help="a folder that is not there yet")


def run_import(arguments: argparse.Namespace) -> int:
    if arguments.what == "mlflow" and arguments.uri:
        return _import_mlflow(arguments)
    if arguments.uri:
        raise InvalidInput(f"Only mlflow is imported by its URI, not {arguments.what[:60]!r}. Write: import mlflow URI")
    return _import_folder(arguments)


def run_export(arguments: argparse.Namespace) -> int:
    from twinloop.sdk.transfer.exporting import Export
    from twinloop.sdk.transfer.sink import Sink

    with connected(arguments) as client:
        index = Export(Sink(client), arguments.what, arguments.to, Seldom()).run(time.time_ns())
    size = sum(file.size for file in index.files)
    told = {
        "folder": str(arguments.to),
        "what": index.what,
        "files": len(index.files),
        "bytes": size,
        "counts": index.counts,
    }
    show(arguments, told, lambda t: [f"{arguments.to}: {t['files']} files, {size} bytes", *facts(index.counts)])
    return 0


def _import_folder(arguments: argparse.Namespace) -> int:
    from twinloop.sdk.transfer.bringing_back import BringBack
    from twinloop.sdk.transfer.folder_reader import FolderReader
    from twinloop.sdk.transfer.sink import Sink

    folder = FolderReader(Path(arguments.what))
    with connected(arguments) as client:
        about = client.status()
        target = f"{about['home']} ({about['tenant']})"
        report = BringBack(folder, Sink(client), target=target, writing=not arguments.verify, progress=Seldom()).run()
    return _tell(arguments, report)


def _import_mlflow(arguments: argparse.Namespace) -> int:
    from twinloop.sdk.transfer.checkpoint import Checkpoint
    from twinloop.sdk.transfer.mlflow_import import MlflowImport
    from twinloop.sdk.transfer.sink import Sink

    source = _source(arguments)
    try:
        with connected(arguments) as client:
            about = client.status()
            target = f"{about['home']} ({about['tenant']})"
            kept = None if arguments.verify else arguments.checkpoint or _place(arguments, source.origin, target)
            checkpoint = Checkpoint(kept, source.origin, target)
            try:
                report = MlflowImport(
                    source,
                    Sink(client),
                    checkpoint,
                    target=target,
                    writing=not arguments.verify,
                    recheck=arguments.recheck,
                    files=not arguments.no_artifacts,
                    progress=Seldom(),
                ).run()
            finally:
                checkpoint.close()
    finally:
        source.close()
    return _tell(arguments, report)


def _tell(arguments: argparse.Namespace, report: Report) -> int:
    import msgspec

    from twinloop.sdk.transfer.report import lines_of

    told: Any = msgspec.to_builtins(report) | {"same": report.same}
    show(arguments, told, lambda _: lines_of(report))
    return 0 if report.same else DIFFERS


def _source(arguments: argparse.Namespace) -> Source:
    from twinloop.core.settings import load, variables
    from twinloop.sdk.transfer.mlflow_server import Credentials, MlflowServer
    from twinloop.sdk.transfer.rest_source import RestSource
    from twinloop.sdk.transfer.sqlite_source import SqliteSource

    uri: str = arguments.uri
    if uri.startswith("sqlite:"):
        if not uri.startswith("sqlite:///"):
            raise InvalidInput(f"{uri!r} is not the URI of a file. Write it like sqlite:///mlflow.db")
        return SqliteSource(Path(uri.removeprefix("sqlite:///")), arguments.artifacts, arguments.workspace)
    if not uri.startswith(("http://", "https://")):
        raise InvalidInput("Name the MLflow as http://host:5000, or its SQLite file as sqlite:///mlflow.db")
    secrets = load().secrets
    names = ("token", "username", "password")
    theirs = variables(f"MLFLOW_TRACKING_{name.upper()}" for name in names)
    given = {
        name: getattr(arguments, name)
        or secrets.get(f"mlflow_{name}")
        or theirs.get(f"MLFLOW_TRACKING_{name.upper()}", "")
        for name in names
    }
    return RestSource(MlflowServer(uri, Credentials(**given, workspace=arguments.workspace)))


def _place(arguments: argparse.Namespace, source: str, target: str) -> Path:
    """The checkpoint of this source and this target, in the home."""
    import hashlib

    from twinloop.core.settings import load

    name = hashlib.sha256(f"{source}\0{target}".encode()).hexdigest()[:16]
    return load({"home": arguments.home}).home / "imports" / f"{name}.db"


class Seldom:
    """Says how far it came, about once a second."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _PAUSE_S

    def __call__(self, text: str) -> None:
        if time.monotonic() >= self._next:
            progress(text)
            self._next = time.monotonic() + _PAUSE_S
