"""Something to do once a library has been imported, now or later, so that nothing is imported only to be watched."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


def when_imported(library: str, act: Callable[[], None]) -> None:
    """Call ``act`` now if ``library``, a top-level package, is imported already, else right after it has been."""
    found = sys.modules.get(library)
    if found is not None and not getattr(found.__spec__, "_initializing", False):
        act()
        return
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _finder.waiting[library] = act


class _Finder(MetaPathFinder):
    """Lets the other finders find, and adds to what the loader does."""

    def __init__(self) -> None:
        self.waiting: dict[str, Callable[[], None]] = {}
        self._asking = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.waiting or getattr(self._asking, "now", False):
            return None
        self._asking.now = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._asking.now = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self.waiting.pop(fullname))
        return spec


class _Loader(Loader):
    def __init__(self, loader: Loader, act: Callable[[], None]) -> None:
        self._loader = loader
        self._act = act

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader  # what asks the module for its loader gets the real one
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._act()


_finder = _Finder()
