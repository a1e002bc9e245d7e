"""The code digest of a step: what changes it and what does not."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from twinloop.control.pipelines.code import Codes
from twinloop.control.pipelines.errors import DefinitionError

Digest = Callable[..., str]

BASE = """
import math
import helper
from helper import scale
from twinloop.sdk.definitions import step

LIMIT = 10
TABLE = {"a": [1, 2]}

class Model:
    power = 2
    def fit(self, x):
        return x ** self.power

def inner(x):
    return x + LIMIT

@step
def train(x: int) -> float:
    model = Model()
    return scale(inner(x)) + math.sqrt(model.fit(x)) + TABLE["a"][0] + helper.shift(x)
"""

HELPER = """
FACTOR = 3

def scale(x):
    return x * FACTOR

def shift(x):
    return x - 1

def unused(x):
    return x
"""


@pytest.fixture
def digest(tmp_path: Path) -> Iterator[Digest]:
    """Write a project of two modules, import it and return the digest of its step ``train``."""
    sys.path.insert(0, str(tmp_path))
    count = 0

    def make(definitions: str = BASE, helper: str = HELPER) -> str:
        nonlocal count
        count += 1
        folder = tmp_path / str(count)
        folder.mkdir()
        _load(folder, "helper", helper)
        module = _load(folder, "definitions", definitions)
        return Codes().of(module.train)

    yield make
    sys.path.remove(str(tmp_path))
    for name in ("helper", "definitions"):
        sys.modules.pop(name, None)


def _load(folder: Path, name: str, text: str) -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def train(x: int)", "def train(\n        x: int,\n)"),
        ("    model = Model()", "    # the best one\n    model = Model()"),
        ("    model = Model()", '    """Train it."""\n    model = Model()'),
        ("@step\n", "@step(retries=3, cache=False)\n"),
        ('TABLE["a"]', "TABLE['a']"),
        ("import math\n", "import math\nimport json\n\nOTHER = 5\n"),
    ],
)
def test_layout_comments_and_options_do_not_change_the_digest(digest: Digest, before: str, after: str) -> None:
    assert before in BASE
    assert digest() == digest(BASE.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("return scale(inner(x))", "return 2 * scale(inner(x))"),
        ("x + LIMIT", "x - LIMIT"),
        ("LIMIT = 10", "LIMIT = 11"),
        ('{"a": [1, 2]}', '{"a": [1, 3]}'),
        ("power = 2", "power = 3"),
        ("math.sqrt", "math.cbrt"),
    ],
)
def test_a_change_of_anything_the_step_uses_changes_the_digest(digest: Digest, before: str, after: str) -> None:
    assert before in BASE
    assert digest() != digest(BASE.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after"), [("FACTOR = 3", "FACTOR = 4"), ("x * FACTOR", "FACTOR"), ("x - 1", "x - 2")]
)
def test_a_changed_helper_module_changes_the_digest(digest: Digest, before: str, after: str) -> None:
    assert digest() != digest(helper=HELPER.replace(before, after))


def test_an_unused_function_of_a_helper_module_does_not_count(digest: Digest) -> None:
    changed = HELPER.replace("def unused(x):\n    return x", "def unused(x):\n    return -x")
    assert digest() == digest(helper=changed)


def test_an_import_inside_the_step_is_followed(digest: Digest) -> None:
    inside = BASE.replace("from helper import scale\n", "").replace(
        "    model = ", "    from helper import scale\n    model = "
    )
    assert digest(inside) != digest(inside, HELPER.replace("FACTOR = 3", "FACTOR = 4"))


def test_a_constant_that_is_not_json_counts_by_the_statement_that_makes_it(digest: Digest) -> None:
    first = BASE.replace("LIMIT = 10", "import re\nLIMIT = re.compile('a')")
    second = BASE.replace("LIMIT = 10", "import re\nLIMIT = re.compile('b')")
    assert digest(first) == digest(first)
    assert digest(first) != digest(second)


def test_what_a_program_keeps_in_a_global_list_does_not_count(digest: Digest) -> None:
    text = BASE.replace("LIMIT = 10", "LIMIT = 10\nSEEN = []").replace(
        "    model = ", "    SEEN.append(x)\n    model = "
    )
    first = digest(text)
    module = sys.modules["definitions"]
    module.SEEN.append(1)
    assert Codes().of(module.train) == first


def test_recursion_ends(digest: Digest) -> None:
    text = BASE.replace("return x + LIMIT", "return inner(x - 1) if x else train(0)")
    assert digest(text) == digest(text)


def test_variables_of_an_enclosing_function_count(digest: Digest) -> None:
    text = """
from twinloop.sdk.definitions import step
def make(size):
    @step
    def train(x: int) -> int:
        return x + size
    return train
train = make({size})
"""
    assert digest(text.replace("{size}", "1")) != digest(text.replace("{size}", "2"))


def test_a_file_that_no_longer_parses_is_named(digest: Digest, tmp_path: Path) -> None:
    digest()
    (tmp_path / "1" / "definitions.py").write_text("def train(:\n")
    with pytest.raises(DefinitionError, match=r"definitions\.py, line 1"):
        Codes().of(sys.modules["definitions"].train)
