"""Where the artifacts of runs, logged models and model versions lie, for MLflow's endpoints that name one of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twinloop.compose import App
from twinloop.control.registry.errors import CardNotFound, VersionNotFound
from twinloop.control.security.model import Principal
from twinloop.core.errors import NotFound
from twinloop.protocols.mlflow.artifacts_places import Places
from twinloop.protocols.mlflow.registry import title_of
from twinloop.protocols.mlflow.registry_checks import number
from twinloop.protocols.mlflow.registry_places import TrackingPlaces


def run_place(app: App) -> Callable[[Principal, str], Awaitable[str]]:
    """Finds the artifact URI of a run."""

    async def run(who: Principal, id: str) -> str:
        return (await app.tracking.get(who, id)).artifact_uri

    return run


def artifact_places(app: App, tracking: TrackingPlaces) -> Places:
    """Finds the artifact URI of each thing that has one."""

    async def logged_model(who: Principal, id: str) -> str:
        found = await tracking.model(who, id)
        if found is None:
            raise NotFound(f"Logged model with ID '{id[:100]}' not found.")
        return found.location

    async def model_version(who: Principal, name: str, version: str) -> str:
        try:
            found = await app.registry.versions.get(who, title_of(app.registry, name), number(version))
        except (CardNotFound, VersionNotFound) as error:
            raise NotFound(f"Model Version (name={name[:300]}, version={version[:20]}) not found") from error
        return found.revision.origin.storage or found.revision.origin.source or ""

    return Places(run_place(app), logged_model, model_version)
