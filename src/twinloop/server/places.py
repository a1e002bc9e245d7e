"""Where the artifacts of runs, logged models and model versions lie, for MLflow's endpoints that name one of them."""

from __future__ import annotations

from twinloop.compose import App
from twinloop.control.security.model import Principal
from twinloop.core.errors import NotOffered
from twinloop.protocols.mlflow.artifacts_places import Places


def artifact_places(app: App) -> Places:
    async def run(who: Principal, id: str) -> str:
        return (await app.tracking.get(who, id)).artifact_uri

    async def logged_model(who: Principal, id: str) -> str:
        raise NotOffered("Logged models are not offered.")

    async def model_version(who: Principal, name: str, version: str) -> str:
        raise NotOffered("Model versions are not offered.")

    return Places(run, logged_model, model_version)
