"""MLflow's autologgers, logging on the runs of this process."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import mlflow
from mlflow.store.artifact.artifact_repository_registry import _artifact_repository_registry
from mlflow.tracking._tracking_service.utils import _tracking_store_registry

from twinloop.core.errors import InstallationError
from twinloop.sdk.autologging.imports import when_imported
from twinloop.sdk.autologging.mlflow_artifacts import SpoolArtifacts
from twinloop.sdk.autologging.mlflow_store import SCHEME, URI, SpoolStore
from twinloop.sdk.tracking import context
from twinloop.sdk.tracking.recorder import Recorder
from twinloop.sdk.tracking.run import ActiveRun

log = logging.getLogger("twinloop.sdk")

_OLDEST = (3, 4)


def switch_on(recorder: Callable[[], Recorder], libraries: Sequence[str], *, log_models: bool, again: bool) -> None:
    """Turn on the autologgers of ``libraries``, each when the library is imported.

    MLflow's client in this process logs here from now on; what it is asked to read, it does not find.

    Raises:
        InstallationError: MLflow is too old.
    """
    if tuple(int(part) for part in mlflow.__version__.split(".")[:2]) < _OLDEST:
        raise InstallationError(
            f"MLflow {mlflow.__version__} is too old for autologging. Run: pip install 'twinloop[mlflow]'"
        )
    if not again:
        store = SpoolStore(recorder)
        SpoolArtifacts.store = store
        stores: Any = _tracking_store_registry
        stores.register(SCHEME, lambda store_uri, artifact_uri=None: store)
        repositories: Any = _artifact_repository_registry
        repositories.register(SCHEME, SpoolArtifacts)
        context.listen(_Follower(store))
    mlflow.set_tracking_uri(URI)
    for library in libraries:
        when_imported(library, partial(_autolog, library, log_models))


def _autolog(library: str, log_models: bool) -> None:
    logger: Any = importlib.import_module(f"mlflow.{library}")
    logger.autolog(log_models=log_models, silent=False)


class _Follower(context.Listener):
    """Makes the run whose block begins MLflow's active run, so that its autologgers log there."""

    def __init__(self, store: SpoolStore) -> None:
        self._store = store

    def entered(self, run: ActiveRun) -> None:
        self._store.borrow(run)
        try:
            mlflow.start_run(run_id=run.id, nested=True)
        except mlflow.exceptions.MlflowException as error:
            log.warning("What logs itself does not log on run %s: %s", run.id, error)

    def left(self, run: ActiveRun) -> None:
        active = mlflow.active_run()
        if active is not None and active.info.run_id == run.id:
            mlflow.end_run()
