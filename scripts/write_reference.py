"""Writes docs/reference from the code: the command line, settings, HTTP paths, errors and the Python names.

``make docs`` runs it, and ``tests/unit/test_reference.py`` fails when a committed page is not what it writes now.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import importlib
import inspect
import pkgutil
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
_SOURCE = ROOT / "src" / "twinloop"
_NOTHING = type("Empty", (), {"__repr__": lambda self: "{}"})()
_PROTOCOLS = {
    "native": "Twinloop's own API",
    "openai": "OpenAI",
    "open_inference": "Open Inference Protocol",
    "otlp": "OpenTelemetry (OTLP over HTTP)",
    "mlflow": "MLflow tracking",
}


def pages() -> dict[str, str]:
    """The text of every page of the reference by its file name."""
    made = {
        "cli": cli(),
        "settings": settings(),
        "http": http(),
        "mlflow": mlflow(),
        "errors": errors(),
        "python": python(),
    }
    return {f"{name}.md": "\n".join(lines).rstrip() + "\n" for name, lines in made.items()}


def main() -> int:
    """Write every page and say which changed."""
    for name, text in pages().items():
        path = FOLDER / name
        changed = not path.exists() or path.read_text(encoding="utf-8") != text
        path.write_text(text, encoding="utf-8")
        print(f"{'wrote' if changed else 'same '} docs/reference/{name}")
    return 0


def _head(title: str, about: str) -> Iterator[str]:
    yield from (f"# {title}", "", "Written by `make docs` from the code. Edit the code, not this page.", "", about, "")


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headers)} |"
    yield f"|{'---|' * len(headers)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def _plain(text: str | None) -> str:
    """A docstring for Markdown: paragraphs, sections such as ``Args:`` as lists, code in single backticks."""
    found = []
    for part in inspect.cleandoc(text or "").replace("``", "`").split("\n\n"):
        head, _, rest = part.partition("\n")
        if head in ("Args:", "Attributes:", "Raises:", "Returns:"):
            items = re.sub(r"\n {5,}", " ", f"\n{rest}").replace("\n    ", "\n- ")
            found.append(f"{head}\n{items}")
        else:
            found.append(" ".join(part.split()))
    return "\n\n".join(found)


def _first(text: str | None) -> str:
    """The first sentence or line of a docstring."""
    paragraph = _plain(text).partition("\n\n")[0]
    return re.split(r"(?<=\.) (?=[A-Z`])", paragraph)[0]


def cli() -> Iterator[str]:
    from twinloop.cli.arguments import build

    yield from _head(
        "Command line",
        "Every command takes `--url` (the server to talk to), `--home` (the folder with the state) and `--json` (one JSON "
        "document on standard output). Exit codes: 0 done, 2 failed with one sentence on standard error, 130 interrupted; and 1 "
        "when `import` found a difference or `webhooks test` was not answered with 2xx.",
    )
    for name, parser in _commands(build()):
        usage = f"{name} {_usage(parser)}".rstrip()
        yield from (f"## {name}", "", parser.description or "", "", "```", usage, "```", "")
        rows = [(_listed(action), _help(action)) for action in _own(parser)]
        if rows:
            yield from _table(("argument", "meaning"), rows)
        if parser.epilog:
            yield from (f"Example: `{parser.epilog.removeprefix('example: ')}`", "")


def _commands(parser: argparse.ArgumentParser, path: str = "twinloop") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                if any(isinstance(below, argparse._SubParsersAction) for below in inner._actions):
                    yield from _commands(inner, f"{path} {name}")
                else:
                    yield f"{path} {name}", inner


def _own(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    shared = {"help", "url", "home", "json"}
    return [action for action in parser._actions if action.dest not in shared and action.help is not argparse.SUPPRESS]


def _usage(parser: argparse.ArgumentParser) -> str:
    options = [action for action in _own(parser) if action.option_strings]
    places = [action for action in _own(parser) if not action.option_strings]
    return " ".join(
        [_written(a) if a.required else f"[{_written(a)}]" for a in options]
        + [f"[{_written(a)}]" if a.nargs in ("?", "*") else _written(a) for a in places]
    )


def _written(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else None
    value = metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    if not action.option_strings:
        return (metavar or action.dest.upper()) + (" ..." if action.nargs in ("*", "+") else "")
    return action.option_strings[-1] if action.nargs == 0 else f"{action.option_strings[-1]} {value}"


def _listed(action: argparse.Action) -> str:
    """An argument with every name it has."""
    return ", ".join([*action.option_strings[:-1], _written(action)])


def _help(action: argparse.Action) -> str:
    text = (action.help or "").replace("%%", "%")
    said = "default" in text or action.default in (None, "", False, [], argparse.SUPPRESS) or action.nargs == 0
    if said or isinstance(action.default, Path):
        return text
    return f"{text} (default: {action.default})".strip()


def settings() -> Iterator[str]:
    from twinloop.core.settings import PREFIX, Settings

    yield from _head(
        "Settings",
        f"Every setting is an environment variable named `{PREFIX}` and the field in capitals. A variable with that prefix "
        "which names no setting, or a value that does not fit, is an error at start.",
    )
    values = msgspec.structs.asdict(Settings())
    tree = ast.parse((_SOURCE / "core" / "settings.py").read_text(encoding="utf-8"))
    body = next(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == "Settings")
    rows = []
    for field, said in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(said, ast.Expr):
            name = field.target.id
            default = str(values[name] or "").replace(str(Path.home()), "~")
            variable = f"{PREFIX}SECRET_<NAME>" if name == "secrets" else f"{PREFIX}{name.upper()}"
            about = _plain(ast.literal_eval(said.value))
            rows.append((f"`{variable}`", f"`{default}`" if default else "", about))
    yield from _table(("variable", "default", "meaning"), rows)


def http() -> Iterator[str]:
    yield from _head(
        "HTTP",
        "One port serves every protocol. `key` says whether the path needs a key on a server that has keys: send it as "
        "`Authorization: Bearer KEY`. MLflow's paths are also answered under `/ajax-api/`, and its other paths with "
        "MLflow's own `ENDPOINT_NOT_FOUND`.",
    )
    grouped: dict[str, dict[str, list[tuple[str, ...]]]] = {}
    for route in asyncio.run(_routes()):
        endpoint = inspect.getclosurevars(route.endpoint).nonlocals
        handler = endpoint.get("handler")
        if handler is None and not route.endpoint.__module__.startswith("twinloop.protocols."):
            continue
        module = (handler or route.endpoint).__module__
        protocol = module.split(".")[2]
        if route.path.startswith(("/ajax-api/", "//")) or getattr(handler, "__name__", "") == "_not_offered":
            continue
        about = _first(handler.__doc__ if handler else sys.modules[module].__doc__)
        methods = ", ".join(sorted(route.methods - ({"HEAD"} if "GET" in route.methods else set())))
        key = "" if endpoint.get("public") else "yes"
        path = route.path.replace(":path}", "}")
        group = module if protocol == "native" else protocol
        grouped.setdefault(protocol, {}).setdefault(group, []).append((methods, f"`{path}`", key, about))
    for protocol, title in _PROTOCOLS.items():
        yield from (f"## {title}", "")
        for group, rows in grouped.get(protocol, {}).items():
            if protocol == "native":
                yield from (f"### {group.rpartition('.')[2]}", "")
            yield from _table(("method", "path", "key", "what it does"), dict.fromkeys(rows))


def mlflow() -> Iterator[str]:
    from twinloop.protocols.mlflow.coverage import GAPS, NOTES
    from twinloop.protocols.mlflow.routes import VERSION

    offered = sorted(set(_offered_of_mlflow()))
    refused = sum(len(gap.endpoints) for gap in GAPS)
    yield from _head(
        "MLflow's endpoints",
        f"Every endpoint of MLflow {VERSION}'s server: {len(offered)} are offered, {refused} are not. Those below `/api/` are "
        "also answered below `/ajax-api/`. One that is not offered answers 404 with MLflow's `ENDPOINT_NOT_FOUND` and the "
        "reason that stands here. How to use MLflow's client is told in [use-with-mlflow](../howto/use-with-mlflow.md).",
    )
    yield from ("## Offered", "")
    areas: dict[str, list[tuple[str, str, str]]] = {}
    for area, path, method, about in offered:
        note = NOTES.get(f"{method} {path}", "")
        areas.setdefault(area, []).append((method, f"`{path}`", f"{about} {note}".strip()))
    for area, rows in areas.items():
        yield from (f"### {area}", "", *_table(("method", "path", "what it does"), rows))
    yield from ("## Not offered", "")
    for gap in GAPS:
        refusals = [(method, f"`{path.replace(':path}', '}')}`") for method, path in gap.each()]
        yield from (f"### {gap.about}", "", gap.why, "", *_table(("method", "path"), refusals))


def _offered_of_mlflow() -> Iterator[tuple[str, str, str, str]]:
    """Area, path, method and what it does of each endpoint of MLflow's that is offered."""
    yield ("traces", "/v1/traces", "POST", "Spans by OpenTelemetry's protocol (OTLP over HTTP).")
    for route in asyncio.run(_routes()):
        handler = inspect.getclosurevars(route.endpoint).nonlocals.get("handler")
        module = getattr(handler, "__module__", "")
        name = getattr(handler, "__name__", "")
        if not module.startswith("twinloop.protocols.mlflow.") or name == "_not_offered":
            continue
        if route.path.startswith("/ajax-api/") or "//" in route.path:
            continue
        _, _, rest = route.path.partition("/mlflow/")
        area = rest.partition("/")[0] if rest else "mlflow-artifacts" if "artifact" in route.path else "server"
        for method in sorted(route.methods - ({"HEAD"} if "GET" in route.methods else set())):
            yield (area, route.path.replace(":path}", "}"), method, _first(getattr(handler, "__doc__", "")))


