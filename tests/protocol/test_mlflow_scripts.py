"""Unmodified client scripts leave on Twinloop what they leave on a real MLflow server, and are told the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import peer
from tests.serving import ServerProcess

pytestmark = [pytest.mark.skipif(not peer.HERE, reason=peer.WHY_NOT), pytest.mark.slow]

SCRIPTS = Path(__file__).parent / "mlflow_scripts"
DUMP = SCRIPTS / "left_behind.py"
NAMES = sorted(path.stem for path in SCRIPTS.glob("*.py") if path != DUMP)


@pytest.fixture(params=NAMES)
def script(request: pytest.FixtureRequest) -> Path:
    return SCRIPTS / f"{request.param}.py"


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[str, str]]:
    with ServerProcess(tmp_path / "home") as ours, peer.MlflowServer(tmp_path / "mlflow") as theirs:
        yield ours.url, theirs.url


def test_a_script_is_told_the_same_and_leaves_the_same(script: Path, both: tuple[str, str], tmp_path: Path) -> None:
    ours, theirs = both
    told: list[Any] = []
    left: list[Any] = []
    for name, url in (("ours", ours), ("theirs", theirs)):
        folder = tmp_path / "work" / name
        told.append(peer.run_script(script, url, folder))
        left.append(peer.run_script(DUMP, url, folder))
    assert told[0] == told[1]
    assert left[0]["registered"] == left[1]["registered"]
    for mine, real in zip(left[0]["experiments"], left[1]["experiments"], strict=True):
        for part in real:
            assert mine[part] == real[part], f"{real['name']}: {part}"
