"""Every path of every protocol of one App, and whose manners an error on a path follows."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from twinloop.compose import App
from twinloop.core.errors import TwinloopError
from twinloop.ml.training.describing import Packages
from twinloop.protocols.http import Dialect
from twinloop.protocols.mlflow import artifacts as mlflow_artifacts
from twinloop.protocols.mlflow import artifacts_parts as mlflow_artifact_parts
from twinloop.protocols.mlflow import artifacts_places as mlflow_artifact_places
from twinloop.protocols.mlflow import assessments as mlflow_assessments
from twinloop.protocols.mlflow import evaluation_datasets as mlflow_datasets
from twinloop.protocols.mlflow import experiments as mlflow_experiments
from twinloop.protocols.mlflow import issues as mlflow_issues
from twinloop.protocols.mlflow import label_schemas as mlflow_label_schemas
from twinloop.protocols.mlflow import logged_models as mlflow_logged_models
from twinloop.protocols.mlflow import metrics as mlflow_metrics
from twinloop.protocols.mlflow import promptlab as mlflow_promptlab
from twinloop.protocols.mlflow import registry as mlflow_registry
from twinloop.protocols.mlflow import registry_versions as mlflow_versions
from twinloop.protocols.mlflow import runs as mlflow_runs
from twinloop.protocols.mlflow import scorers as mlflow_scorers
from twinloop.protocols.mlflow import traces as mlflow_traces
from twinloop.protocols.mlflow import traces_v2 as mlflow_traces_v2
from twinloop.protocols.mlflow import webhooks as mlflow_webhooks
from twinloop.protocols.mlflow.errors import MLFLOW
from twinloop.protocols.mlflow.registry_describing import Describing
from twinloop.protocols.mlflow.registry_places import TrackingPlaces
from twinloop.protocols.mlflow.routes import routes as mlflow
from twinloop.protocols.native import (
    answers,
    approvals,
    artifacts,
    blobs,
    cards,
    endpoints,
    evidence,
    llm,
    ml,
    openapi,
    pipelines,
    prompts,
    replay,
    revisions,
    runs,
    system,
    traces,
    transfer,
    uploads,
    webhooks,
)
from twinloop.protocols.native.errors import NATIVE
from twinloop.protocols.open_inference.errors import OPEN_INFERENCE
from twinloop.protocols.open_inference.routes import routes as open_inference
from twinloop.protocols.openai.errors import OPENAI
from twinloop.protocols.openai.routes import routes as openai
from twinloop.protocols.otlp.errors import TEXT
from twinloop.protocols.otlp.routes import routes as otlp
from twinloop.server.importing import describing
from twinloop.server.places import artifact_places, run_place

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
        *cards.routes(app.registry),
        *approvals.routes(app.registry, app.history),
        *blobs.routes(app.blobs),
        *artifacts.routes(app.artifacts, run_place(app)),
        *uploads.routes(app.artifacts.uploads),
        *transfer.routes(app.transfer, app.imports, app.imported_traces, describing(app)),
        *endpoints.routes(app.releases, app.gateway),
        *traces.routes(app.tracing, app.lineage, app.registry),
        *runs.routes(app.tracking, app.registry),
        *replay.routes(app.replays),
        *pipelines.routes(app.pipelines),
        *evidence.routes(app.evidence, app.ml.predictions),
        *webhooks.routes(app.webhooks),
        *prompts.routes(app.llm.prompts),
        *ml.routes(app.ml.datasets, app.ml.features, app.ml.models, app.ml.predictions),
        *llm.routes(app.llm.documents, app.llm.indexes, app.llm.index_evaluation),
    ]


def all_routes(app: App) -> list[BaseRoute]:
    """Routes of all protocols; a longer path stands before the shorter one that would swallow it."""
    own = native_routes(app)
    places = TrackingPlaces(app.tracking)
    return [
        # Routes are tried in order, so those that are asked most stand first.
        *openai(app.gateway),
        *open_inference(app.gateway, app.restored.is_set),
        *otlp(app.tracing),
        *own,
        *openapi.routes(own),
        *mlflow(
            [
                mlflow_runs.endpoints(app.tracking),
                mlflow_metrics.endpoints(app.tracking),
                mlflow_logged_models.endpoints(app.tracking.models),
                mlflow_promptlab.endpoints(app.tracking, app.artifacts),
                mlflow_artifacts.endpoints(app.artifacts),
                mlflow_artifact_parts.endpoints(app.artifacts.uploads),
                mlflow_artifact_places.endpoints(app.artifacts, artifact_places(app, places)),
                mlflow_experiments.endpoints(app.tracking),
                mlflow_registry.endpoints(app.registry),
                mlflow_versions.endpoints(app.registry, Describing(Packages(app.artifacts, places)), places),
                mlflow_datasets.endpoints(app.evaluation_datasets),
                mlflow_scorers.endpoints(app.scorers),
                mlflow_issues.endpoints(app.issues),
                mlflow_label_schemas.endpoints(app.label_schemas),
                mlflow_webhooks.endpoints(app.webhooks),
                mlflow_traces.endpoints(app.tracing, app.artifacts, app.registry),
                mlflow_traces_v2.endpoints(app.tracing.infos),
                mlflow_assessments.endpoints(app.tracing.assessments),
            ]
        ),
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
