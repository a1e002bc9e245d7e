"""What a run writes down while no server answers, and what it refuses at once."""

from __future__ import annotations

import asyncio
import logging
import math
import multiprocessing
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import twinloop as tl
from tests.recording import QUIET, of, operations, spooling
from twinloop.control.tracking.replay.operations import Artifact, Finish, Log, Params, Produce, Read, Start, Tags, Use
from twinloop.core.errors import InvalidInput, Refused
from twinloop.sdk.definitions import current_run_id, running
from twinloop.sdk.spooling.delivery import Rejected
from twinloop.sdk.spooling.left import look, spools
from twinloop.sdk.tracking import process
from twinloop.server import recording


def test_a_run_writes_down_what_it_logs_in_order(root: Path) -> None:
    with tl.run("churn", experiment="sales", params={"depth": 6}, tags={"team": "a"}, **QUIET) as run:
        run.log(loss=0.5, step=3)
        run.log({"val/loss": 1}, acc=0.25)
        run.params(eta=0.1)
        run.tags(stage="x", gone=None)
    start, params, first, second, more, tags, finish = operations(root)
    assert isinstance(start, Start)
    assert (start.run, start.name, start.experiment, start.tags) == (run.id, "churn", "sales", {"team": "a"})
    assert abs(start.at - time.time() * 1000) < 60_000
    assert params == Params(run.id, {"depth": "6"})
    assert isinstance(first, Log)
    assert isinstance(second, Log)
    assert (first.points, second.points) == ([("loss", 0.5, 3)], [("val/loss", 1.0, 0), ("acc", 0.25, 0)])
    assert more == Params(run.id, {"eta": "0.1"})
    assert tags == Tags(run.id, {"stage": "x", "gone": None})
    assert isinstance(finish, Finish)
    assert finish.status == "FINISHED"


def test_what_is_logged_after_the_server_refused_a_spool_goes_into_new_ones(root: Path) -> None:
    run = tl.run(**QUIET)
    run.log(before=1.0)
    run.artifact(b"one", "one.txt")
    (recorder,) = process._recorders.values()
    for lane in recorder._lanes():
        lane.sender._give_up("The server lost what it had.")
        assert not lane.sender.arrived(time.monotonic() + 60), "flush must not say that it arrived"
    run.log(after=1.0)
    run.artifact(b"two", "two.txt")
    logged = [*operations(root), *operations(root, files=True)]
    assert [log.points[0][0] for log in logged if isinstance(log, Log)] == ["before", "after"]
    assert [file.path for file in logged if isinstance(file, Artifact)] == ["one.txt", "two.txt"]
    assert sum(isinstance(operation, Start) for operation in logged) == 4, "each spool says what the run is"
    copies = [len(list((folder / "files").iterdir())) for folder in spools(root) if folder.name.endswith("-files")]
    assert copies == [1, 1]


def test_steps_count_up_for_each_metric_unless_given(root: Path) -> None:
    run = tl.run(**QUIET)
    run.log(a=1)
    run.log(a=1, b=1)
    run.log(a=1, step=10)
    run.log(a=1, b=1)
    steps = [[(key, step) for key, _, step in log.points] for log in of(Log, root)]
    assert steps == [[("a", 0)], [("a", 1), ("b", 0)], [("a", 10)], [("a", 11), ("b", 1)]]


