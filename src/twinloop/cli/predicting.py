"""``predict``: rows to a predict endpoint, given as words or as a file, or a whole dataset."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli.arguments import Commands, pairs, scalar
from twinloop.cli.connection import connected
from twinloop.cli.output import facts, show, table
from twinloop.core.errors import InvalidInput

if TYPE_CHECKING:
    from twinloop.sdk.client import Client


def declare(commands: Commands) -> None:
    predict = commands.add(
        "predict",
        run_predict,
        "Predict with an endpoint.",
        "twinloop predict flight-delay carrier=UA flight=1496 origin=EWR date=2013-08-01",
    )
    predict.add_argument("endpoint")
    predict.add_argument("values", nargs="*", metavar="NAME=VALUE", help="one row")
    predict.add_argument("--rows", metavar="FILE", type=Path, help="rows from a .json, .jsonl or .csv file")
    predict.add_argument("--batch", metavar="DATASET", help="every row of a dataset revision; makes a dataset revision")
    predict.add_argument(
        "--to", metavar="NAME", help="with --batch: the dataset to write (default: ENDPOINT-predictions)"
    )
    predict.add_argument(
        "--at", metavar="COLUMN", help="with --batch: the column that says as of when features are joined"
    )
    predict.add_argument(
        "--prefix", default="", metavar="TEXT", help="with --batch: before the names of answered columns"
    )


def run_predict(arguments: argparse.Namespace) -> int:
    given = [bool(arguments.values), arguments.rows is not None, arguments.batch is not None]
    if sum(given) != 1:
        raise InvalidInput("Say what to predict in one way: name=value words, --rows FILE or --batch DATASET.")
    with connected(arguments, ready=True) as client:
        if arguments.batch is not None:
            show(arguments, _batch(client, arguments), _batch_lines)
            return 0
        rows = read_rows(arguments.rows) if arguments.rows else [_row(arguments.values)]
        answer = client.endpoints.predict(arguments.endpoint, rows)
    show(arguments, answer, _answer_lines)
    return 0


def _batch(client: Client, arguments: argparse.Namespace) -> dict[str, Any]:
    """Predict a dataset with the model that is live at the endpoint, and write another."""
    releases: Any = client.endpoints.releases(arguments.endpoint)
    live = next((r for r in releases if r["state"] == "live"), None)
    if live is None or "model" not in live["pins"]:
        raise InvalidInput(f"{arguments.endpoint} has no live model. Release one first.")
    name = arguments.to or f"{arguments.endpoint}-predictions"
    return client.models.batch(
        live["pins"]["model"]["ref"], arguments.batch, name, at=arguments.at, prefix=arguments.prefix
    )


def _batch_lines(revision: dict[str, Any]) -> Iterable[str]:
    yield from facts(
        {"dataset": revision["ref"], "rows": revision["manifest"].get("rows"), "digest": revision["digest"]}
    )


def _row(words: list[str]) -> dict[str, Any]:
    return {name: scalar(value) for name, value in pairs(words, "value").items()}


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a file; in CSV, numbers are read as numbers and an empty field is a missing value.

    Raises:
        InvalidInput: the file is missing, of another format, or not a list of rows.
    """
    readers = {".json": _json_rows, ".jsonl": _jsonl_rows, ".csv": _csv_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InvalidInput(f"{path.name} is not a .json, .jsonl or .csv file. Give rows in one of these.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}. Give a readable UTF-8 file.") from error
    rows = list(reader(text))
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise InvalidInput(f"{path.name} holds no rows. Give a list of objects, or CSV with a header line.")
    return rows


def _json_rows(text: str) -> Iterable[Any]:
    import msgspec

    try:
        return msgspec.json.decode(text, type=list[Any])
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"The file is not a JSON list of rows: {error}.") from error


def _jsonl_rows(text: str) -> Iterable[Any]:
    import msgspec

    try:
        return msgspec.json.Decoder().decode_lines(text)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"The file is not one JSON row per line: {error}.") from error


def _csv_rows(text: str) -> Iterator[dict[str, Any]]:
    import csv

    for number, row in enumerate(csv.DictReader(text.splitlines()), start=2):
        if None in row or None in row.values():
            raise InvalidInput(f"Line {number} of the CSV file has another number of fields than its header.")
        yield {name: scalar(value) if value else None for name, value in row.items()}


def _answer_lines(answer: dict[str, Any]) -> Iterator[str]:
    outputs = answer["outputs"]
    headers = list(outputs[0]) if outputs else []
    yield from table(headers, ([row[name] for name in headers] for row in outputs))
    yield ""
    yield f"release {answer['release']}   why: twinloop why {answer['trace']}"
