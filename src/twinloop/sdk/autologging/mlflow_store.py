"""A tracking store for MLflow's client that writes into runs of this process, so that autologging waits for no server.

Implements the part of ``mlflow.store.tracking.abstract_store.AbstractStore`` that its autologgers and ``log_*`` functions
call. What is logged goes to the journal of the run; questions are answered from memory. Reading other runs is not its task.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4
from zlib import crc32

from mlflow.entities import (
    Experiment,
    LifecycleStage,
    LoggedModel,
    LoggedModelStatus,
    Param,
    Run,
    RunData,
    RunInfo,
    RunStatus,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST
from mlflow.store.entities import PagedList
from mlflow.store.tracking.abstract_store import AbstractStore

from twinloop.control.tracking.model import CONTEXT_TAG, PARENT_TAG, RUN_NAME_TAG
from twinloop.control.tracking.names import random_name
from twinloop.control.tracking.replay.operations import Log, Model, ModelChange, Read, RunEnd, Start
from twinloop.core.errors import InvalidInput
from twinloop.core.ids import new_id
from twinloop.sdk.definitions import step_run_id
from twinloop.sdk.tracking import context
from twinloop.sdk.tracking.beginning import equip
from twinloop.sdk.tracking.recorder import Recorder
from twinloop.sdk.tracking.run import ActiveRun, unusual

SCHEME = "twinloop"
URI = f"{SCHEME}://spool"
_POINTS = 10_000
_READING = ("search_experiments", "_search_runs", "search_logged_models", "rename_experiment", "link_traces_to_run")
_DELETING = ("delete_experiment", "restore_experiment", "delete_run", "restore_run", "delete_logged_model")
_ENDS: dict[str, RunEnd] = {"FINISHED": "FINISHED", "FAILED": "FAILED", "KILLED": "KILLED"}


class Known:
    """A run as this process knows it, for MLflow's questions. ``borrowed`` ones are begun and ended by ``tl.run``."""

    def __init__(self, run: ActiveRun, borrowed: bool) -> None:
        self.run = run
        self.borrowed = borrowed
        self.status = "RUNNING"
        self.ended: int | None = None
        self.params: dict[str, str] = {}
        self.tags: dict[str, str] = dict(run.opening.tags)
        self.metrics: dict[str, deque[Any]] = {}

    def entity(self) -> Any:
        opening = self.run.opening
        info = RunInfo(
            run_id=self.run.id,
            experiment_id=experiment_id(self.run.experiment),
            user_id=opening.user or "",
            status=self.status,
            start_time=opening.at,
            end_time=self.ended,
            lifecycle_stage=LifecycleStage.ACTIVE,
            artifact_uri=f"{URI}/runs/{self.run.id}",
            run_name=self.run.name or "",
        )
        data = RunData(
            metrics=[points[-1] for points in self.metrics.values()],
            params=[Param(key, value) for key, value in self.params.items()],
            tags=[RunTag(key, value) for key, value in self.tags.items()],
        )
        return Run(info, data)


_Store: Any = AbstractStore
"""Not all of it is implemented, and only what is gets called."""