def test_odd_numbers_are_kept_as_the_server_keeps_them(root: Path) -> None:
    run = tl.run(**QUIET)
    run.log(nan=math.nan, up=math.inf, down=-math.inf, yes=True)
    (log,) = of(Log, root)
    largest = 1.7976931348623157e308
    assert log.points == [("nan", None, 0), ("up", largest, 0), ("down", -largest, 0), ("yes", 1.0, 0)]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda run: run.log(loss="high"), "not a number"),
        (lambda run: run.log(loss=None), "not a number"),
        (lambda run: run.log({"a\nb": 1.0}), "metric key"),
        (lambda run: run.log(loss=1.0, step=1.5), "whole number"),
        (lambda run: run.log(loss=1.0, step=2**63), "64 bits"),
        (lambda run: run.params({"": 1}), "param key"),
        (lambda run: run.params(text="x" * 6001), "maximum length"),
        (lambda run: run.tags({"a": "x" * 8001}), "maximum length"),
        (lambda run: run.tags(a="\ud800"), "UTF-8"),
        (lambda run: run.artifact("no such file"), "There is no file"),
        (lambda run: run.artifact(b"x"), "Say where they go"),
        (lambda run: run.artifact(b"x", "../../etc/passwd"), "no path below"),
        (lambda run: run.artifact(b"x", "/etc/passwd"), "no path below"),
        (lambda run: run.use("neither a file nor a revision"), "not a revision"),
        (lambda run: run.use(object()), "cannot be digested"),
        (lambda run: run.produced("model"), "not a revision"),
    ],
)
def test_input_that_cannot_be_right_is_an_error_at_once_and_is_not_written(root: Path, call: Any, words: str) -> None:
    run = tl.run(**QUIET)
    with pytest.raises(InvalidInput, match=words):
        call(run)
    assert [type(operation) for operation in operations(root)] == [Start]


def test_a_run_that_cannot_begin_as_asked_does_not_begin(root: Path) -> None:
    for wrong in ({"params": {"": 1}}, {"tags": {"a": "x" * 8001}}, {"experiment": " "}, {"params": {"a": "\ud800"}}):
        with pytest.raises(InvalidInput):
            tl.run(**wrong, **QUIET)  # type: ignore[arg-type]
    assert operations(root) == []
    with pytest.raises(Refused):
        tl.log(loss=1)


def test_a_param_that_changes_is_an_error_at_once(root: Path) -> None:
    run = tl.run(params={"depth": 6}, **QUIET)
    run.params(depth=6, eta=1)
    with pytest.raises(InvalidInput, match="'depth' is '6' already"):
        run.params(depth=7, other=1)
    assert of(Params, root) == [Params(run.id, {"depth": "6"}), Params(run.id, {"eta": "1"})]


