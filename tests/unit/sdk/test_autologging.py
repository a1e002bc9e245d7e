"""Watching libraries without importing them."""

from __future__ import annotations

import importlib
import logging
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import twinloop as tl
from tests.recording import spooling
from twinloop.sdk.autologging.imports import when_imported
from twinloop.sdk.autologging.optimizers import Watching


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that is installed and not imported."""
    (tmp_path / "watched_library").mkdir()
    (tmp_path / "watched_library" / "__init__.py").write_text("from watched_library import inner\nready = True\n")
    (tmp_path / "watched_library" / "inner.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("watched_library", "watched_library.inner"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "watched_library"


def test_what_is_to_be_done_is_done_after_the_import_and_once(library: str) -> None:
    seen: list[bool] = []
    when_imported(library, lambda: seen.append(sys.modules[library].ready))
    assert seen == []
    module = importlib.import_module(library)
    importlib.reload(module)
    assert seen == [True]
    assert module.__spec__ is not None
    assert isinstance(module.__loader__, SourceFileLoader)
    assert module.__spec__.origin == module.__file__


def test_of_a_library_that_is_imported_already_it_is_done_at_once(library: str) -> None:
    importlib.import_module(library)
    seen: list[str] = []
    when_imported(library, lambda: seen.append("done"))
    assert seen == ["done"]


def test_an_import_that_fails_still_fails_as_it_would(library: str, tmp_path: Path) -> None:
    (tmp_path / "watched_library" / "__init__.py").write_text("raise RuntimeError('broken')")
    seen: list[str] = []
    when_imported(library, lambda: seen.append("done"))
    with pytest.raises(RuntimeError, match="broken"):
        importlib.import_module(library)
    when_imported("there_is_no_such_library", lambda: seen.append("done"))
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("there_is_no_such_library")
    assert seen == []


class Sharded:
    """A gradient that cannot be put together here, as one that is spread over processes."""

    @property
    def is_sparse(self) -> bool:
        raise RuntimeError("got mixed torch.Tensor and DTensor")


class Optimizer(SimpleNamespace):
    __hash__ = object.__hash__  # type: ignore[assignment]


def test_an_optimizer_that_cannot_be_looked_at_stops_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())  # type: ignore[arg-type]
    groups: Any = [{"lr": 0.1, "params": [SimpleNamespace(grad=Sharded())]}]
    optimizer = Optimizer(param_groups=groups, defaults={"lr": 0.1})
    watching = Watching(1)
    with spooling(monkeypatch, tmp_path), tl.run(capture=False, system_metrics=False), caplog.at_level(logging.WARNING):
        for _ in range(3):
            watching.after_step(optimizer, (), {})
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Nothing more")]
    assert said == ["Nothing more of this optimizer is logged, because it cannot be looked at."]
