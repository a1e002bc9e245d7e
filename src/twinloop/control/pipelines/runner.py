"""Executes a pipeline in this process: independent steps side by side, every step recorded, nothing run twice."""

from __future__ import annotations

import logging
import os
import queue
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from twinloop.control.pipelines.attempts import Outcome
from twinloop.control.pipelines.code import Codes
from twinloop.control.pipelines.errors import RunHeld
from twinloop.control.pipelines.execution import Execution
from twinloop.control.pipelines.graph import Graph, Pipeline, fill
from twinloop.control.pipelines.holder import is_dead, this_process
from twinloop.control.pipelines.journal import Journal
from twinloop.control.pipelines.known import Known
from twinloop.control.pipelines.model import Begin, Begun, PipelineRun
from twinloop.control.pipelines.ports import Enter, StepLog
from twinloop.control.pipelines.recording import Recording
from twinloop.control.pipelines.report import Report, StepReport
from twinloop.control.pipelines.values import plain
from twinloop.core.errors import TwinloopError

log = logging.getLogger("twinloop.pipelines")


class Runner:
    """Runs pipelines against a step log.

    ``enter`` makes the world of a step; ``journal`` is a local folder; at most ``workers`` steps run at once;
    ``progress`` is told of every step that has come to an end.
    """

    def __init__(
        self,
        log: StepLog,
        *,
        enter: Enter,
        journal: Path,
        workers: int | None = None,
        progress: Callable[[StepReport], None] | None = None,
    ) -> None:
        self._log = log
        self._enter = enter
        self._journal = journal
        self._workers = workers or max(2, min(8, os.cpu_count() or 1))
        self._progress = progress or _silent

    def run(self, pipeline: Pipeline[..., Any], params: Mapping[str, Any]) -> Report:
        """Run it to its end, or go on with the run that was interrupted. A failed step is in the report, not raised.

        Raises:
            DefinitionError: parameters or the graph are wrong; nothing was recorded.
            RunHeld: another live process runs this pipeline with these parameters.
            Conflict: another process has taken the run over.
        """
        began = time.monotonic()
        given = plain(pipeline.parameters(params), f"The parameters of pipeline {pipeline.name}")
        graph = pipeline.graph(given)
        digests = Codes()
        codes = {node.id: str(digests.of(node.step)) for node in graph.nodes.values()}
        begun, run = self._begin(pipeline.name, given, graph, codes)
        values, steps = self._execute(graph, codes, begun, run)
        state = _state(steps)
        return Report(
            pipeline=pipeline.name,
            run_id=run.id,
            state=state,
            resumed=begun.resumed,
            seconds=time.monotonic() - began,
            steps=steps,
            value=fill(graph.result, values) if state == "finished" else None,
        )

    def _begin(
        self, name: str, params: dict[str, Any], graph: Graph, codes: Mapping[str, str]
    ) -> tuple[Begun, PipelineRun]:
        here = this_process()
        wanted = Begin(name, params, here, sorted({codes[node.id] for node in graph.nodes.values() if node.step.cache}))
        begun = self._log.begin(wanted)
        if begun.held_by is not None and is_dead(begun.held_by, here):
            begun = self._log.begin(msgspec.structs.replace(wanted, dead=begun.held_by.token))
        if begun.run is None:
            holder = begun.held_by or here
            raise RunHeld(
                f"Pipeline {name} is being run with these parameters by process {holder.pid} on {holder.host}. Wait for "
                f"it, or stop it: {begun.lease_s:.0f} s after it was last heard of its run can be taken over."
            )
        return begun, begun.run

    def _execute(
        self, graph: Graph, codes: dict[str, str], begun: Begun, run: PipelineRun
    ) -> tuple[dict[str, Any], tuple[StepReport, ...]]:
        """Run the graph and have the end recorded. However this is left, the next to begin can go on at once."""
        token = run.holder.token
        events: queue.SimpleQueue[Outcome | Exception] = queue.SimpleQueue()
        journal = Journal(self._journal, run.id)
        recording = Recording(self._log, run.id, token, begun.lease_s, events.put)
        try:
            known = Known(self._log, codes, begun, run)
            for change in journal.earlier:
                if known.add_earlier(change):
                    recording.put(change)
            execution = Execution(
                graph, run.id, codes, known, recording, journal, self._enter, self._workers, self._progress, events
            )
            steps = execution.go()
            recording.end(_state(steps))
            journal.remove()
        except BaseException:
            _leave(recording, journal)
            raise
        finally:
            journal.close()
        return execution.values, steps


def _leave(recording: Recording, journal: Journal) -> None:
    try:
        recording.end("interrupted")
        journal.remove()
    except TwinloopError as error:
        log.warning("The interruption is not recorded (%s). The lease and the journal of this run will tell.", error)


def _state(steps: tuple[StepReport, ...]) -> Literal["finished", "failed"]:
    return "failed" if any(step.fate == "failed" for step in steps) else "finished"


def _silent(step: StepReport) -> None:
    """Nobody wants to hear of progress."""
