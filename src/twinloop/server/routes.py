"""Every path of every protocol of one App, and whose manners an error on a path follows."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from twinloop.compose import App
from twinloop.core.errors import TwinloopError
from twinloop.protocols.http import Dialect
from twinloop.protocols.mlflow import experiments as mlflow_experiments
from twinloop.protocols.mlflow import runs as mlflow_runs
from twinloop.protocols.mlflow.errors import MLFLOW
from twinloop.protocols.mlflow.routes import routes as mlflow
from twinloop.protocols.native import (
    answers,
    blobs,
    endpoints,
    evidence,
    llm,
    ml,
    openapi,
    pipelines,
    revisions,
    runs,
    system,
    traces,
)
from twinloop.protocols.native.errors import NATIVE
from twinloop.protocols.open_inference.errors import OPEN_INFERENCE
from twinloop.protocols.open_inference.routes import routes as open_inference
from twinloop.protocols.openai.errors import OPENAI
from twinloop.protocols.openai.routes import routes as openai
from twinloop.protocols.otlp.errors import TEXT
from twinloop.protocols.otlp.routes import routes as otlp

_DIALECTS: tuple[tuple[str, Dialect], ...] = (
    ("/v1/traces", TEXT),
    ("/v1/", OPENAI),
    ("/v2", OPEN_INFERENCE),
    ("/api/2.0/", MLFLOW),
    ("/api/3.0/", MLFLOW),
    ("/ajax-api/", MLFLOW),
)


def native_routes(app: App) -> list[Route]:
    """The paths of Twinloop's own interface, as its OpenAPI document describes them."""
    return [
        *answers.routes(app.gateway),
        *system.routes(
            app.registry, app.keys, app.gateway, app.tracing, app.observer, app.facts, app.restored.is_set, app.check
        ),
        *revisions.routes(app.registry),
        *blobs.routes(app.blobs),
        *endpoints.routes(app.releases, app.gateway),
        *traces.routes(app.tracing, app.lineage, app.registry),
        *runs.routes(app.tracking, app.registry),
        *pipelines.routes(app.pipelines),
        *evidence.routes(app.evidence, app.ml.predictions),
        *ml.routes(app.ml.datasets, app.ml.features, app.ml.models, app.ml.predictions),
        *llm.routes(app.llm.documents, app.llm.indexes, app.llm.index_evaluation),
    ]


def all_routes(app: App) -> list[BaseRoute]:
    """Routes of all protocols; a longer path stands before the shorter one that would swallow it."""
    own = native_routes(app)
    return [
        # Routes are tried in order, so those that are asked most stand first.
        *openai(app.gateway),
        *open_inference(app.gateway, app.restored.is_set),
        *otlp(app.tracing),
        *own,
        *openapi.routes(own),
        *mlflow([mlflow_runs.endpoints(app.tracking), mlflow_experiments.endpoints(app.tracking.experiments)]),
    ]


def refuse(path: str, error: TwinloopError) -> Response:
    """An error on ``path`` in the form of the protocol that the path belongs to."""
    for prefix, dialect in _DIALECTS:
        if path.startswith(prefix):
            return dialect.error(error)
    return NATIVE.error(error)


def is_api(path: str) -> bool:
    """Whether ``path`` belongs to a protocol, so that an unknown one is an error and not a page of the console."""
    return path.startswith(("/api/", "/ajax-api/", "/v1/", "/v2", "/metrics", "/healthz", "/readyz", "/version"))
