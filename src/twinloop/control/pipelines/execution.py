"""One run under way: which step is next, which are running, what became of each."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from twinloop.control.pipelines.attempts import Attempt, Outcome, failure_of, launch, overdue, pause_s
from twinloop.control.pipelines.errors import DefinitionError
from twinloop.control.pipelines.graph import Graph, Node, fill
from twinloop.control.pipelines.journal import Journal
from twinloop.control.pipelines.known import Known
from twinloop.control.pipelines.model import Failure, Result, StepChange
from twinloop.control.pipelines.ports import Enter
from twinloop.control.pipelines.recording import Recording
from twinloop.control.pipelines.report import StepReport
from twinloop.control.pipelines.values import plain


class Execution:
    """Belongs to the thread that calls ``go``; attempts and the recording report to it through ``events``."""

    def __init__(
        self,
        graph: Graph,
        run_id: str,
        codes: dict[str, str],
        known: Known,
        recording: Recording,
        journal: Journal,
        enter: Enter,
        workers: int,
        progress: Callable[[StepReport], None],
        events: queue.SimpleQueue[Outcome | Exception],
    ) -> None:
        self.values: dict[str, Any] = {}
        self._graph, self._run_id, self._codes, self._known = graph, run_id, codes, known
        self._recording, self._journal, self._events = recording, journal, events
        self._enter, self._workers, self._progress = enter, workers, progress
        self._reports: dict[str, StepReport] = {}
        self._active: dict[str, Attempt] = {}
        self._needed_by: dict[str, list[str]] = {node: [] for node in graph.nodes}
        for node in graph.nodes.values():
            for need in node.needs:
                self._needed_by[need].append(node.id)
        self._missing = {node.id: len(node.needs) for node in graph.nodes.values()}
        self._ready = deque(node for node, missing in self._missing.items() if missing == 0)

    def go(self) -> tuple[StepReport, ...]:
        """Run what has to run; return a report per node in the graph's order. Raises what the recording raised."""
        while self._ready or self._active:
            while self._ready and len(self._active) < self._workers:
                self._take(self._graph.nodes[self._ready.popleft()])
            if self._active:
                self._wait()
        return tuple(self._reports[node] for node in self._graph.nodes)

    def _take(self, node: Node) -> None:
        """Start a node whose needs are met, or settle it at once when its result is known."""
        try:
            inputs = plain(fill(node.inputs, self.values), f"The input of step {node.id}")
        except DefinitionError as error:
            self._fail(node, StepChange(node.id, node.step.name, "failed"), failure_of(error))
            return
        key = self._known.key(node, inputs)
        earlier = self._known.resumed(node, key.text)
        if earlier is not None:
            self._settle(node, earlier[0], StepReport(node.id, node.step.name, "resumed"))
            return
        result = self._known.cached(node, key.text)
        if result is not None:
            now = time.time_ns()
            change = self._change(node, "cached", key.text, 0, now)
            self._recording.put(
                msgspec.structs.replace(change, finished_ns=now, output=result.output, source=result.source)
            )
            self._settle(node, result.output, StepReport(node.id, node.step.name, "cached"))
            return
        self._start(node, Attempt(node.id, 1, key.text, inputs, key.consumed, 0))

    def _start(self, node: Node, attempt: Attempt) -> None:
        limit = node.step.timeout_s
        attempt = attempt._replace(
            started_ns=time.time_ns(),
            deadline=None if limit is None else time.monotonic() + pause_s(attempt.number) + limit,
        )
        change = self._change(node, "started", attempt.key, attempt.number, attempt.started_ns)
        self._recording.put(msgspec.structs.replace(change, consumed=attempt.consumed))
        self._active[node.id] = attempt
        launch(node, attempt, self._run_id, self._enter, self._events.put)

    def _wait(self) -> None:
        """Take in the next outcome, or give up an attempt whose time is over."""
        deadlines = {a.deadline: a for a in self._active.values() if a.deadline is not None}
        nearest = min(deadlines, default=None)
        try:
            event = self._events.get(timeout=None if nearest is None else max(0.0, nearest - time.monotonic()))
        except queue.Empty:
            late = deadlines[min(deadlines)]
            limit = self._graph.nodes[late.node].step.timeout_s or 0.0
            event = Outcome(late.node, late.number, None, overdue(limit), time.time_ns())
        if isinstance(event, Exception):
            raise event
        attempt = self._active.get(event.node)
        if attempt is not None and attempt.number == event.number:
            del self._active[event.node]
            self._take_in(self._graph.nodes[event.node], attempt, event)

    def _take_in(self, node: Node, attempt: Attempt, outcome: Outcome) -> None:
        change = self._change(node, "finished", attempt.key, attempt.number, attempt.started_ns)
        change = msgspec.structs.replace(change, finished_ns=outcome.finished_ns)
        if outcome.failure is None:
            change = msgspec.structs.replace(change, output=outcome.value)
            self._journal.write(change)
            self._recording.put(change)
            self._known.add(Result(attempt.key, outcome.value, self._run_id))
            seconds = (outcome.finished_ns - attempt.started_ns) / 1e9
            report = StepReport(node.id, node.step.name, "run", seconds, attempt.number)
            self._settle(node, outcome.value, report)
        elif attempt.number <= node.step.retries:
            inputs = plain(fill(node.inputs, self.values), "inputs")
            self._start(node, attempt._replace(number=attempt.number + 1, inputs=inputs))
        else:
            self._fail(node, msgspec.structs.replace(change, state="failed"), outcome.failure)

    def _settle(self, node: Node, value: Any, report: StepReport) -> None:
        self.values[node.id] = value
        self._report(report)
        for follower in self._needed_by[node.id]:
            self._missing[follower] -= 1
            if self._missing[follower] == 0:
                self._ready.append(follower)

    def _fail(self, node: Node, change: StepChange, failure: Failure) -> None:
        """Record the failure, and that nothing after the node will run; other branches go on."""
        self._recording.put(msgspec.structs.replace(change, failure=failure))
        seconds = ((change.finished_ns or 0) - (change.started_ns or 0)) / 1e9
        self._report(StepReport(node.id, node.step.name, "failed", seconds, change.attempt, failure))
        waiting = list(self._needed_by[node.id])
        while waiting:
            follower = self._graph.nodes[waiting.pop()]
            if follower.id not in self._reports:
                self._recording.put(StepChange(follower.id, follower.step.name, "skipped"))
                self._report(StepReport(follower.id, follower.step.name, "skipped"))
                waiting.extend(self._needed_by[follower.id])

    def _report(self, report: StepReport) -> None:
        self._reports[report.node] = report
        self._progress(report)

    def _change(self, node: Node, state: Any, key: str, attempt: int, started_ns: int) -> StepChange:
        code = self._codes[node.id] if node.step.cache else None
        return StepChange(node.id, node.step.name, state, key=key, code=code, attempt=attempt, started_ns=started_ns)