async def _routes() -> list[Any]:
    """The routes of a real application on an empty home."""
    from twinloop.compose import open_app
    from twinloop.core.settings import load
    from twinloop.server.routes import all_routes

    with tempfile.TemporaryDirectory(prefix="twinloop-reference-") as home:
        app = await open_app(load({"home": home}, {}))
        try:
            return list(all_routes(app))
        finally:
            await app.aclose()


def errors() -> Iterator[str]:
    from twinloop.core.errors import TwinloopError
    from twinloop.protocols.http import InternalError, status_of

    yield from _head(
        "Errors",
        "Every error is a class of a tree, has a stable code and a message that says what happened and what to do. The "
        'native API answers the status below with `{"error": {"code", "message", "trace"}}`; other protocols use '
        "their own form. The SDK raises the class of `twinloop.core.errors` that has the code.",
    )
    meanings = _error_meanings()
    rows = []
    for depth, kind in _tree(TwinloopError, InternalError):
        name = f"{'&nbsp;' * 4 * depth}`{kind.__name__}`"
        about = meanings.get(kind.__name__) or _first(vars(kind).get("__doc__"))
        rows.append((name, f"`{kind.code}`", str(status_of(kind.__new__(kind))), about))
    yield from _table(("class", "code", "HTTP status", "meaning"), rows)


