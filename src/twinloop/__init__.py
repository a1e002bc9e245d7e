"""Twinloop: one platform for both loops of production AI.

The names below are the public surface. Each is imported when it is first used, so that importing Twinloop is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from twinloop.version import __version__

if TYPE_CHECKING:
    from twinloop.core.errors import TwinloopError
    from twinloop.ml.features.model import Column, Count, FeatureView, Max, Mean, Min, Rate, Sum
    from twinloop.sdk.client import Client
    from twinloop.sdk.definitions import (
        Condition,
        Corpus,
        Dataset,
        Embedder,
        Endpoint,
        Generator,
        Prompt,
        current,
        pipeline,
        step,
    )
    from twinloop.server.connect import connect
    from twinloop.server.recording import autolog, log, run

_WHERE = {
    "Client": "sdk.client",
    "Column": "ml.features.model",
    "Condition": "sdk.definitions",
    "Corpus": "sdk.definitions",
    "Count": "ml.features.model",
    "Dataset": "sdk.definitions",
    "Embedder": "sdk.definitions",
    "Endpoint": "sdk.definitions",
    "FeatureView": "ml.features.model",
    "Generator": "sdk.definitions",
    "Max": "ml.features.model",
    "Mean": "ml.features.model",
    "Min": "ml.features.model",
    "Prompt": "sdk.definitions",
    "Rate": "ml.features.model",
    "Sum": "ml.features.model",
    "TwinloopError": "core.errors",
    "autolog": "server.recording",
    "connect": "server.connect",
    "current": "sdk.definitions",
    "log": "server.recording",
    "pipeline": "sdk.definitions",
    "run": "server.recording",
    "step": "sdk.definitions",
}

__all__ = [
    "Client",
    "Column",
    "Condition",
    "Corpus",
    "Count",
    "Dataset",
    "Embedder",
    "Endpoint",
    "FeatureView",
    "Generator",
    "Max",
    "Mean",
    "Min",
    "Prompt",
    "Rate",
    "Sum",
    "TwinloopError",
    "__version__",
    "autolog",
    "connect",
    "current",
    "log",
    "pipeline",
    "run",
    "step",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'twinloop' has no attribute {name!r}")
    value = getattr(import_module(f"twinloop.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
