"""Loading a project folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinloop.control.pipelines.code import Codes
from twinloop.control.pipelines.errors import DefinitionError
from twinloop.core.errors import NotFound
from twinloop.sdk.project import load_project, reference

TOML = '[project]\nname = "shop"\ndefinitions = ["definitions.py"]\n'

DEFINITIONS = """
import twinloop as tl
import sizes

SALES = tl.Dataset("sales", path="data/sales.csv")
ANSWER = tl.Prompt("answer", "Answer from the passages.")
VIEWS = [
    tl.FeatureView("customer", source="sales", entities=["customer"], features=[tl.Count("orders", window="7d")],
                   event_time="at"),
]
HELP = tl.Endpoint("help", "chat", {"prompt": ANSWER.ref})

@tl.step
def count(x: int) -> int:
    return x + sizes.STEP

@tl.pipeline
def nightly(x: int = 1) -> int:
    return count(x)
"""


def project(folder: Path, toml: str = TOML, definitions: str = DEFINITIONS) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "twinloop.toml").write_text(toml)
    (folder / "definitions.py").write_text(definitions)
    (folder / "sizes.py").write_text("STEP = 1\n")
    return folder


def test_a_project_gives_its_declarations_and_pipelines(tmp_path: Path) -> None:
    loaded = load_project(project(tmp_path))
    assert loaded.name == "shop"
    found = [reference(item) for item in loaded.declarations]
    assert found == ["dataset/sales", "prompt/answer", "feature_view/customer", "endpoint/help"]
    assert loaded.pipeline("nightly")(2) == 3


def test_loading_writes_nothing_into_the_folder(tmp_path: Path) -> None:
    folder = project(tmp_path)
    before = sorted(folder.rglob("*"))
    load_project(folder)
    assert sorted(folder.rglob("*")) == before


def test_loading_again_sees_what_was_edited_a_moment_ago(tmp_path: Path) -> None:
    folder = project(tmp_path)
    first = load_project(folder)
    step = next(iter(first.pipeline("nightly").graph({}).nodes.values())).step
    before = Codes().of(step)
    (folder / "sizes.py").write_text("STEP = 2\n")
    second = load_project(folder)
    assert second.pipeline("nightly")(2) == 4
    step = next(iter(second.pipeline("nightly").graph({}).nodes.values())).step
    assert Codes().of(step) != before


def test_the_same_project_elsewhere_has_the_same_step_digests(tmp_path: Path) -> None:
    digests = []
    for name in ("here", "there"):
        loaded = load_project(project(tmp_path / name))
        step = next(iter(loaded.pipeline("nightly").graph({}).nodes.values())).step
        digests.append(Codes().of(step))
    assert digests[0] == digests[1]


@pytest.mark.parametrize("order", ['"definitions.py", "more.py"', '"more.py", "definitions.py"'])
def test_one_file_of_definitions_may_import_another(tmp_path: Path, order: str) -> None:
    folder = project(tmp_path, TOML.replace('"definitions.py"', order))
    (folder / "more.py").write_text("import twinloop as tl\nfrom definitions import ANSWER, nightly\nAGAIN = ANSWER\n")
    loaded = load_project(folder)
    assert len(loaded.declarations) == 4
    assert list(loaded.pipelines) == ["nightly"]


def test_a_folder_without_a_project_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"There is no twinloop\.toml in .*Make a project with: twinloop init"):
        load_project(tmp_path)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('[project]\nname = "shop\n', r"twinloop\.toml: .*line 2"),
        ('[project]\nname = "shop"\nverison = 1\n', r"twinloop\.toml, line 3: .*`verison`"),
        ("[project]\nname = 3\n", r"twinloop\.toml, line 2: Expected `str`, got `int`"),
        ("", r"missing required field `project`"),
        ('[project]\nname = "shop"\ndefinitions = ["gone.py"]\n', r"names gone\.py, and there is no such file"),
        ('[project]\nname = "shop"\ndefinitions = ["../x.py"]\n', r"names \.\./x\.py"),
    ],
)
def test_a_wrong_toml_is_one_sentence_with_its_line(tmp_path: Path, toml: str, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        load_project(project(tmp_path, toml))


@pytest.mark.parametrize(
    ("definitions", "message"),
    [
        ("x = 1\ndef broken(:\n", r"definitions\.py, line 2: "),
        ("x = 1\n\ny = undefined\n", r"definitions\.py, line 3: NameError: name 'undefined' is not defined"),
        ("import no_such_module\n", r"definitions\.py, line 1: ModuleNotFoundError: .*Install it"),
        (
            'import twinloop as tl\nD = tl.Dataset("d")\n',
            r"definitions\.py, line 2: Dataset d: give either path or url",
        ),
        ('import twinloop as tl\nA = tl.Prompt("p", "a")\nB = tl.Prompt("p", "b")\n', r"prompt/p is declared twice"),
    ],
)
def test_wrong_python_is_one_sentence_with_its_line(tmp_path: Path, definitions: str, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        load_project(project(tmp_path, definitions=definitions))


def test_an_unknown_pipeline_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="Its pipelines are: nightly"):
        load_project(project(tmp_path)).pipeline("daily")
