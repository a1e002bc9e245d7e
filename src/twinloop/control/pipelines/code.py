"""The digest of a step's code: what it says and what it refers to, whatever its comments and layout.

A step's digest covers the syntax tree of its function and, followed through global names, the functions, classes and
constants of the same project that it uses. Of other packages only the names are covered: a new version of a library
does not run a step again. Docstrings, comments, formatting and the options of ``@tl.step`` are not covered.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import linecache
import sys
import textwrap
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from twinloop.control.pipelines import syntax
from twinloop.control.pipelines.errors import DefinitionError
from twinloop.control.pipelines.graph import Pipeline, Step
from twinloop.core.digests import Digest, digest_json
from twinloop.core.errors import InvalidInput

PROJECT_FOLDER = "__twinloop_project__"
"""A global that a project's modules have: the folder whose code belongs together."""

_ABSENT = object()
_CONSTANT = (str, bytes, int, float, bool, type(None), tuple, frozenset, msgspec.Struct)


class Codes:
    """Digests of steps, each computed once; make a new one for each run, because code may be edited in between."""

    def __init__(self) -> None:
        self._steps: dict[int, tuple[Step[..., Any], Digest]] = {}
        self._sources = _Sources()

    def of(self, step: Step[..., Any]) -> Digest:
        """Raises DefinitionError when a file the step refers to cannot be parsed."""
        known = self._steps.get(id(step))
        if known is None:
            function = inspect.unwrap(step.function)
            walk = _Walk(_Project.of(function), self._sources)
            walk.outermost(function)
            known = self._steps[id(step)] = (step, digest_json(walk.found))
        return known[1]


class _Project(NamedTuple):
    """The folder whose code belongs to a step; None where the step comes from no file (a notebook)."""

    root: Path | None

    @classmethod
    def of(cls, function: types.FunctionType) -> _Project:
        """The project's folder; else that of the step's file, or, in a package, the folder that holds the package."""
        folder = function.__globals__.get(PROJECT_FOLDER)
        if folder is not None:
            return cls(Path(folder).resolve())
        file = Path(function.__code__.co_filename)
        if not file.is_file():
            return cls(None)
        root = file.resolve().parent
        while (root / "__init__.py").exists() and root.parent != root:
            root = root.parent
        return cls(root)

    def owns(self, value: types.ModuleType | types.FunctionType) -> bool:
        is_function = isinstance(value, types.FunctionType)
        file = value.__code__.co_filename if is_function else getattr(value, "__file__", None)
        if self.root is None:
            return file is None or not Path(file).is_file()
        if file is None:
            return False
        path = Path(file).resolve()
        return path.is_relative_to(self.root) and "site-packages" not in path.relative_to(self.root).parts

    def owns_name(self, module: str) -> bool:
        loaded = sys.modules.get(module)
        if loaded is not None:
            return self.owns(loaded)
        if self.root is None:
            return False
        path = self.root.joinpath(*module.split("."))
        return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


class _Sources:
    """Parsed files."""

    def __init__(self) -> None:
        self._trees: dict[str, ast.Module] = {}

    def of_function(self, function: types.FunctionType) -> ast.AST | None:
        """The function's definition in its file, or parsed by itself where the file cannot be had; None without source."""
        code = function.__code__
        tree = self._file(code.co_filename, function.__globals__)
        found = None if tree is None else syntax.definition_at(tree, function.__name__, code.co_firstlineno)
        if found is not None:
            return found
        try:
            return ast.parse(textwrap.dedent(inspect.getsource(function)))
        except (OSError, TypeError, SyntaxError):
            return None

    def of_module(self, module: types.ModuleType | None) -> ast.Module | None:
        file = getattr(module, "__file__", None)
        return None if file is None else self._file(file, vars(module))

    def _file(self, file: str, names: dict[str, Any]) -> ast.Module | None:
        if file not in self._trees:
            linecache.checkcache(file)
            text = "".join(linecache.getlines(file, names))
            if not text:
                return None
            try:
                self._trees[file] = ast.parse(text, file)
            except SyntaxError as error:
                raise DefinitionError(f"{file}, line {error.lineno}: {error.msg}. Mend it and run again.") from None
        return self._trees[file]


