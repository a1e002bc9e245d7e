"""Runs: what is run, skipped, resumed, refused, retried and recorded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest

from twinloop.backends.sqlite import open_store
from twinloop.control.lineage.service import Lineage
from twinloop.control.pipelines.errors import RunHeld
from twinloop.control.pipelines.graph import Pipeline
from twinloop.control.pipelines.holder import this_process
from twinloop.control.pipelines.journal import Journal
from twinloop.control.pipelines.model import Begin, Begun, Ending, PipelineRun, Result, StepChange
from twinloop.control.pipelines.report import Report
from twinloop.control.pipelines.runner import Runner
from twinloop.control.pipelines.service import Pipelines
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.core.clock import ManualClock
from twinloop.core.errors import Conflict, Forbidden, Unavailable
from twinloop.sdk.definitions import pipeline, step
from twinloop.sdk.transports import LoopThread


class Table:
    """A kind of revision that takes any manifest."""

    name = "dataset"

    def validate(self, manifest: Mapping[str, Any]) -> None:
        return

    def requires(self, manifest: Mapping[str, Any]) -> Sequence[Any]:
        return ()


class Place:
    """A store with its services, and a step log that calls them; ``fail`` makes the next calls say Unavailable."""

    def __init__(self, folder: Path, thread: LoopThread) -> None:
        self.folder = folder
        self.thread = thread
        self.clock = ManualClock(time.time_ns())
        self.store = thread.run(_opened(folder / "twinloop.db"))
        self.registry = Registry(self.store, [Table()])
        self.pipelines = Pipelines(self.store, self.registry, self.clock)
        self.lineage = Lineage(self.store)
        self.calls: list[str] = []
        self.fail = 0

    def run(self, pipeline: Pipeline[..., Any], params: dict[str, Any] | None = None, **options: Any) -> Report:
        runner = Runner(self, enter=options.pop("enter", _nothing), journal=self.folder / "journal", **options)
        return runner.run(pipeline, params or {})

    def fates(self, pipeline: Pipeline[..., Any], params: dict[str, Any] | None = None) -> dict[str, str]:
        return {step.node: step.fate for step in self.run(pipeline, params).steps}

    def register(self, name: str, manifest: dict[str, Any], run_id: str | None = None) -> str:
        made = self.thread.run(self.registry.register(LOCAL_ADMIN, "dataset", name, manifest, run_id=run_id))
        return str(made.revision.ref)

    def get(self, run_id: str, **options: Any) -> PipelineRun:
        return self._call("get", self.pipelines.get(LOCAL_ADMIN, run_id, **options))

    def begin(self, wanted: Begin) -> Begun:
        return self._call("begin", self.pipelines.begin(LOCAL_ADMIN, wanted))

    def record(self, run_id: str, token: str, changes: Sequence[StepChange]) -> None:
        if self.fail:
            self.fail -= 1
            raise Unavailable("The store is restarting.")
        self._call("record", self.pipelines.record(LOCAL_ADMIN, run_id, token, changes))

    def finish(self, run_id: str, token: str, state: Ending, changes: Sequence[StepChange]) -> None:
        self._call("finish", self.pipelines.finish(LOCAL_ADMIN, run_id, token, state, changes))

    def lookup(self, keys: Sequence[str]) -> Sequence[Result]:
        return self._call("lookup", self.pipelines.lookup(LOCAL_ADMIN, keys))

    def resolve(self, references: Sequence[str]) -> Mapping[str, str | None]:
        return self._call("resolve", self.pipelines.resolve(LOCAL_ADMIN, references))

    def _call(self, name: str, work: Any) -> Any:
        self.calls.append(name)
        return self.thread.run(work)


async def _opened(path: Path) -> Any:
    return open_store(path)


def _nothing(run_id: str, node: str) -> AbstractContextManager[None]:
    return nullcontext()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    thread = LoopThread()
    made = Place(tmp_path, thread)
    yield made
    thread.run(made.store.aclose())
    thread.close()


ran: list[str] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    ran.clear()


@step
def one(x: int) -> int:
    ran.append("one")
    return x + 1


@step(cache=False)
def two(x: int) -> int:
    ran.append("two")
    return x * 2


@step
def three(x: int) -> dict[str, int]:
    ran.append("three")
    return {"x": x}


@pipeline
def chain(x: int = 1) -> dict[str, int]:
    return three(two(one(x)))


def test_a_run_gives_what_the_pipeline_returns_and_is_recorded(place: Place) -> None:
    report = place.run(chain, {"x": 4})
    assert (report.state, report.value, report.resumed) == ("finished", {"x": 10}, False)
    recorded = place.get(report.run_id)
    assert recorded.state == "finished"
    assert {s.node: (s.state, s.output) for s in recorded.steps} == {
        "one": ("finished", 5),
        "two": ("finished", 10),
        "three": ("finished", {"x": 10}),
    }
    assert list((place.folder / "journal").iterdir()) == []


def test_unchanged_steps_are_skipped_in_a_later_run_and_uncached_ones_are_not(place: Place) -> None:
    place.run(chain)
    assert place.fates(chain) == {"one": "cached", "two": "run", "three": "cached"}
    assert ran == ["one", "two", "three", "two"]


def test_another_pipeline_skips_the_steps_it_has_in_common(place: Place) -> None:
    @pipeline
    def longer(x: int = 1) -> list[Any]:
        return [one(x), three(7)]

    place.run(chain)
    assert place.fates(longer) == {"one": "cached", "three": "run"}


def test_what_an_uncached_step_returned_is_not_taken_for_a_cached_result(place: Place) -> None:
    @step
    def double(x: int) -> int:
        ran.append("two")
        return x * 2

    @pipeline
    def cached() -> int:
        return double(2)

    place.run(chain)
    assert place.fates(cached) == {"double": "run"}


def test_results_beyond_what_begin_tells_are_looked_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    @pipeline
    def wide() -> list[int]:
        return [one(x) for x in range(5)]

    place.run(wide)
    monkeypatch.setattr("twinloop.control.pipelines.service._RESULTS", 3)
    assert set(place.fates(wide).values()) == {"cached"}
    assert place.calls.count("lookup") == 2


def test_other_parameters_run_the_steps_they_reach(place: Place) -> None:
    place.run(chain)
    assert set(place.fates(chain, {"x": 2}).values()) == {"run"}


def test_a_failed_step_stops_what_follows_and_lets_other_branches_finish(place: Place) -> None:
    @step(name="broken")
    def broken(x: int) -> int:
        raise ValueError("no such month")

    @pipeline
    def branches() -> Any:
        return [three(broken(1)), two(one(1))]

    report = place.run(branches)
    fates = {s.node: s.fate for s in report.steps}
    assert fates == {"broken": "failed", "three": "skipped", "one": "run", "two": "run"}
    recorded = {s.node: s for s in place.get(report.run_id, tracebacks=True).steps}
    failure = recorded["broken"].failure
    assert failure is not None
    assert (failure.type, failure.message) == ("ValueError", "no such month")
    assert failure.traceback is not None
    assert "in broken" in failure.traceback
    assert "attempts.py" not in failure.traceback
    hidden = {s.node: s for s in place.get(report.run_id).steps}["broken"].failure
    assert hidden is not None
    assert hidden.traceback is None
    assert "1 failed" in report.summary()
    assert "ValueError: no such month" in report.summary()


def test_a_failed_step_is_tried_again_as_often_as_it_says(place: Place) -> None:
    attempts: list[int] = []

    @step(retries=2)
    def flaky() -> int:
        attempts.append(1)
        if len(attempts) < 3:
            raise ConnectionError("reset")
        return 7

    @pipeline
    def patient() -> int:
        return flaky()

    report = place.run(patient)
    assert report.value == 7
    assert report.steps[0].attempts == 3


def test_an_attempt_over_its_time_is_given_up(place: Place) -> None:
    release = threading.Event()

    @step(timeout_s=0.1)
    def slow() -> int:
        release.wait(20)
        return 1

    @pipeline
    def waits() -> int:
        return slow()

    report = place.run(waits)
    release.set()
    failure = report.steps[0].failure
    assert failure is not None
    assert "took more than 0.1 s" in failure.message


def test_independent_steps_run_side_by_side(place: Place) -> None:
    both = threading.Barrier(2, timeout=20)

    @step
    def meet(name: str) -> bool:
        both.wait()
        return True

    @pipeline
    def pair() -> Any:
        return [meet("a"), meet("b")]

    assert place.run(pair, workers=2).value == [True, True]


def test_what_is_not_json_is_refused_with_advice(place: Place) -> None:
    @step
    def frame() -> Any:
        return object()

    @pipeline
    def frames() -> Any:
        return frame()

    failure = place.run(frames).steps[0].failure
    assert failure is not None
    assert "Register it as a dataset or an artifact" in failure.message


def test_an_interrupted_run_is_resumed_and_finished_steps_are_not_run_again(place: Place) -> None:
    def stop(run_id: str, node: str) -> AbstractContextManager[None]:
        if node == "three":
            interrupted.append(run_id)
            raise_in_main()
        return nullcontext()

    interrupted: list[str] = []
    hold = threading.Event()

    def raise_in_main() -> None:
        import _thread

        _thread.interrupt_main()
        hold.wait(20)

    with pytest.raises(KeyboardInterrupt):
        place.run(chain, enter=stop)
    assert place.get(interrupted[0]).state == "interrupted"
    assert ran == ["one", "two"]
    report = place.run(chain)
    hold.set()
    assert (report.run_id, report.resumed) == (interrupted[0], True)
    assert {s.node: s.fate for s in report.steps} == {"one": "resumed", "two": "resumed", "three": "run"}
    assert place.get(report.run_id).resumes == 1


def test_the_journal_of_a_dead_process_tells_what_the_store_has_not_heard(place: Place) -> None:
    same = Pipeline(chain.function, name="same")
    keys = {s.node: s.key for s in place.get(place.run(same).run_id).steps}
    dead = msgspec.structs.replace(this_process(), pid=2**22 + 1, token="dead")
    begun = place.begin(Begin("chain", {"x": 1}, dead))
    assert begun.run is not None
    journal = Journal(place.folder / "journal", begun.run.id)
    journal.write(StepChange("two", "two", "finished", key=keys["two"], output=100))
    journal.close()
    ran.clear()
    report = place.run(chain)
    assert (report.run_id, report.resumed, report.value) == (begun.run.id, True, {"x": 100})
    assert ran == ["three"]
    assert {s.node: s.output for s in place.get(report.run_id).steps}["two"] == 100


def test_a_line_the_journal_had_no_room_for_is_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "r1")
    journal.write(StepChange("one", "one", "finished", output=1))
    journal.close()
    with (tmp_path / "r1.jsonl").open("ab") as file:
        file.write(b'{"node":"two","st')
    again = Journal(tmp_path, "r1")
    again.write(StepChange("three", "three", "finished", output=3))
    again.close()
    assert [change.node for change in Journal(tmp_path, "r1").earlier] == ["one", "three"]


def test_a_live_runner_keeps_the_second_one_out(place: Place) -> None:
    place.begin(Begin("chain", {"x": 1}, this_process()))
    with pytest.raises(RunHeld, match="is being run with these parameters by process"):
        place.run(chain)
    assert ran == []


def test_a_silent_holder_on_another_machine_loses_its_run_when_the_lease_is_over(place: Place) -> None:
    far = msgspec.structs.replace(this_process(), place="another boot", token="far")
    begun = place.begin(Begin("chain", {"x": 1}, far))
    assert begun.run is not None
    with pytest.raises(RunHeld):
        place.run(chain)
    place.clock.advance(31)
    assert place.run(chain).run_id == begun.run.id
    with pytest.raises(Conflict, match="not held by this process"):
        place.record(begun.run.id, "far", [])


def test_recording_goes_on_when_the_store_was_away_for_a_moment(place: Place) -> None:
    place.fail = 3
    report = place.run(chain)
    assert place.get(report.run_id).state == "finished"
    assert len(place.get(report.run_id).steps) == 3


def test_recording_the_same_twice_changes_nothing(place: Place) -> None:
    begun = place.begin(Begin("chain", {"x": 1}, this_process()))
    assert begun.run is not None
    change = StepChange("one", "one", "finished", key="k", started_ns=1, finished_ns=2, output=5)
    for _ in range(2):
        place.record(begun.run.id, begun.run.holder.token, [change])
    assert [s.output for s in place.get(begun.run.id).steps] == [5]


def test_a_reference_counts_by_what_it_means_now(place: Place) -> None:
    @step
    def read(ref: str) -> str:
        ran.append(ref)
        return ref

    @pipeline
    def reads(ref: str) -> str:
        return read(ref)

    place.register("flights", {"rows": 1})
    assert place.fates(reads, {"ref": "dataset/flights"}) == {"read": "run"}
    assert place.fates(reads, {"ref": "dataset/flights"}) == {"read": "cached"}
    assert place.fates(reads, {"ref": "dataset/flights@1"}) == {"read": "cached"}
    place.register("flights", {"rows": 2})
    assert place.fates(reads, {"ref": "dataset/flights"}) == {"read": "run"}


def test_the_lineage_of_a_run_names_what_it_consumed_and_produced(place: Place) -> None:
    source = place.register("raw", {"rows": 1})

    @step
    def clean(raw: str) -> str:
        return place.register("clean", {"rows": 2}, run_id=runs[-1])

    @step
    def count(cleaned: str) -> int:
        return 2

    @pipeline
    def prepare(raw: str) -> Any:
        return count(clean(raw))

    runs: list[str] = []

    def enter(run_id: str, node: str) -> AbstractContextManager[None]:
        runs.append(run_id)
        return nullcontext()

    report = place.run(prepare, {"raw": source}, enter=enter)
    made = place.thread.run(place.registry.get(LOCAL_ADMIN, "dataset/clean"))
    why = place.thread.run(place.lineage.why(LOCAL_ADMIN, made.digest))
    names = {node.key: f"{node.kind}/{node.name}" for node in why.nodes}
    edges = {(names[e.child], names[e.parent], e.role) for e in why.edges}
    assert report.state == "finished"
    assert edges == {
        ("dataset/clean", "run/prepare", "produced_by"),
        ("run/prepare", "dataset/raw", "consumed"),
    }


def test_a_long_chain_is_recorded_in_few_calls(place: Place) -> None:
    @pipeline
    def long() -> int:
        value = one(0)
        for _ in range(99):
            value = two(value)
        return value

    report = place.run(long)
    assert len(place.get(report.run_id).steps) == 100
    assert place.calls.count("record") < 100


def test_a_viewer_may_not_begin_a_run(place: Place) -> None:
    viewer = Principal(name="eve", tenant="default", role=Role.viewer)
    with pytest.raises(Forbidden):
        place.thread.run(place.pipelines.begin(viewer, Begin("chain", {}, this_process())))
    assert place.thread.run(place.pipelines.list(viewer)) == []
