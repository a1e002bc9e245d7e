"""Running pipelines durably, and looking at their runs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from twinloop.control.pipelines.errors import RunFailed
from twinloop.control.pipelines.graph import Pipeline
from twinloop.control.pipelines.model import Begin, Begun, Ending, PipelineRun, Result, StepChange
from twinloop.control.pipelines.report import Report, StepReport
from twinloop.sdk.definitions import running

if TYPE_CHECKING:
    from twinloop.sdk.client import Client

_RUNS = "/api/v1/pipelines/runs"


class Pipelines:
    """``journal`` is the folder for what was done and is not acknowledged yet; by default one of this user's."""

    def __init__(self, client: Client, journal: Path | None = None) -> None:
        self._client = client
        self._journal = journal or Path(tempfile.gettempdir()) / f"twinloop-journal-{_user()}"

    def run(
        self,
        pipeline: Pipeline[..., Any],
        params: Mapping[str, Any] | None = None,
        *,
        workers: int | None = None,
        progress: Callable[[StepReport], None] | None = None,
    ) -> Report:
        """Run a pipeline in this process, or go on with its run with the same parameters that was interrupted.

        Steps whose code and inputs are unchanged are not run again. Independent steps run side by side, ``workers`` at
        most. ``progress`` is called with each step that has come to an end.

        Raises:
            RunFailed: a step failed; its ``report`` says what became of every step.
            RunHeld: another live process runs this pipeline with these parameters.
            DefinitionError: the pipeline or its parameters are wrong.
        """
        from twinloop.control.pipelines.runner import Runner

        runner = Runner(
            ApiStepLog(self._client), enter=self._enter, journal=self._journal, workers=workers, progress=progress
        )
        report = runner.run(pipeline, params or {})
        if report.state == "failed":
            raise RunFailed(report)
        return report

    def list(
        self, pipeline: str | None = None, state: str | None = None, limit: int = 100, before: int | None = None
    ) -> Sequence[PipelineRun]:
        """Runs without their steps, newest first. ``before`` is a ``started_ns`` to go on from."""
        query = {"pipeline": pipeline, "state": state, "limit": limit, "before": before}
        return msgspec.convert(self._client.call("GET", _RUNS, query=query)["runs"], list[PipelineRun])

    def get(self, run_id: str, *, tracebacks: bool = False) -> PipelineRun:
        """A run with its steps; with the tracebacks of failures when asked for. Raises NotFound."""
        query = {"tracebacks": "true"} if tracebacks else None
        return msgspec.convert(self._client.call("GET", f"{_RUNS}/{run_id}", query=query), PipelineRun)

    def _enter(self, run_id: str, node: str) -> AbstractContextManager[None]:
        return running(self._client, run_id, node)


class ApiStepLog:
    """The step log of a Twinloop, reached through its API."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def begin(self, wanted: Begin) -> Begun:
        return msgspec.convert(self._client.call("POST", _RUNS, json=wanted), Begun)

    def record(self, run_id: str, token: str, changes: Sequence[StepChange]) -> None:
        self._client.call("POST", f"{_RUNS}/{run_id}/steps", json={"token": token, "changes": changes})

    def finish(self, run_id: str, token: str, state: Ending, changes: Sequence[StepChange]) -> None:
        body = {"token": token, "state": state, "changes": changes}
        self._client.call("POST", f"{_RUNS}/{run_id}/finish", json=body)

    def lookup(self, keys: Sequence[str]) -> Sequence[Result]:
        body = {"keys": keys}
        return msgspec.convert(
            self._client.call("POST", "/api/v1/pipelines/results", json=body)["results"], list[Result]
        )

    def resolve(self, references: Sequence[str]) -> Mapping[str, str | None]:
        body = {"references": references}
        found = self._client.call("POST", "/api/v1/pipelines/references", json=body)["digests"]
        return msgspec.convert(found, dict[str, str | None])


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else "local"