@pytest.mark.parametrize("id", ["", "a b", "x" * 33, "../x", "-a"])
def test_an_id_that_no_run_can_have_is_refused(root: Path, id: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be the id of a run"):
        tl.run(id=id, **QUIET)


def test_a_run_inside_another_is_its_child_in_the_same_experiment(root: Path) -> None:
    with tl.run("outer", experiment="sweep", **QUIET) as outer:
        with tl.run("inner", **QUIET) as inner:
            tl.log(x=1)
        tl.log(x=2)
        with tl.run("elsewhere", experiment="other", **QUIET) as elsewhere:
            pass
    starts = {start.run: start for start in of(Start, root)}
    assert (starts[inner.id].parent, starts[inner.id].experiment) == (outer.id, "sweep")
    assert (starts[elsewhere.id].parent, starts[elsewhere.id].experiment) == (outer.id, "other")
    assert starts[outer.id].parent is None
    assert [(log.run, log.points[0][1]) for log in of(Log, root)] == [(inner.id, 1.0), (outer.id, 2.0)]


def test_log_without_an_open_run_is_refused_and_says_how_to_open_one(root: Path) -> None:
    with pytest.raises(Refused, match=r"with tl\.run"):
        tl.log(loss=1)


def test_a_thread_logs_to_the_only_open_run_but_not_to_one_of_several(root: Path) -> None:
    failed: list[BaseException] = []

    def work() -> None:
        try:
            tl.log(from_thread=1)
        except Refused as error:
            failed.append(error)

    def in_thread() -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    with tl.run("a", **QUIET) as a:
        in_thread()
        with tl.run("b", **QUIET):
            in_thread()
    assert [log.run for log in of(Log, root)] == [a.id]
    assert len(failed) == 1


def test_threads_that_log_at_once_lose_nothing(root: Path) -> None:
    with tl.run(**QUIET) as run:
        work = [threading.Thread(target=lambda: [run.log(x=1.0) for _ in range(500)]) for _ in range(6)]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
    assert len(of(Log, root)) == 3000


def test_the_end_of_a_block_says_how_the_run_ended(root: Path) -> None:
    for error in (ValueError, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit):
        with pytest.raises(error), tl.run(**QUIET):
            raise error
    for code, expected in ((0, "FINISHED"), (3, "FAILED")):
        with pytest.raises(SystemExit), tl.run(tags={"expected": expected}, **QUIET):
            raise SystemExit(code)
    assert [finish.status for finish in of(Finish, root)] == [
        "FAILED",
        "KILLED",
        "KILLED",
        "KILLED",
        "FINISHED",
        "FAILED",
    ]


def test_a_run_finishes_once_and_what_is_left_open_ends_with_the_program(root: Path) -> None:
    first, second = tl.run(**QUIET), tl.run(**QUIET)
    first.finish("KILLED")
    first.finish()
    process.end()
    assert [(finish.run, finish.status) for finish in of(Finish, root)] == [
        (first.id, "KILLED"),
        (second.id, "FINISHED"),
    ]


def test_a_resumed_run_says_so(root: Path) -> None:
    with tl.run(id="job-17", **QUIET) as run:
        assert run.id == "job-17"
    (start,) = of(Start, root)
    assert (start.run, start.resume) == ("job-17", True)


def test_a_file_is_copied_so_that_the_next_checkpoint_does_not_change_it(root: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "model.bin"
    with tl.run(**QUIET) as run:
        for content in (b"first", b"second"):
            checkpoint.write_bytes(content)
            run.artifact(checkpoint)
        run.artifact(b"{}", "report.json")
    (lane,) = [folder for folder in spools(root) if folder.name.endswith("-files")]
    kept = [item for item in operations(root, files=True) if isinstance(item, Artifact)]
    assert [item.path for item in kept] == ["model.bin", "model.bin", "report.json"]
    assert [(lane / "files" / item.file).read_bytes() for item in kept] == [b"first", b"second", b"{}"]


def test_a_folder_is_kept_with_all_in_it(root: Path, tmp_path: Path) -> None:
    (tmp_path / "plots" / "deep").mkdir(parents=True)
    (tmp_path / "plots" / "a.png").write_bytes(b"a")
    (tmp_path / "plots" / "deep" / "b.png").write_bytes(b"b")
    run = tl.run(**QUIET)
    run.artifact(tmp_path / "plots")
    run.artifact(tmp_path / "plots", "other/place")
    paths = [item.path for item in operations(root, files=True) if isinstance(item, Artifact)]
    assert paths == ["plots/a.png", "plots/deep/b.png", "other/place/a.png", "other/place/deep/b.png"]


def test_each_journal_says_what_its_runs_are(root: Path) -> None:
    """Records and files arrive independently, so each must be able to begin the run."""
    with tl.run("named", **QUIET) as run:
        run.artifact(b"x", "x")
    (record, *_), (file, *_) = operations(root), operations(root, files=True)
    assert isinstance(record, Start)
    assert isinstance(file, Start)
    assert (record.run, record.joined, file.run, file.name, file.joined) == (run.id, False, run.id, "named", True)


def test_data_that_was_read_is_digested_by_its_content(root: Path, tmp_path: Path) -> None:
    numpy, pandas, pyarrow = (pytest.importorskip(name) for name in ("numpy", "pandas", "pyarrow"))
    frame = pandas.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]})
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    with tl.run(**QUIET) as run:
        assert run.use(frame, name="train", role="training") is frame
        run.use(frame.copy())
        run.use(frame.assign(a=[1, 2, 4]))
        run.use(numpy.arange(6.0).reshape(2, 3))
        run.use(numpy.arange(6.0).reshape(3, 2))
        run.use(pyarrow.table({"a": [1, 2]}))
        run.use(tmp_path / "rows.csv")
        run.use([{"a": 1}])
        run.use("dataset/flights@3", role="validation")
        run.produced("model/m@1")
    read = of(Read, root)
    assert (read[0].name, read[0].role) == ("train", "training")
    assert read[0].digest == read[1].digest
    assert len({item.digest for item in read}) == len(read) - 1
    assert all(item.digest.startswith("sha256:") for item in read)
    assert [item.name for item in read[1:]] == [
        "dataframe",
        "dataframe",
        "ndarray",
        "ndarray",
        "table",
        "rows.csv",
        "list",
    ]
    assert of(Use, root) == [Use(run.id, "validation", "dataset/flights@3")]
    assert of(Produce, root) == [Produce(run.id, "model/m@1")]


