"""Handlers of ``registered-models/…``, and how a version becomes a revision."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol

from twinloop.control.registry.card_rows import Titled
from twinloop.control.registry.errors import AliasNotFound, CardNotFound, TitleTaken, VersionNotFound
from twinloop.control.registry.model import STAGES, Parent
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import Principal
from twinloop.core.errors import Conflict, InvalidInput, NotFound
from twinloop.protocols.http import Call
from twinloop.protocols.mlflow import registry_checks as checks
from twinloop.protocols.mlflow import registry_translate as translate
from twinloop.protocols.mlflow import registry_wire as wire
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.registry_translate import IS_PROMPT, MODEL, PROMPT
from twinloop.protocols.mlflow.request import read
from twinloop.protocols.mlflow.translate import page_json

Json = dict[str, Any]
PREFIX = "/api/2.0/mlflow"


class Given(NamedTuple):
    """What a client registers as a version of a card of ``kind``; for a prompt, the tags hold its text.

    ``storage`` is where the files are in the end, when ``source`` names another version.
    """

    kind: str
    source: str
    run_id: str | None
    model_id: str | None
    tags: Mapping[str, str]
    storage: str | None = None


class Described(NamedTuple):
    """What it is: a manifest that the kind accepts, the revisions it was made from, and what lineage shows of it."""

    manifest: dict[str, Any]
    parents: tuple[Parent, ...] = ()
    detail: dict[str, Any] | None = None


class Describe(Protocol):
    async def __call__(self, who: Principal, given: Given) -> Described:
        """Raise nothing because of what lies at the source: a model that cannot be described is still registered."""
        ...


def title_of(registry: Registry, name: str | None) -> Titled:
    """A card by the name that MLflow's clients use. Raises InvalidInput when it is missing."""
    return registry.cards.titled(MODEL, checks.required(name, "name"))


def worded(handler: Callable[[Call], Awaitable[Json]]) -> Callable[[Call], Awaitable[Json]]:
    """``handler`` with the registry's errors in MLflow's words, by which its clients tell them apart."""

    async def answer(call: Call) -> Json:
        try:
            return await handler(call)
        except CardNotFound as error:
            checks.check_title(error.called)
            raise NotFound(f"Registered Model with name={error.called[:300]} not found") from error
        except VersionNotFound as error:
            checks.check_title(error.called)
            raise NotFound(f"Model Version (name={error.called[:300]}, version={error.number}) not found") from error
        except AliasNotFound as error:
            raise InvalidInput(f"Registered model alias {error.alias[:255]} not found.") from error
        except TitleTaken as error:
            raise Conflict(f"Registered Model (name={error.title[:300]}) already exists.") from error

    answer.__doc__ = handler.__doc__
    return answer


class ModelHandlers:
    """One method per endpoint: decode, call one verb, encode."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._cards = registry.cards

    async def create(self, call: Call) -> Json:
        """Make a registered model, or a prompt."""
        request = await read(call, wire.CreateModel)
        title = checks.check_title(checks.required(request.name, "name"))
        tags = checks.tags(request.tags)
        try:
            made = await self._cards.create(call.who, translate.kind_of(tags), title, request.description or "", tags)
        except TitleTaken as error:
            raise Conflict(_taken(error, prompt=IS_PROMPT in tags)) from error
        return {"registered_model": translate.model_json(made)}

    async def get(self, call: Call) -> Json:
        """One registered model."""
        request = await read(call, wire.OfModel)
        found = await self._cards.get(call.who, title_of(self._registry, request.name))
        return {"registered_model": translate.model_json(found)}

    async def rename(self, call: Call) -> Json:
        """Call a registered model something else."""
        request = await read(call, wire.RenameModel)
        title = checks.check_title(checks.required(request.new_name, "new_name"), "new_name")
        done = await self._cards.rename(call.who, title_of(self._registry, request.name), title)
        return {"registered_model": translate.model_json(done)}

    async def update(self, call: Call) -> Json:
        """Describe a registered model."""
        request = await read(call, wire.UpdateModel)
        which = title_of(self._registry, request.name)
        done = await self._cards.describe(call.who, which, request.description or "")
        return {"registered_model": translate.model_json(done)}

    async def delete(self, call: Call) -> Json:
        """Delete a registered model with its versions."""
        request = await read(call, wire.OfModel)
        await self._cards.delete(call.who, title_of(self._registry, request.name))
        return {}

    async def search(self, call: Call) -> Json:
        """Registered models, narrowed by a filter."""
        request = await read(call, wire.SearchModels)
        shelf = self._cards.titled(MODEL, "").shelf
        page = await self._cards.search(call.who, translate.models_wish(request, shelf))
        return _page("registered_models", page, [translate.model_json(item) for item in page.items])

    async def latest_versions(self, call: Call) -> Json:
        """The latest version at each stage."""
        request = await read(call, wire.LatestVersions)
        which = title_of(self._registry, request.name)
        stages = [checks.stage_of(stage) for stage in request.stages or STAGES]
        found = await self._registry.versions.latest(call.who, which, stages)
        return {"model_versions": [translate.version_json(version) for version in found]} if found else {}

    async def set_tag(self, call: Call) -> Json:
        """Set one tag of a registered model."""
        request = await read(call, wire.ModelTag)
        which = title_of(self._registry, request.name)
        key, value = checks.tag_of(request.key, request.value)
        await self._cards.set_tag(call.who, which, key, value)
        return {}

    async def delete_tag(self, call: Call) -> Json:
        """Remove one tag of a registered model."""
        request = await read(call, wire.ModelTag)
        which = title_of(self._registry, request.name)
        key, _ = checks.tag_of(request.key, None)
        await self._cards.delete_tag(call.who, which, key)
        return {}


def endpoints(registry: Registry) -> list[Endpoint]:
    """What MLflow offers on registered models, the busiest first: paths are tried in order."""
    handlers = ModelHandlers(registry)
    offered = (
        ("GET", "get", handlers.get),
        ("GET", "search", handlers.search),
        ("POST", "create", handlers.create),
        ("POST", "get-latest-versions", handlers.latest_versions),
        ("GET", "get-latest-versions", handlers.latest_versions),
        ("POST", "set-tag", handlers.set_tag),
        ("PATCH", "update", handlers.update),
        ("POST", "rename", handlers.rename),
        ("DELETE", "delete-tag", handlers.delete_tag),
        ("DELETE", "delete", handlers.delete),
    )
    return [
        Endpoint(method, f"{PREFIX}/registered-models/{verb}", worded(handler)) for method, verb, handler in offered
    ]


def _taken(error: TitleTaken, prompt: bool) -> str:
    there = "Prompt" if error.holder.kind == PROMPT else "Registered Model"
    wanted = "Prompt" if prompt else "Registered Model"
    if there == wanted:
        return f"{wanted} (name={error.title[:300]}) already exists."
    return (
        f"Tried to create a {wanted.lower()} with name {error.title[:300]!r}, but the name is already taken by a "
        f"{there.lower()}. A model and a prompt cannot share a name; choose another one."
    )


def _page(name: str, page: Any, items: list[Json]) -> Json:
    found = page_json(name, page, items)
    return found if items else {key: value for key, value in found.items() if key != name}
