"""How commands print: one JSON document, or aligned text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any


def show(arguments: argparse.Namespace, value: Any, render: Callable[[Any], Iterable[str]]) -> None:
    """Print ``value`` as one JSON document under ``--json``, else the lines that ``render`` makes of it."""
    if arguments.json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
        return
    for line in render(value):
        print(line)


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Aligned columns; numbers to the right. A None shows as ``-``."""
    body = [[_cell(value) for value in row] for row in rows]
    right = [bool(body) and all(_is_number(row[i]) for row in body) for i in range(len(headers))]
    widths = [max(len(row[i]) for row in [list(headers), *body]) for i in range(len(headers))]
    lines = []
    for row in [list(headers), *body]:
        cells = (cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True))
        lines.append("  ".join(cells).rstrip())
    return lines


def facts(values: Mapping[str, Any]) -> list[str]:
    """``name  value`` lines with the values aligned."""
    width = max((len(name) for name in values), default=0)
    return [f"{name.ljust(width)}  {_cell(value)}" for name, value in values.items()]


def progress(text: str) -> None:
    """A line about something that takes long; on stderr, so that stdout stays one document."""
    print(text, file=sys.stderr, flush=True)


def short_digest(digest: str | None) -> str:
    """``sha256:ab12cd34ef56``: enough to tell digests apart by eye."""
    return "" if not digest else digest[:19]


def clock_time(stamp: str | None) -> str:
    """``2026-11-21 11:02:03`` of an ISO-8601 time."""
    return "-" if not stamp else stamp[:19].replace("T", " ")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text == "-"
    return True
