"""Holds the code to the size and naming rules: short files, short functions, names that say something."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

FILE_LINES = 500
FUNCTION_LINES = 80
EMPTY_NAMES = {"utils", "util", "common", "helpers", "helper", "misc", "manager", "base", "stuff"}
SOURCES = (".py", ".ts", ".tsx")


def main() -> int:
    """Print every offence and return their number, at most 1."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True, check=True
    )
    paths = [Path(name) for name in listed.stdout.splitlines() if name.endswith(SOURCES) and Path(name).is_file()]
    offences = [offence for path in paths for offence in _offences(path)]
    print("\n".join(offences) or f"sizes and names: {len(paths)} files are fine")
    return 1 if offences else 0


def _offences(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    found = []
    lines = text.count("\n")
    if lines >= FILE_LINES:
        found.append(f"{path}: {lines} lines; split it by what changes for different reasons")
    if path.stem in EMPTY_NAMES:
        found.append(f"{path}: the name says nothing; use the noun the module is about")
    if path.suffix == ".py":
        found.extend(_long_functions(path, ast.parse(text)))
    return found


def _long_functions(path: Path, tree: ast.AST) -> list[str]:
    return [
        f"{path}:{node.lineno} {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 >= FUNCTION_LINES
    ]


if __name__ == "__main__":
    sys.exit(main())