def test_what_is_made_inside_a_run_comes_out_of_it(root: Path) -> None:
    assert current_run_id() is None
    with running(None, "pipeline", "node"):  # type: ignore[arg-type]
        assert current_run_id() == "pipeline"
        with tl.run(**QUIET) as run:
            assert current_run_id() == run.id
        assert current_run_id() == "pipeline"
    (start,) = of(Start, root)
    assert start.within == "pipeline"


def test_many_metrics_at_once_become_several_records(root: Path) -> None:
    run = tl.run(**QUIET)
    run.log({f"metric/{n:06d}": float(n) for n in range(40_000)})
    logs = of(Log, root)
    assert len(logs) > 1
    assert sum(len(log.points) for log in logs) == 40_000
    with pytest.raises(InvalidInput, match="Make it an artifact"):
        run.use([], name="x" * 2**20)


def _log_in_child(run: Any) -> None:
    run.log(from_child=1, step=1)


def test_a_forked_worker_adds_to_the_run_through_a_spool_of_its_own(root: Path) -> None:
    """Without ending it: that is up to the program that began it."""
    with tl.run("forked", **QUIET) as run:
        run.log(before=1)
        child = multiprocessing.get_context("fork").Process(target=_log_in_child, args=(run,))
        child.start()
        child.join(timeout=60)
        assert child.exitcode == 0
        run.log(after=1)
    first, second = spools(root)
    starts = of(Start, root)
    assert [(start.run, start.joined) for start in starts] == [(run.id, False), (run.id, True)]
    assert [log.points[0][0] for log in of(Log, root)] == ["before", "after", "from_child"]
    assert len(of(Finish, root)) == 1
    about = [left.about.pid for folder in (first, second) if (left := look(folder))]
    assert about == [os.getpid(), child.pid]


def test_a_spool_that_cannot_be_made_keeps_everything_in_memory_and_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "spool").write_text("a file is in the way")
    with spooling(monkeypatch, tmp_path), caplog.at_level(logging.WARNING):
        with tl.run(**QUIET) as run:
            run.log(loss=1)
            run.artifact(b"x", "x")
        time.sleep(1.3)
    assert any("held in memory" in record.getMessage() for record in caplog.records)
    assert [item.sequence for item in run.rejected] == [0]
    assert "no room" in run.rejected[0].message


def test_the_end_of_a_program_says_what_has_not_arrived(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), tl.run(**QUIET) as run:
        run.log(loss=1)
        assert run.flush(timeout_s=0.05) is False
    process.end()
    (said,) = [record.getMessage() for record in caplog.records if "have not reached" in record.getMessage()]
    assert said.startswith("3 records of this program have not reached Twinloop.")
    assert "twinloop spool send" in said


def test_params_that_were_refused_may_be_logged_anew(root: Path) -> None:
    run = tl.run(**QUIET)
    with pytest.raises(InvalidInput, match="UTF-8"):
        run.params(a="\ud800")
    run.params(a="good")
    assert of(Params, root) == [Params(run.id, {"a": "good"})]


