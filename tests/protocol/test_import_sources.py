"""What an import reads: the same through MLflow's REST interface as from the SQLite file behind it."""

from __future__ import annotations

import hashlib
import math
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pytest

from tests import peer
from tests.protocol.mlflow_history import fill
from twinloop.sdk.transfer.found import FoundRun, Source
from twinloop.sdk.transfer.mlflow_server import MlflowServer
from twinloop.sdk.transfer.rest_source import RestSource
from twinloop.sdk.transfer.sqlite_source import SqliteSource

pytestmark = [pytest.mark.skipif(not peer.HERE, reason=peer.WHY_NOT), pytest.mark.slow]


class History(NamedTuple):
    server: peer.MlflowServer
    told: dict[str, Any]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    folder = tmp_path_factory.mktemp("mlflow")
    with peer.MlflowServer(folder / "server") as server:
        yield History(server, fill(server.url, folder / "client"))


@pytest.fixture(params=["rest", "sqlite"])
def source(request: pytest.FixtureRequest, history: History) -> Iterator[Source]:
    made = rest(history) if request.param == "rest" else file(history)
    yield made
    made.close()


def rest(history: History) -> Source:
    return RestSource(MlflowServer(history.server.url))


def file(history: History) -> Source:
    return SqliteSource(history.server.database, [history.server.artifacts])


def series(source: Source, runs: list[FoundRun]) -> dict[tuple[str, str], list[tuple[int, int, float | None]]]:
    found: dict[tuple[str, str], list[tuple[int, int, float | None]]] = {}
    for run, points in source.points(runs):
        found.setdefault((run, points.key), []).extend(zip(points.at_ms, points.step, points.value, strict=True))
    return found


def all_runs(source: Source) -> list[FoundRun]:
    return [run for experiment in source.experiments() for page in source.runs(experiment.id) for run in page]


def test_both_ways_in_see_the_same_experiments_runs_and_points(history: History) -> None:
    one, other = rest(history), file(history)
    assert list(one.experiments()) == list(other.experiments())
    assert {e.lifecycle for e in one.experiments()} == {"active", "deleted"}
    mine, theirs = all_runs(one), all_runs(other)
    assert mine == [msgspec.structs.replace(run, deleted_ms=None) for run in theirs]
    assert series(one, mine) == series(other, theirs)


def test_both_ways_in_see_the_same_models_versions_and_logged_models(history: History) -> None:
    one, other = rest(history), file(history)
    assert sorted(one.models(), key=lambda m: m.name) == list(other.models())
    for model in other.models():
        kept = [version for version in other.versions(model.name) if not version.deleted]
        assert list(one.versions(model.name)) == kept
    for experiment in other.experiments():
        mine = [found for page in one.logged_models(experiment.id) for found in page]
        assert mine == [found for page in other.logged_models(experiment.id) for found in page]
        assert bool(mine) == (experiment.id == history.told["flights"])


def test_both_ways_in_see_the_same_traces(history: History) -> None:
    one, other = rest(history), file(history)
    mine = [trace for e in one.experiments() for page in one.traces(e.id) for trace in page]
    theirs = [trace for e in other.experiments() for page in other.traces(e.id) for trace in page]
    assert [t.id for t in mine] == history.told["traces"]
    assert mine == theirs
    asked = mine[0]
    assert asked.spans is not None
    assert [span.name for span in asked.spans] == ["ask-0", "llm"]
    assert asked.spans[0].attributes["mlflow.spanInputs"] == {"question": "wer?", "n": 0}
    assert {(a.kind, a.name) for a in asked.assessments} == {("feedback", "good"), ("expectation", "expected")}


def test_both_ways_in_see_the_same_files(history: History) -> None:
    places = [("run", run.id, run.location) for run in all_runs(file(history))] + [
        ("logged_model", m.id, m.location)
        for page in file(history).logged_models(history.told["flights"])
        for m in page
    ]
    for owner, id, place in places:
        digests = []
        for source in (rest(history), file(history)):
            found = list(source.files(owner, id, place))
            digests.append({f.path: (f, _digest(source, owner, id, place, f)) for f in found})
        assert digests[0] == digests[1]
        if id == history.told["rich"]:
            assert len(digests[0]) == history.told["artifacts"]
            assert "deep/er/façade 1.json" in digests[0]


def _digest(source: Source, owner: Any, id: str, place: str, file: Any) -> str:
    assert file.refused is None
    sha = hashlib.sha256()
    for chunk in source.read(owner, id, place, file):
        sha.update(chunk)
    return sha.hexdigest()


def test_points_come_in_order_with_nan_after_a_true_zero(source: Source, history: History) -> None:
    run = next(run for run in all_runs(source) if run.id == history.told["rich"])
    odd = series(source, [run])[run.id, "odd"]
    start = 1_753_000_000_000
    largest = 1.7976931348623157e308
    assert odd == [
        (start, 0, 0.0),
        (start, 0, None),
        (start + 1, 1, largest),
        (start + 2, 2, -largest),
        (start + 3, -5, 1e-320),
        (start + 3, 2**40, 7.0),
    ]


def test_deleted_versions_stay_gaps(source: Source) -> None:
    found = list(source.versions("iris"))
    assert [v.number for v in found if not v.deleted] == [1, 3]
    assert [v.stage for v in found if not v.deleted] == ["Archived", "Production"]


def test_the_places_with_files_are_told_by_one_listing(source: Source, history: History) -> None:
    runs = [run for run in all_runs(source) if run.experiment_id == history.told["flights"]]
    places = {run.id: run.location for run in runs} | {
        f"x{n}": f"mlflow-artifacts:/1/x{n}/artifacts" for n in range(20)
    }
    assert source.with_files("run", places) == {history.told["rich"]}


def test_a_file_that_the_server_is_writing_to_can_be_read(history: History) -> None:
    writing = sqlite3.connect(history.server.database, isolation_level=None)
    try:
        writing.execute("BEGIN IMMEDIATE")
        writing.execute("UPDATE runs SET name = name")
        assert len(all_runs(file(history))) > 10
        writing.execute("COMMIT")
        reading = file(history)
        pages = reading.runs(history.told["flights"])
        next(pages)
        writing.execute("BEGIN EXCLUSIVE")  # nothing of the reader's is in the way between two pages
        writing.execute("ROLLBACK")
    finally:
        writing.close()


def test_long_series_come_in_parts(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("rest_source", "sqlite_runs"):
        monkeypatch.setattr(f"twinloop.sdk.transfer.{module}._POINTS", 50)
    run = next(run for run in all_runs(file(history)) if run.id == history.told["rich"])
    others = [other for other in all_runs(file(history)) if other.id != run.id]
    for source in (rest(history), file(history)):
        parts = [points for _, points in source.points([run, *others]) if points.key == "loss"]
        assert len(parts) > 6
        whole = series(source, [run, *others])[run.id, "loss"]
        assert [step for _, step, _ in whole] == list(range(300))
        assert math.isclose(whole[299][2] or 0, 1 / 300)
