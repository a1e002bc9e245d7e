"""Where tracking keeps the files of runs and logged models, as registering a version asks for it."""

from __future__ import annotations

from twinloop.control.security.model import Principal
from twinloop.control.tracking.service import Tracking
from twinloop.core.errors import NotFound
from twinloop.protocols.mlflow.registry_sources import LoggedModel


class TrackingPlaces:
    """Implements Places over tracking."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking

    async def of_run(self, who: Principal, run_id: str) -> str | None:
        try:
            return (await self._tracking.get(who, run_id)).artifact_uri
        except NotFound:
            return None

    async def of_model(self, who: Principal, model_id: str) -> str | None:
        """The root of a logged model's artifacts; None when there is no such model."""
        found = await self.model(who, model_id)
        return None if found is None else found.location

    async def model(self, who: Principal, model_id: str) -> LoggedModel | None:
        try:
            found = await self._tracking.models.get(who, model_id)
        except NotFound:
            return None
        return LoggedModel(found.artifact_uri, found.run_id)

    async def registered(self, who: Principal, model_id: str, title: str, number: int) -> None:
        await self._tracking.models.note_version(who, model_id, title, number)
