"""MLflow's paths. What is not offered answers MLflow's own error form."""

from __future__ import annotations

from starlette.responses import PlainTextResponse
from starlette.routing import Route

from twinloop.control.tracking.service import Tracking
from twinloop.core.errors import NotOffered
from twinloop.protocols.http import Call, Handler, route
from twinloop.protocols.mlflow.errors import MLFLOW
from twinloop.protocols.mlflow.experiments import ExperimentHandlers
from twinloop.protocols.mlflow.runs import RunHandlers

VERSION = "3.17.0"
"""The MLflow whose protocol this is; clients log spans by OTLP only to 3.4 and later."""

_PREFIXES = ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow")
_REST = ("/api/2.0", "/api/3.0", "/ajax-api/2.0", "/ajax-api/3.0")
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def routes(tracking: Tracking) -> list[Route]:
    found = [
        route(MLFLOW, method, prefix + path, handler)
        for prefix in _PREFIXES
        for method, path, handler in _offered(tracking)
    ]
    found += [
        route(MLFLOW, "GET", "/version", _version, public=True),
        route(MLFLOW, "GET", "/health", _health, public=True),
    ]
    found += [
        route(MLFLOW, "GET", f"{prefix}/mlflow/server-info", _server_info) for prefix in ("/api/3.0", "/ajax-api/3.0")
    ]
    found += [
        route(MLFLOW, method, f"{prefix}/{area}/{{rest:path}}", _not_offered)
        for prefix in _REST
        for area in ("mlflow", "mlflow-artifacts")
        for method in _METHODS
    ]
    return found


def _offered(tracking: Tracking) -> list[tuple[str, str, Handler]]:
    experiments, runs = ExperimentHandlers(tracking.experiments), RunHandlers(tracking)
    return [  # the busiest first: paths are tried in order
        ("POST", "/runs/log-metric", runs.log_metric),
        ("POST", "/runs/log-batch", runs.log_batch),
        ("POST", "/experiments/create", experiments.create),
        ("GET", "/experiments/get", experiments.get),
        ("GET", "/experiments/get-by-name", experiments.get_by_name),
        ("POST", "/experiments/search", experiments.search),
        ("GET", "/experiments/search", experiments.search),
        ("POST", "/experiments/update", experiments.update),
        ("POST", "/experiments/delete", experiments.delete),
        ("POST", "/experiments/restore", experiments.restore),
        ("POST", "/experiments/set-experiment-tag", experiments.set_tag),
        ("POST", "/experiments/delete-experiment-tag", experiments.delete_tag),
        ("POST", "/runs/create", runs.create),
        ("GET", "/runs/get", runs.get),
        ("POST", "/runs/update", runs.update),
        ("POST", "/runs/delete", runs.delete),
        ("POST", "/runs/restore", runs.restore),
        ("POST", "/runs/search", runs.search),
        ("POST", "/runs/log-parameter", runs.log_param),
        ("POST", "/runs/set-tag", runs.set_tag),
        ("POST", "/runs/delete-tag", runs.delete_tag),
        ("POST", "/runs/log-inputs", runs.log_inputs),
        ("GET", "/metrics/get-history", runs.history),
    ]


async def _version(call: Call) -> PlainTextResponse:
    """The version of MLflow whose protocol this is."""
    return PlainTextResponse(VERSION)


async def _health(call: Call) -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("OK")


async def _server_info(call: Call) -> dict[str, object]:
    """What clients ask before they choose calls."""
    return {
        "store_type": "SqlStore",
        "workspaces_enabled": False,
        "trace_archival_enabled": False,
        "multipart_uploads_enabled": False,
        "multipart_downloads_enabled": False,
    }


async def _not_offered(call: Call) -> None:
    raise NotOffered(
        f"Twinloop does not offer {call.url_path} of MLflow's interface yet. It offers experiments, runs, metrics, params, "
        "tags and searches; keep artifacts and models where they are for now."
    )
