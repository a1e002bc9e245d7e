"""Handlers of ``model-versions/…`` and of aliases."""

from __future__ import annotations

from typing import Any

from twinloop.control.registry.model import Origin, Version
from twinloop.control.registry.repository import Wanted
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import Principal
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.protocols.http import Call
from twinloop.protocols.mlflow import registry_checks as checks
from twinloop.protocols.mlflow import registry_sources as sources
from twinloop.protocols.mlflow import registry_translate as translate
from twinloop.protocols.mlflow import registry_wire as wire
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.registry import PREFIX, Describe, Given, title_of, worded
from twinloop.protocols.mlflow.registry_sources import ModelUri, Places, Source
from twinloop.protocols.mlflow.registry_translate import MODEL, PROMPT
from twinloop.protocols.mlflow.request import read
from twinloop.protocols.mlflow.translate import page_json

Json = dict[str, Any]
_LATEST = "latest"
_RUN_ID = 64


class VersionHandlers:
    """One method per endpoint: decode, call one verb, encode."""

    def __init__(self, registry: Registry, describe: Describe, places: Places) -> None:
        self._registry = registry
        self._versions = registry.versions
        self._describe = describe
        self._places = places

    async def create(self, call: Call) -> Json:
        """Register a version; the same source again is a new version."""
        request = await read(call, wire.CreateVersion)
        which = title_of(self._registry, request.name)
        given = checks.required(request.source, "source")
        tags = checks.tags(request.tags)
        source = await self._source(call.who, given, request, translate.kind_of(tags))
        card = (await self._registry.cards.get(call.who, which)).card
        wish = Given(card.kind, source.uri, source.run_id, source.model_id, tags, source.storage)
        described = await self._describe(call.who, wish)
        wanted = Wanted(
            described.manifest,
            described.parents,
            source.run_id,
            Origin(source.uri, source.storage, source.model_id, request.run_link or None),
            fresh=True,
            description=request.description or "",
            tags=tags,
            detail=described.detail,
        )
        made = await self._registry.add_version(call.who, which, card.kind, wanted)
        if source.model_id:
            await self._places.registered(call.who, source.model_id, made.title, made.revision.number)
        return {"model_version": translate.version_json(made)}

    async def get(self, call: Call) -> Json:
        """One version."""
        request = await read(call, wire.OfVersion)
        return {"model_version": translate.version_json(await self._get(call.who, request))}

    async def update(self, call: Call) -> Json:
        """Describe a version."""
        request = await read(call, wire.UpdateVersion)
        which, number = title_of(self._registry, request.name), checks.number(request.version)
        done = await self._versions.describe(call.who, which, number, request.description)
        return {"model_version": translate.version_json(done)}

    async def delete(self, call: Call) -> Json:
        """Delete a version; its number is not given again."""
        request = await read(call, wire.OfVersion)
        which, number = title_of(self._registry, request.name), checks.number(request.version)
        await self._versions.delete(call.who, which, number)
        return {}

    async def search(self, call: Call) -> Json:
        """Versions of registered models, narrowed by a filter."""
        request = await read(call, wire.SearchVersions)
        shelf = self._registry.cards.titled(MODEL, "").shelf
        page = await self._versions.search(call.who, translate.versions_wish(request, shelf))
        found = page_json("model_versions", page, [translate.version_json(item) for item in page.items])
        return found if page.items else {}

    async def transition(self, call: Call) -> Json:
        """Move a version to a stage."""
        request = await read(call, wire.TransitionStage)
        which, number = title_of(self._registry, request.name), checks.number(request.version)
        stage = checks.stage_of(checks.required(request.stage, "stage"))
        archive = bool(request.archive_existing_versions)
        done = await self._versions.set_stage(call.who, which, number, stage, archive)
        return {"model_version": translate.version_json(done)}

    async def download_uri(self, call: Call) -> Json:
        """Where the files of a version are."""
        request = await read(call, wire.OfVersion)
        version = await self._get(call.who, request)
        origin = version.revision.origin
        return {"artifact_uri": origin.storage or origin.source or ""}

    async def set_tag(self, call: Call) -> Json:
        """Set one tag of a version."""
        request = await read(call, wire.VersionTag)
        which, number = title_of(self._registry, request.name), checks.number(request.version)
        key, value = checks.tag_of(request.key, request.value)
        await self._versions.set_tag(call.who, which, number, key, value)
        return {}

    async def delete_tag(self, call: Call) -> Json:
        """Remove one tag of a version."""
        request = await read(call, wire.VersionTag)
        which, number = title_of(self._registry, request.name), checks.number(request.version)
        key, _ = checks.tag_of(request.key, None)
        await self._versions.delete_tag(call.who, which, number, key)
        return {}

    async def set_alias(self, call: Call) -> Json:
        """Point an alias at a version."""
        request = await read(call, wire.SetAlias)
        which, alias = title_of(self._registry, request.name), checks.new_alias(request.alias)
        await self._versions.set_alias(call.who, which, alias, checks.number(request.version))
        return {}

    async def delete_alias(self, call: Call) -> Json:
        """Remove an alias."""
        request = await read(call, wire.OfAlias)
        which, alias = title_of(self._registry, request.name), checks.alias_of(request.alias)
        await self._versions.delete_alias(call.who, which, alias)
        return {}

    async def by_alias(self, call: Call) -> Json:
        """The version that an alias points at; ``latest`` is the one with the highest number."""
        request = await read(call, wire.OfAlias)
        name, alias = checks.required(request.name, "name"), checks.alias_of(request.alias)
        uri = ModelUri(name) if alias.lower() == _LATEST else ModelUri(name, alias=alias)
        return {"model_version": translate.version_json(await self._find(call.who, uri))}

    async def _get(self, who: Principal, request: wire.OfVersion) -> Version:
        which = title_of(self._registry, request.name)
        return await self._versions.get(who, which, checks.number(request.version))

    async def _source(self, who: Principal, given: str, request: wire.CreateVersion, kind: str) -> Source:
        for value in (request.run_id, request.model_id):
            if value and len(value) > _RUN_ID:
                raise InvalidInput(f"Invalid id '{value[:80]}'. Send the one that the server gave.")
        if kind == PROMPT:
            return sources.prompt_source(given)._replace(run_id=request.run_id or None)
        return await sources.model_source(
            who, given, request.run_id, request.model_id, self._places, lambda uri: self._find(who, uri)
        )

    async def _find(self, who: Principal, uri: ModelUri) -> Version:
        which = title_of(self._registry, uri.name)
        if uri.alias is not None:
            return await self._versions.by_alias(who, which, uri.alias)
        if uri.version is not None:
            await self._registry.cards.get(who, which)
            return await self._versions.get(who, which, uri.version)
        if uri.stage is not None:
            found = await self._versions.latest(who, which, [checks.stage_of(uri.stage)])
            if not found:
                raise NotFound(f"No versions of model with name '{uri.name[:200]}' and stage '{uri.stage[:40]}' found")
            return found[0]
        newest = await self._versions.newest(who, which)
        if newest is None:
            raise NotFound(f"Latest version not found for model {uri.name[:200]}.")
        return newest


def endpoints(registry: Registry, describe: Describe, places: Places) -> list[Endpoint]:
    """What MLflow offers on versions and aliases, the busiest first: paths are tried in order."""
    handlers = VersionHandlers(registry, describe, places)
    offered = (
        ("GET", "model-versions/get", handlers.get),
        ("GET", "registered-models/alias", handlers.by_alias),
        ("GET", "model-versions/search", handlers.search),
        ("POST", "model-versions/create", handlers.create),
        ("GET", "model-versions/get-download-uri", handlers.download_uri),
        ("POST", "model-versions/set-tag", handlers.set_tag),
        ("POST", "registered-models/alias", handlers.set_alias),
        ("POST", "model-versions/transition-stage", handlers.transition),
        ("PATCH", "model-versions/update", handlers.update),
        ("DELETE", "model-versions/delete-tag", handlers.delete_tag),
        ("DELETE", "registered-models/alias", handlers.delete_alias),
        ("DELETE", "model-versions/delete", handlers.delete),
    )
    return [Endpoint(method, f"{PREFIX}/{path}", worded(handler)) for method, path, handler in offered]