class _Walk:
    """Collects in ``found``, by qualified name, the normalised text of everything reachable from one function."""

    def __init__(self, project: _Project, sources: _Sources) -> None:
        self.found: dict[str, Any] = {}
        self._project = project
        self._sources = sources

    def outermost(self, function: types.FunctionType) -> None:
        """The step itself: its name and its ``@step`` do not count, so that renaming it or its retries changes nothing."""
        self._function("<step>", function, outermost=True)

    def _function(self, name: str, function: types.FunctionType, *, outermost: bool = False) -> None:
        if name in self.found:
            return
        node = self._sources.of_function(function)
        if node is None:
            self.found[name] = syntax.bytecode(function.__code__)
            return
        names = {**function.__globals__, **_closure(function)}
        made = syntax.normalised(node, (lambda decorator: _is_step(decorator, names)) if outermost else None)
        if outermost and isinstance(made, ast.FunctionDef):
            made.name = "step"
        self._tree(name, made, names)

    def _tree(self, name: str, node: ast.AST, names: Mapping[str, Any]) -> None:
        self.found[name] = ast.dump(node)
        module = str(names.get("__name__", ""))
        for chain in syntax.chains(node):
            self._follow(module, chain, names)
        for imported in syntax.imports(node, str(names.get("__package__") or "")):
            self._imported(*imported)

    def _follow(self, module: str, chain: tuple[str, ...], names: Mapping[str, Any]) -> None:
        """Resolve ``a.b.c`` as far as it goes through modules of the project, and take in what it comes to."""
        head, *rest = chain
        value = names.get(head, _ABSENT)
        while rest and isinstance(value, types.ModuleType) and self._project.owns(value):
            module, names = value.__name__, vars(value)
            head, *rest = rest
            value = names.get(head, _ABSENT)
        if value is not _ABSENT:
            self._value(f"{module}.{head}", value, head, names)

    def _imported(self, module: str, attribute: str | None) -> None:
        """Take in what an import brings, when it is the project's."""
        if not self._project.owns_name(module):
            return
        loaded = importlib.import_module(module)
        if attribute is None:
            self._module(module, loaded)
        elif hasattr(loaded, attribute):
            self._value(f"{module}.{attribute}", getattr(loaded, attribute), attribute, vars(loaded))

    def _value(self, label: str, value: Any, name: str, names: Mapping[str, Any]) -> None:
        """Take in what ``name`` means among ``names``."""
        if label in self.found:
            return
        if isinstance(value, Step | Pipeline):
            value = value.function
        value = inspect.unwrap(value) if isinstance(value, types.FunctionType) else value
        if isinstance(value, types.FunctionType):
            if self._project.owns(value):
                self.found[label] = "function"
                self._function(f"{value.__module__}.{value.__qualname__}()", value)
            else:
                self.found[label] = f"{value.__module__}.{value.__qualname__}"
        elif isinstance(value, type):
            self._class(label, value)
        elif isinstance(value, types.ModuleType):
            self._module(label, value)
        else:
            self._constant(label, value, name, names)

    def _class(self, label: str, value: type) -> None:
        name = f"{value.__module__}.{value.__qualname__}"
        self.found[label] = name
        module = sys.modules.get(value.__module__)
        if module is None or not self._project.owns(module) or f"{name}()" in self.found:
            return
        tree = self._sources.of_module(module)
        node = None if tree is None else syntax.definition_of(tree, value.__qualname__.split("."))
        if node is not None:
            self._tree(f"{name}()", syntax.normalised(node), vars(module))

    def _module(self, label: str, module: types.ModuleType) -> None:
        self.found[label] = module.__name__
        tree = self._sources.of_module(module) if self._project.owns(module) else None
        if tree is not None and f"{module.__name__}()" not in self.found:
            self._tree(f"{module.__name__}()", syntax.normalised(tree), vars(module))

    def _constant(self, label: str, value: Any, name: str, names: Mapping[str, Any]) -> None:
        """What cannot change, by its value; what can (a list, a map, an object), by the statements that make it.

        A program may keep things in a global list while it runs; that does not make it another program.
        """
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        self.found[label] = kind
        if isinstance(value, _CONSTANT):
            try:
                self.found[label] = [kind, digest_json(msgspec.to_builtins(value))]
                return
            except (InvalidInput, TypeError, ValueError):
                self.found[label] = kind
        module = sys.modules.get(str(names.get("__name__")))
        tree = None if module is None or not self._project.owns(module) else self._sources.of_module(module)
        for position, statement in enumerate([] if tree is None else syntax.assignments(tree, name)):
            self._tree(f"{label}#{position}", syntax.normalised(statement), names)


def _closure(function: types.FunctionType) -> dict[str, Any]:
    """The variables of enclosing functions that the function uses."""
    found: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # an empty cell: the variable is not bound yet
            continue
    return found


def _is_step(decorator: ast.expr, names: Mapping[str, Any]) -> bool:
    """Whether a decorator is ``@step``, however it was imported."""
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
        owner = names.get(target.value.id)
        return target.attr == "step" and str(getattr(owner, "__name__", "")).startswith("twinloop")
    found = names.get(target.id) if isinstance(target, ast.Name) else None
    return str(getattr(found, "__module__", "")).startswith("twinloop.")
