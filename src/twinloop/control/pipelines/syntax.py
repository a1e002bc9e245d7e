"""Reading syntax trees: what a definition says once comments and layout are gone, and which names it uses."""

from __future__ import annotations

import ast
import copy
import importlib.util
import types
from collections.abc import Callable, Iterator
from typing import Any

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def normalised(node: ast.AST, drop: Callable[[ast.expr], bool] | None = None) -> ast.AST:
    """A copy without docstrings; ``drop`` says which decorators of the outermost definition to leave out."""
    made = copy.deepcopy(node)
    for part in ast.walk(made):
        if isinstance(part, Definition | ast.Module) and ast.get_docstring(part, clean=False) is not None:
            part.body = part.body[1:] or [ast.Pass()]
    if drop is not None and isinstance(made, Definition):
        made.decorator_list = [decorator for decorator in made.decorator_list if not drop(decorator)]
    return made


def chains(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """Every dotted name the tree reads, such as ``("stats", "mean")``; a name it binds itself may be among them."""
    inside: set[int] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and id(part) not in inside:
            names: list[str] = []
            value: ast.expr = part
            while isinstance(value, ast.Attribute):
                names.append(value.attr)
                value = value.value
                inside.add(id(value))
            if isinstance(value, ast.Name):
                yield (value.id, *reversed(names))
        elif isinstance(part, ast.Name) and id(part) not in inside and isinstance(part.ctx, ast.Load):
            yield (part.id,)


def imports(node: ast.AST, package: str) -> Iterator[tuple[str, str | None]]:
    """What the tree imports: a module, and the attribute taken from it, if any."""
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            for name in part.names:
                yield name.name, None
        elif isinstance(part, ast.ImportFrom):
            module = part.module or ""
            if part.level:
                module = importlib.util.resolve_name("." * part.level + module, package)
            for name in part.names:
                yield module, name.name


def definition_at(tree: ast.Module, name: str, line: int) -> ast.AST | None:
    """The function or lambda called ``name`` that starts, with its decorators, on ``line``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            if name == "<lambda>" and node.lineno == line:
                return node
        elif (
            isinstance(node, Definition)
            and node.name == name
            and line in (node.lineno, *(decorator.lineno for decorator in node.decorator_list))
        ):
            return node
    return None


def definition_of(tree: ast.Module, path: list[str]) -> ast.AST | None:
    """The class or function at a qualified name (the last of several definitions counts)."""
    found: Any = tree
    for name in path:
        matches = [node for node in ast.walk(found) if isinstance(node, Definition) and node.name == name]
        if not matches:
            return None
        found = matches[-1]
    return found  # type: ignore[no-any-return]


def assignments(tree: ast.Module, name: str) -> Iterator[ast.stmt]:
    """The statements at the top of a module that bind ``name``."""
    for statement in tree.body:
        targets: list[ast.expr] = []
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
            targets = [statement.target]
        bound = {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
        if name in bound:
            yield statement


def bytecode(code: types.CodeType) -> list[Any]:
    """Where there is no source: instructions, names and constants."""
    constants = [bytecode(item) if isinstance(item, types.CodeType) else repr(item) for item in code.co_consts]
    return [code.co_code.hex(), list(code.co_names), constants]
