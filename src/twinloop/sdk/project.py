"""Loads a project folder: ``twinloop.toml`` and the Python files it names."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import tomllib
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from twinloop.control.pipelines.code import PROJECT_FOLDER
from twinloop.control.pipelines.errors import DefinitionError
from twinloop.control.pipelines.graph import Pipeline
from twinloop.core.errors import NotFound, TwinloopError
from twinloop.sdk.definitions import Declaration

if TYPE_CHECKING:
    from twinloop.ml.features.model import FeatureView

FILE = "twinloop.toml"
_PACKAGE = "_twinloop_project"


class _Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    definitions: tuple[str, ...] = ("definitions.py",)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    project: _Settings


class Project(NamedTuple):
    """What a project's files say. ``declarations`` are in the order in which they were written, file by file."""

    folder: Path
    name: str
    declarations: tuple[Declaration | FeatureView, ...]
    pipelines: dict[str, Pipeline[..., Any]]

    def pipeline(self, name: str) -> Pipeline[..., Any]:
        """Raises NotFound, naming those there are."""
        try:
            return self.pipelines[name]
        except KeyError:
            known = ", ".join(sorted(self.pipelines)) or "none"
            raise NotFound(f"Project {self.name} has no pipeline {name}. Its pipelines are: {known}.") from None


def load_project(folder: Path | str = ".") -> Project:
    """Read ``twinloop.toml`` and import the files it names, under private module names and writing nothing.

    Modules beside them are importable by their own names until another project is loaded.

    Raises:
        NotFound: the folder holds no project.
        DefinitionError: one sentence with file and line.
    """
    root = Path(folder).resolve()
    settings = _settings(root)
    _Finder.activate(root)
    modules = [_definitions(root, file) for file in settings.definitions]
    declared = list(_declarations(modules))
    seen: dict[str, Declaration | FeatureView] = {}
    for item in declared:
        if seen.setdefault(reference(item), item) is not item:
            raise DefinitionError(f"{reference(item)} is declared twice in {root.name}. Give each its own name.")
    pipelines: dict[str, Pipeline[..., Any]] = {}
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, Pipeline) and pipelines.setdefault(value.name, value) is not value:
                raise DefinitionError(f"Two pipelines are called {value.name}. Name one: @tl.pipeline(name=...).")
    return Project(root, settings.name, tuple(seen.values()), pipelines)


def reference(item: Declaration | FeatureView) -> str:
    """``kind/name`` of something declared."""
    return item.ref if isinstance(item, Declaration) else f"feature_view/{item.name}"


def _settings(root: Path) -> _Settings:
    path = root / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"There is no {FILE} in {root}. Make a project with: twinloop init {root.name or '.'}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(f"{path} cannot be read: {error}. Make it a readable UTF-8 file.") from None
    try:
        return msgspec.convert(tomllib.loads(text), _File).project
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError(f"{FILE}: {error}. Mend that line.") from None
    except msgspec.ValidationError as error:
        line = _line_of(text, str(error))
        raise DefinitionError(f'{FILE}{line}: {error}. It needs [project] with name = "..." and definitions.') from None


def _line_of(text: str, message: str) -> str:
    """``, line 3`` when the message quotes a key that stands at the beginning of a line."""
    for number, line in enumerate(text.splitlines(), 1):
        key = line.partition("=")[0].strip()
        if key and (f"`{key}`" in message or f"`$.project.{key}" in message):
            return f", line {number}"
    return ""


def _definitions(root: Path, file: str) -> ModuleType:
    path = root / file
    if not path.is_file() or not path.resolve().is_relative_to(root):
        raise DefinitionError(f"{FILE} names {file}, and there is no such file in {root}. Write it or take it out.")
    plain = path.relative_to(root).with_suffix("").as_posix().replace("/", ".")
    imported = sys.modules.get(plain)
    if imported is not None and vars(imported).get(PROJECT_FOLDER) == str(root):
        return imported
    name = f"{_PACKAGE}.{plain}"
    loader = _Loader(name, str(path))
    spec = importlib.util.spec_from_loader(name, loader, origin=str(path))
    if spec is None:
        raise DefinitionError(f"{file} cannot be imported. Is it a Python file?")
    spec.has_location = True
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except SyntaxError as error:
        raise DefinitionError(f"{_shown(root, error.filename)}, line {error.lineno}: {error.msg}. Mend it.") from None
    except Exception as error:
        raise DefinitionError(_sentence(root, file, error)) from error
    return module


def _sentence(root: Path, file: str, error: Exception) -> str:
    """Where in the project an import went wrong, and why."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _own(root, frame.filename)]
    place = f"{_shown(root, frames[-1].filename)}, line {frames[-1].lineno}" if frames else file
    if isinstance(error, TwinloopError):
        return f"{place}: {error.message}"
    advice = "Install it, or mend the import." if isinstance(error, ImportError) else "Mend it and try again."
    text = " ".join(str(error).split())[:300]
    return f"{place}: {type(error).__name__}: {text}. {advice}"


def _own(root: Path, file: str) -> bool:
    """Whether a file is the project's, and not of a virtual environment that lies in its folder."""
    path = Path(file)
    return path.is_relative_to(root) and "site-packages" not in path.relative_to(root).parts


def _shown(root: Path, file: str | None) -> str:
    path = Path(file or "")
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _declarations(modules: Sequence[ModuleType]) -> Iterator[Declaration | FeatureView]:
    """Every declaration bound to a name, once."""
    views = sys.modules.get("twinloop.ml.features.model")
    kinds: Any = (Declaration,) if views is None else (Declaration, views.FeatureView)
    seen: set[int] = set()
    for module in modules:
        for value in list(vars(module).values()):
            for item in value if isinstance(value, list | tuple) else (value,):
                if isinstance(item, kinds) and id(item) not in seen:
                    seen.add(id(item))
                    yield item


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles what the file says now, and neither reads nor writes compiled files beside it."""

    def __init__(self, fullname: str, path: str) -> None:
        super().__init__(fullname, path)

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)[PROJECT_FOLDER] = str(_Finder.active)
        super().exec_module(module)


class _Loaded(importlib.abc.Loader):
    """Gives one file of the project to another that imports it by its own name, so that it is not run twice."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        return


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of the active project, before any other of the same name."""

    active: Path | None = None

    @classmethod
    def activate(cls, root: Path) -> None:
        """Make ``root`` the active project: forget the modules of the one before, and of an earlier load."""
        previous = cls.active
        for name, module in list(sys.modules.items()):
            owner = vars(module).get(PROJECT_FOLDER) if isinstance(module, ModuleType) else None
            if owner is not None and owner in (str(previous), str(root)):
                del sys.modules[name]
        cls.active = root
        importlib.invalidate_caches()
        if not any(isinstance(finder, cls) for finder in sys.meta_path):
            sys.meta_path.insert(0, cls())

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if self.active is None or (path is None and "." in fullname):
            return None
        loaded = sys.modules.get(f"{_PACKAGE}.{fullname}")
        if loaded is not None:
            return importlib.machinery.ModuleSpec(fullname, _Loaded(loaded))
        within = [str(self.active)] if path is None else [part for part in path if _own(self.active, part)]
        if not within:
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, within, target)
        if found is not None and isinstance(found.loader, importlib.machinery.SourceFileLoader) and found.origin:
            found.loader = _Loader(fullname, found.origin)
            found.cached = None
        return found