def _tree(kind: Any, *others: Any, depth: int = 0) -> Iterator[tuple[int, Any]]:
    """``kind`` and all below it that core, control and the lanes define, each with its depth; and ``others``."""
    if depth == 0:
        import twinloop

        for found in pkgutil.walk_packages(twinloop.__path__, "twinloop.", onerror=lambda name: None):
            if found.name.endswith(".errors"):
                importlib.import_module(found.name)
    yield depth, kind
    layers = tuple(f"twinloop.{layer}." for layer in ("core", "control", "ml", "llm"))
    # The order of definition within a module, and of names between modules: not that in which modules were imported.
    for below in sorted(
        kind.__subclasses__(), key=lambda each: (each.__module__ != "twinloop.core.errors", each.__module__)
    ):
        if (below.__module__ + ".").startswith(layers) or below in others:
            yield from _tree(below, *others, depth=depth + 1)


def _error_meanings() -> Mapping[str, str]:
    """What the drawing of the tree at the top of core/errors.py says of each class."""
    text = ast.get_docstring(ast.parse((_SOURCE / "core" / "errors.py").read_text(encoding="utf-8"))) or ""
    return {m[1]: m[2] for m in re.finditer(r"^[│├└─ ]+([A-Z]\w+) {2,}(?:… )?(.+)$", text, re.MULTILINE)}


def python() -> Iterator[str]:
    import twinloop

    yield from _head(
        "Python",
        "What `import twinloop as tl` offers. Declarations are values: a project's files make them, `twinloop apply` makes "
        "them exist. Verbs of a running Twinloop are methods of the client's areas.",
    )
    for name in twinloop.__all__:
        if callable(value := getattr(twinloop, name)):
            about = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
            yield from (f"## tl.{name}", "", *_signature(f"tl.{name}", value), _plain(about), "")
    yield from ("## client", "", *_verbs("client", twinloop.Client))
    yield from _areas(twinloop.Client)


def _areas(client: Any) -> Iterator[str]:
    for area, held in vars(client).items():
        if isinstance(held, cached_property):
            module = importlib.import_module(f"twinloop.sdk.{area}")
            kind = getattr(module, held.func.__annotations__["return"])
            yield from (f"## client.{area}", "", *_verbs(f"client.{area}", kind))


def _verbs(path: str, kind: Any) -> Iterator[str]:
    for name, verb in vars(kind).items():
        if not name.startswith("_") and inspect.isfunction(verb):
            yield from _signature(f"{path}.{name}", verb)
            yield from ((_plain(verb.__doc__), "") if verb.__doc__ else ())


def _signature(name: str, value: Any) -> Iterator[str]:
    if inspect.isclass(value) and not issubclass(value, msgspec.Struct):
        return
    bare = [
        parameter.replace(annotation=parameter.empty, default=_default(parameter.default))
        for parameter in inspect.signature(value).parameters.values()
        if parameter.name != "self"
    ]
    yield from ("```python", f"{name}{inspect.Signature(bare)}", "```", "")


def _default(value: Any) -> Any:
    """Values that are made anew for each call show as a name."""
    known = value is inspect.Parameter.empty or isinstance(value, str | int | float | tuple | None)
    return value if known else _NOTHING


if __name__ == "__main__":
    sys.exit(main())
