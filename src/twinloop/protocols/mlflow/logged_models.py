"""Handlers of ``logged-models/…``."""

from __future__ import annotations

from typing import Any

from twinloop.control.tracking.logged_models import LoggedModels
from twinloop.protocols.http import Call
from twinloop.protocols.mlflow import logged_models_translate as translate
from twinloop.protocols.mlflow import logged_models_wire as wire
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.request import read
from twinloop.protocols.mlflow.translate import page_json

Json = dict[str, Any]
_PREFIX = "/api/2.0/mlflow/logged-models"


class LoggedModelHandlers:
    """One method per endpoint: decode, call one verb, encode."""

    def __init__(self, models: LoggedModels) -> None:
        self._models = models

    async def create(self, call: Call) -> Json:
        """Make a logged model, whose files are to come."""
        request = await read(call, wire.Create)
        made = await self._models.create(
            call.who,
            request.experiment_id,
            name=request.name or None,
            type=request.model_type or None,
            run_id=request.source_run_id or None,
            params={pair.key: pair.value for pair in request.params},
            tags={pair.key: pair.value for pair in request.tags},
        )
        return {"model": translate.model_json(made)}

    async def get(self, call: Call) -> Json:
        """One logged model."""
        request = await read(call, wire.Get)
        found = await self._models.get(call.who, call.path["id"], deleted=request.allow_deleted)
        return {"model": translate.model_json(found)}

    async def finalize(self, call: Call) -> Json:
        """Say that a model's files are complete, or will never be."""
        request = await read(call, wire.Finalize)
        done = await self._models.finalize(call.who, call.path["id"], translate.status(request.status))
        return {"model": translate.model_json(done)}

    async def delete(self, call: Call) -> Json:
        """Delete a logged model; its files stay."""
        await self._models.delete(call.who, call.path["id"])
        return {}

    async def search(self, call: Call) -> Json:
        """Logged models of experiments, narrowed by a filter and by what they were measured on."""
        request = await read(call, wire.Search)
        page = await self._models.search(call.who, request.experiment_ids, translate.query(request))
        models = [translate.model_json(model) for model in page.items]
        return page_json("models", page, models)

    async def add_params(self, call: Call) -> Json:
        """Set params; a param never changes."""
        request = await read(call, wire.Params)
        params = {pair.key: pair.value for pair in request.params}
        await self._models.add_params(call.who, call.path["id"], params)
        return {}

    async def set_tags(self, call: Call) -> Json:
        """Set tags."""
        request = await read(call, wire.Tags)
        await self._models.set_tags(call.who, call.path["id"], {pair.key: pair.value for pair in request.tags})
        return {}

    async def delete_tag(self, call: Call) -> Json:
        """Remove one tag."""
        await self._models.delete_tag(call.who, call.path["id"], call.path["key"])
        return {}


def endpoints(models: LoggedModels) -> list[Endpoint]:
    """What MLflow offers on logged models; what lies among their files is another area's."""
    handlers = LoggedModelHandlers(models)
    return [
        Endpoint("POST", _PREFIX, handlers.create),
        Endpoint("POST", f"{_PREFIX}/search", handlers.search),
        Endpoint("GET", f"{_PREFIX}/{{id}}", handlers.get),
        Endpoint("PATCH", f"{_PREFIX}/{{id}}", handlers.finalize),
        Endpoint("DELETE", f"{_PREFIX}/{{id}}", handlers.delete),
        Endpoint("POST", f"{_PREFIX}/{{id}}/params", handlers.add_params),
        Endpoint("PATCH", f"{_PREFIX}/{{id}}/tags", handlers.set_tags),
        Endpoint("DELETE", f"{_PREFIX}/{{id}}/tags/{{key:path}}", handlers.delete_tag),
    ]