class SpoolStore(_Store):  # type: ignore[misc]
    """One for the process; ``borrow`` tells it of runs that ``tl.run`` opened."""

    def __init__(self, recorder: Callable[[], Recorder]) -> None:
        super().__init__()
        self._recorder = recorder
        self._runs: dict[str, Known] = {}
        self._models: dict[str, Any] = {}
        self._experiments = {experiment_id("Default"): "Default"}

    def borrow(self, run: ActiveRun) -> None:
        self._runs.setdefault(run.id, Known(run, borrowed=True))
        self._experiments[experiment_id(run.experiment)] = run.experiment

    def run_of(self, run_id: str) -> ActiveRun:
        return self._known(run_id).run

    # Experiments

    def create_experiment(self, name: str, artifact_location: Any = None, tags: Any = None) -> str:
        self._experiments[experiment_id(name)] = name
        return experiment_id(name)

    def get_experiment(self, experiment_id: str) -> Any:
        name = self._experiments.get(experiment_id)
        if name is None:
            raise MlflowException(f"No Experiment with id={experiment_id} exists here.", RESOURCE_DOES_NOT_EXIST)
        return Experiment(experiment_id, name, f"{URI}/experiments/{experiment_id}", LifecycleStage.ACTIVE)

    def get_experiment_by_name(self, experiment_name: str) -> Any:
        """There is one of every name: the server makes it when it is first used."""
        return self.get_experiment(self.create_experiment(experiment_name))

    # Runs

    def create_run(self, experiment_id: str, user_id: str, start_time: int, tags: Sequence[Any], run_name: str) -> Any:
        """A new run; but the one that is open, when its block is not entered and nobody asks for a child of it."""
        given = {tag.key: tag.value for tag in tags}
        parent = given.pop(PARENT_TAG, None)
        waiting = context.active()
        if parent is None and waiting is not None and context.innermost() is None and waiting.id not in self._runs:
            self.borrow(waiting)
            return self._runs[waiting.id].entity()
        start = Start(
            run=new_id(),
            at=start_time or time.time_ns() // 1_000_000,
            experiment=self._experiments.get(experiment_id, "Default"),
            name=run_name or given.pop(RUN_NAME_TAG, None) or random_name(),
            user=user_id or None,
            parent=parent,
            within=step_run_id(),
            tags=given,
        )
        above = self._runs.get(parent or "")
        recorder = self._recorder()
        run = recorder.begin(start, None if above is None else above.run)
        if parent is None:
            equip(run, recorder, capture=True, system_metrics=True)
        self._runs[run.id] = Known(run, borrowed=False)
        return self._runs[run.id].entity()

    def get_run(self, run_id: str) -> Any:
        return self._known(run_id).entity()

    def update_run_info(self, run_id: str, run_status: Any, end_time: int | None, run_name: str | None) -> Any:
        known = self._known(run_id)
        status = None if run_status is None else RunStatus.to_string(run_status)
        if run_name and run_name != known.run.name:
            known.run.name = run_name
            known.run.tags({RUN_NAME_TAG: run_name})
        if status in _ENDS and not known.borrowed:
            known.status, known.ended = status, end_time
            known.run.finish(_ENDS[status])
        return known.entity().info

    def log_batch(self, run_id: str, metrics: Sequence[Any], params: Sequence[Any], tags: Sequence[Any]) -> None:
        known = self._known(run_id)
        for log in logs_of(run_id, metrics):
            known.run.record(log)
        for metric in metrics:
            known.metrics.setdefault(metric.key, deque(maxlen=_POINTS)).append(metric)
        if params:
            given = {param.key: str(param.value) for param in params}
            self._checked(known.run.params, given)
            known.params.update(given)
        if tags:
            given = {tag.key: str(tag.value) for tag in tags}
            self._checked(known.run.tags, given)
            known.tags.update(given)

    def get_metric_history(
        self, run_id: str, metric_key: str, max_results: int | None = None, page_token: str | None = None
    ) -> Any:
        """The last points of a metric; MLflow asks for them to measure a model by its run."""
        return PagedList(list(self._known(run_id).metrics.get(metric_key, [])), None)

    def log_metric(self, run_id: str, metric: Any) -> None:
        self.log_batch(run_id, [metric], [], [])

    def log_param(self, run_id: str, param: Any) -> None:
        self.log_batch(run_id, [], [param], [])

    def set_tag(self, run_id: str, tag: Any) -> None:
        self.log_batch(run_id, [], [], [tag])

    def delete_tag(self, run_id: str, key: str) -> None:
        known = self._known(run_id)
        known.run.tags({key: None})
        known.tags.pop(key, None)

    def log_inputs(self, run_id: str, datasets: Any = None, models: Any = None) -> None:
        run = self._known(run_id).run
        for item in datasets or []:
            tags = {tag.key: tag.value for tag in item.tags}
            data = item.dataset
            run.record(
                Read(
                    run_id,
                    tags.get(CONTEXT_TAG, "input"),
                    data.name,
                    data.digest,
                    data.source_type,
                    data.source,
                    data.schema,
                    data.profile,
                )
            )

    # Logged models

    def create_logged_model(
        self,
        experiment_id: str,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: Any = None,
        params: Any = None,
        model_type: str | None = None,
    ) -> Any:
        if source_run_id is None:
            raise MlflowException("A model is logged on a run here. Begin one with: with tl.run('name'):")
        now = time.time_ns() // 1_000_000
        id = f"m-{uuid4().hex}"
        model = LoggedModel(
            experiment_id, id, name or random_name(), f"{URI}/models/{source_run_id}/{id}", now, now, model_type,
            source_run_id, LoggedModelStatus.PENDING, tags=tags, params=params,
        )  # fmt: skip
        self._models[id] = model
        told = Model(source_run_id, now, id, model.name, model_type, dict(model.params), dict(model.tags))
        self._known(source_run_id).run.record(told)
        return model

    def get_logged_model(self, model_id: str, allow_deleted: bool = False) -> Any:
        found = self._models.get(model_id)
        if found is None:
            raise MlflowException(f"Logged model with ID '{model_id}' not found here.", RESOURCE_DOES_NOT_EXIST)
        return found

    def finalize_logged_model(self, model_id: str, status: Any) -> Any:
        word = "READY" if status == LoggedModelStatus.READY else "FAILED"
        model = self._change(model_id, status=word)
        model.status = LoggedModelStatus(word)
        return model

    def log_logged_model_params(self, model_id: str, params: Sequence[Any]) -> None:
        self._change(model_id, params={param.key: str(param.value) for param in params})

    def set_logged_model_tags(self, model_id: str, tags: Sequence[Any]) -> None:
        given = {tag.key: str(tag.value) for tag in tags}
        self._change(model_id, tags=given).tags.update(given)

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        self._change(model_id, tags={key: None}).tags.pop(key, None)

    def log_outputs(self, run_id: str, models: Sequence[Any]) -> None:
        for output in models:
            self._change(output.model_id, step=output.step)

    def _change(self, model_id: str, **facts: Any) -> Any:
        model = self.get_logged_model(model_id)
        change = ModelChange(model.source_run_id, time.time_ns() // 1_000_000, model_id, **facts)
        self._known(model.source_run_id).run.record(change)
        return model

    def _known(self, run_id: str) -> Known:
        found = self._runs.get(run_id)
        if found is None:
            raise MlflowException(
                f"Run '{run_id}' is not one of this program. Read runs of the server with tl.connect(), or with "
                "mlflow.MlflowClient('http://…').",
                RESOURCE_DOES_NOT_EXIST,
            )
        return found

    @staticmethod
    def _checked(work: Callable[[dict[str, str]], None], given: dict[str, str]) -> None:
        try:
            work(given)
        except InvalidInput as error:
            raise MlflowException(error.message, INVALID_PARAMETER_VALUE) from error


def _elsewhere(self: SpoolStore, *arguments: Any, **keywords: Any) -> Any:
    raise MlflowException(
        "Autologging only writes here. Read and delete on the server: with tl.connect(), or mlflow.MlflowClient('http://…')."
    )


for _name in (*_READING, *_DELETING):
    setattr(SpoolStore, _name, _elsewhere)


def experiment_id(name: str) -> str:
    """A number for an experiment of which only the name is known here."""
    return "0" if name == "Default" else str(crc32(name.encode()) + 1)


def logs_of(run_id: str, metrics: Sequence[Any]) -> list[Log]:
    """Points of one moment, model and dataset together."""
    found: dict[tuple[int, str | None, tuple[str, str] | None], list[Any]] = {}
    for metric in metrics:
        dataset = (metric.dataset_name, metric.dataset_digest) if metric.dataset_name else None
        value = float(metric.value)
        number = value if value - value == 0.0 else unusual(value)
        key = (int(metric.timestamp), metric.model_id, dataset)
        found.setdefault(key, []).append((metric.key, number, int(metric.step or 0)))
    return [Log(run_id, at, points, model, dataset) for (at, model, dataset), points in found.items()]
