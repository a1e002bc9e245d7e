"""Turns autologging on, for the libraries that are installed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.util import find_spec

from twinloop.core.errors import MissingDependency
from twinloop.sdk.tracking.recorder import Recorder

MLFLOW_LIBRARIES = ("sklearn", "xgboost", "lightgbm")
_lock = threading.Lock()
_on = False


def switch_on(recorder: Callable[[], Recorder], *, log_models: bool, every: int) -> None:
    """Let libraries log themselves; a second call changes the settings of the first.

    Raises:
        MissingDependency: there is a library that MLflow's autologgers know, and no MLflow; or nothing at all.
    """
    global _on
    torch = find_spec("torch") is not None
    known = [name for name in MLFLOW_LIBRARIES if find_spec(name) is not None]
    if find_spec("mlflow") is None and (known or not torch):
        raise MissingDependency("mlflow-skinny", "mlflow")
    with _lock:
        if torch:
            from twinloop.sdk.autologging import optimizers

            optimizers.switch_on(every)
        if known:
            from twinloop.sdk.autologging import mlflow_loggers

            mlflow_loggers.switch_on(recorder, known, log_models=log_models, again=_on)
        _on = True