def test_enormous_params_and_tags_become_several_records(root: Path) -> None:
    run = tl.run(**QUIET)
    params = {f"p{n}": "x" * 6000 for n in range(400)}
    run.params(params)
    run.tags({f"t{n}": "x" * 8000 for n in range(300)})
    logged: dict[str, str] = {}
    for record in of(Params, root):
        logged |= record.params
    assert logged == params
    assert sum(len(record.tags) for record in of(Tags, root)) == 300


def test_a_call_that_is_refused_moves_no_step(root: Path) -> None:
    run = tl.run(**QUIET)
    with pytest.raises(InvalidInput):
        run.log(a=1, b="high")
    run.log(a=1)
    assert [log.points for log in of(Log, root)] == [[("a", 1.0, 0)]]


def test_a_file_whose_name_or_place_cannot_be_is_an_error_at_once_and_nothing_of_its_folder_is_kept(
    root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "plots"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"a")
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png")).write_bytes(b"e")
    with tl.run(**QUIET) as run:
        for source, path in ((folder, None), (b"x", "a\\b"), (b"x", "%2e%2e/up"), (b"x", "x" * 300)):
            with pytest.raises(InvalidInput):
                run.artifact(source, path)
        run.artifact(bytearray(b"y"), "kept")
    assert [item.path for item in operations(root, files=True) if isinstance(item, Artifact)] == ["kept"]


def test_a_file_that_cannot_be_read_is_told_for_what_it_is(root: Path, tmp_path: Path) -> None:
    gone = tmp_path / "checkpoint.bin"
    gone.write_bytes(b"x")
    with tl.run(**QUIET) as run:
        run.record_file("checkpoint.bin", tmp_path / "rotated away.bin", None)
    assert [item.message.partition(" (")[2] for item in run.rejected] == [
        "No such file or directory). It was not kept."
    ]


class Stubborn:
    """As a tensor that needs a gradient, or lies on a device, is when it is asked for its numbers."""

    def __array__(self) -> Any:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def __float__(self) -> float:
        raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")


def test_whatever_data_cannot_be_digested_is_an_error_of_ours(root: Path, tmp_path: Path) -> None:
    endless: list[Any] = []
    endless.append(endless)
    run = tl.run(**QUIET)
    for what in (Stubborn(), endless, [object()], [float("nan")], tmp_path, tmp_path / "none.csv"):
        with pytest.raises(InvalidInput):
            run.use(what)
    with pytest.raises(InvalidInput, match="There is no file"):
        run.use(tmp_path / "none.csv")
    with pytest.raises(InvalidInput, match="not a number"):
        run.log(loss=Stubborn())
    with pytest.raises(InvalidInput, match="metric key"):
        run.log({7: 0.5})  # type: ignore[dict-item]
    assert [type(operation) for operation in operations(root)] == [Start]


def test_times_are_digested_like_any_other_array(root: Path) -> None:
    numpy = pytest.importorskip("numpy")
    days = numpy.array(["2026-01-01", "2026-01-02"], dtype="datetime64[D]")
    run = tl.run(**QUIET)
    for what in (days, days[::-1], numpy.zeros((0, 3)), numpy.float64(1.5)):
        run.use(what)
    assert len({item.digest for item in of(Read, root)}) == 4


def test_a_run_that_is_refused_whole_is_told_a_few_times_and_not_at_every_step(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As one is whose experiment was deleted: every record of it comes back."""
    run, other = tl.run(**QUIET), tl.run(**QUIET)
    with caplog.at_level(logging.WARNING):
        for number in range(200):
            recording.recorder().told([Rejected(number, run.id, f"no {number}")])
        recording.recorder().told([Rejected(1, other.id, "no")])
    said = [record.getMessage() for record in caplog.records if "not taken" in record.getMessage()]
    assert len(said) == 12
    assert said[10] == f"More of run {run.id} was not taken; see run.rejected."
    assert said[11] == f"Something logged on run {other.id} was not taken: no"
    assert len(run.rejected) == 200
