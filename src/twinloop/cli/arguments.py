"""What the command line accepts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from twinloop.core.errors import InvalidInput
from twinloop.version import __version__

Handler = Callable[[argparse.Namespace], int]

_AREAS = (
    "server",
    "demo",
    "projects",
    "releases",
    "runs",
    "registry",
    "lineage",
    "asking",
    "predicting",
    "catalog",
    "keys",
    "spool",
    "transfer",
    "webhooks",
    "doctor",
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence and where to look, without the usage block."""

    def error(self, message: str) -> NoReturn:
        print(f"twinloop: {message[:1].upper()}{message[1:]}. See: {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


class Commands:
    """The commands of one or more areas, being declared."""

    def __init__(self, parsers: Any, shared: argparse.ArgumentParser) -> None:
        self._parsers = parsers
        self._shared = shared

    def add(self, name: str, handler: Handler, about: str, example: str = "") -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = self._parsers.add_parser(
            name,
            help=about,
            description=about,
            epilog=f"example: {example}" if example else None,
            parents=[self._shared],
            allow_abbrev=False,
        )
        parser.set_defaults(handler=handler)
        return parser

    def group(self, name: str, about: str, default: Handler | None = None) -> Commands:
        """Commands under a command, such as ``keys create``. With a ``default`` the name alone is a command too."""
        parents = [] if default is None else [self._shared]
        parser = self._parsers.add_parser(name, help=about, description=about, parents=parents, allow_abbrev=False)
        if default is not None:
            parser.set_defaults(handler=default)
        inner = parser.add_subparsers(metavar="COMMAND", required=default is None, dest="subcommand")
        return Commands(inner, self._shared)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The arguments, with the ``handler`` of their command. Exits with 2 and one sentence when they are wrong."""
    return build().parse_args(words)


def build() -> argparse.ArgumentParser:
    from importlib import import_module

    parser = _Parser(prog="twinloop", description="One platform for both loops of production AI.", allow_abbrev=False)
    parser.add_argument("--version", "-V", action="version", version=f"twinloop {__version__}")
    inner = parser.add_subparsers(metavar="COMMAND", required=True, dest="command", parser_class=_Parser)
    commands = Commands(inner, _shared_options())
    for area in _AREAS:
        import_module(f"twinloop.cli.{area}").declare(commands)
    return parser


def _shared_options() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    options = shared.add_argument_group("every command")
    options.add_argument("--url", metavar="URL", help="the server to talk to (default: the one that holds the home)")
    options.add_argument("--home", metavar="FOLDER", help="where Twinloop keeps its state")
    options.add_argument("--json", action="store_true", help="print one JSON document")
    return shared


def scalar(text: str) -> Any:
    """A value as typed: JSON numbers, ``true``, ``false``, ``null`` and quoted text; anything else is text itself."""
    import json

    try:
        value = json.loads(text, parse_constant=lambda name: name)
    except ValueError:
        return text
    return text if isinstance(value, dict | list) else value


def pairs(words: Sequence[str], what: str) -> dict[str, str]:
    """``key=value`` words as a map. Raises InvalidInput for a word that is not one, and for a key given twice."""
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise InvalidInput(f"{word[:80]!r} is not a {what}. Write name=value.")
        if key in found:
            raise InvalidInput(f"The {what} {key} is given twice. Give it once.")
        found[key] = value
    return found
