"""Evaluations, judges, scorers and evaluation datasets of MLflow's client: told the same and leaving the same as on its
own server, with a model of our own for the judges to ask."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import peer
from tests.judging import JudgingModel
from tests.serving import ServerProcess

pytestmark = [pytest.mark.skipif(not peer.HERE, reason=peer.WHY_NOT), pytest.mark.slow]

FOLDER = Path(__file__).parent
DUMP = FOLDER / "mlflow_scripts" / "left_behind.py"
ONE_BY_ONE = {"MLFLOW_GENAI_EVAL_MAX_WORKERS": "1", "MLFLOW_GENAI_EVAL_MAX_SCORER_WORKERS": "1"}
"""In parallel the traces of an evaluation come in any order."""
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|<id\d+>")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("genai")
    with ServerProcess(folder / "home") as ours, peer.MlflowServer(folder / "mlflow") as theirs:
        yield ours.url, theirs.url


@pytest.fixture
def model() -> Iterator[JudgingModel]:
    with JudgingModel() as running:
        yield running


def left_behind(url: str, folder: Path, experiments: set[str]) -> Any:
    """What the server holds of these experiments, without ids, and without the order of rows that came at once."""
    held = json.loads(ID.sub("<id>", json.dumps(peer.run_script(DUMP, url, folder))))
    found = [one for one in held["experiments"] if one["name"] in experiments]
    return [{**one, "traces": sorted(one["traces"], key=json.dumps)} for one in found]


@pytest.mark.parametrize("name", ["evaluate", "judges", "datasets"])
def test_a_script_is_told_the_same_and_leaves_the_same(
    name: str, both: tuple[str, str], model: JudgingModel, tmp_path: Path
) -> None:
    told, left, asked = [], [], []
    for side, url in zip(("ours", "theirs"), both, strict=True):
        folder, before = tmp_path / side, len(model.asked)
        script = FOLDER / "genai_scripts" / f"{name}.py"
        told.append(peer.run_script(script, url, folder, OPENAI_API_KEY="k", OPENAI_API_BASE=model.url, **ONE_BY_ONE))
        left.append(left_behind(url, folder, {name, f"{name} other"}))
        asked.append(len(model.asked) - before)
    assert told[0] == told[1]
    for mine, real in zip(left[0], left[1], strict=True):
        for part in real:
            assert mine[part] == real[part], f"{real['name']}: {part}"
    assert left[1][0]["runs"]
    assert left[1][0]["traces"]
    assert asked[0] == asked[1]
    assert (asked[0] > 0) == (name == "judges")
