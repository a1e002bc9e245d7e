"""What a version that comes from another system is here: told by what describes versions that MLflow's clients register."""

from __future__ import annotations

from typing import Any

from twinloop.compose import App
from twinloop.control.registry.model import Parent
from twinloop.control.security.model import Principal
from twinloop.control.transfer.imported import Describe, ImportedVersion
from twinloop.ml.training.describing import Packages
from twinloop.protocols.mlflow.registry import Given
from twinloop.protocols.mlflow.registry_describing import Describing
from twinloop.protocols.mlflow.registry_places import TrackingPlaces


def describing(app: App) -> Describe:
    packages = Describing(Packages(app.artifacts, TrackingPlaces(app.tracking)))

    async def describe(who: Principal, version: ImportedVersion) -> tuple[dict[str, Any], tuple[Parent, ...]]:
        given = Given(version.kind, version.source, version.run_id, version.model_id, version.tags, version.storage)
        found = await packages(who, given)
        return found.manifest, found.parents

    return describe
