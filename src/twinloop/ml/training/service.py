"""Verbs of training: register a model that was trained in the client's process."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from twinloop.control.registry.model import Parent, Registered, Revision
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Blobs
from twinloop.core.digests import Digest, parse_digest
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.ml.data.service import Datasets
from twinloop.ml.features.online import BoundView
from twinloop.ml.features.service import Features
from twinloop.ml.training.formats import check_content, check_format
from twinloop.ml.training.kind import AnyModel, read_manifest
from twinloop.ml.training.model import KIND, Draft, ModelFile, ModelManifest


class Models:
    """Keeps models as revisions."""

    def __init__(self, registry: Registry, blobs: Blobs, datasets: Datasets, features: Features) -> None:
        self._registry = registry
        self._blobs = blobs
        self._datasets = datasets
        self._features = features

    async def register(self, who: Principal, name: str, draft: Draft, run_id: str | None = None) -> Registered:
        """Register a model of files that were uploaded before.

        A model in an unsafe format is kept, marked, and refused when it is released.

        Raises:
            InvalidInput: an unknown format, a file that is not what it is said to be, inputs that cannot be.
            NotFound: a file, a feature view or the training set does not exist.
        """
        who.require(Role.developer)
        safe = check_format(draft.format)
        files = {path: await self._file(draft.format, path, digest, safe) for path, digest in draft.files.items()}
        views = await self._features.views(who, draft.views)
        parents = [Parent("view", bound.digest) for bound in views]
        training_set: Digest | None = None
        if draft.training_set is not None:
            revision, _ = await self._datasets.get(who, draft.training_set)
            training_set = revision.digest
            parents.insert(0, Parent("training_set", training_set))
        manifest = ModelManifest(
            format=draft.format,
            files=files,
            task=draft.task,
            label=draft.label,
            inputs=draft.inputs,
            views=tuple(bound.digest for bound in views),
            threshold=draft.threshold,
            training_set=training_set,
            params=draft.params,
            safe=safe,
        )
        return await self._registry.register(who, KIND, name, msgspec.to_builtins(manifest), parents, run_id)

    async def get(self, who: Principal, ref: str) -> tuple[Revision, AnyModel]:
        """Raises NotFound, or InvalidInput when the revision is not a model. A bare name means the newest."""
        revision = await self._registry.get(who, ref if "/" in ref or ":" in ref else f"{KIND}/{ref}")
        if revision.kind != KIND:
            raise InvalidInput(f"{revision.ref} is not a model. Name one as model/name or model/name@3.")
        return revision, read_manifest(revision.manifest)

    async def views(self, who: Principal, model: AnyModel) -> Sequence[BoundView]:
        return await self._features.views(who, model.views)

    async def _file(self, format: str, path: str, digest: str, safe: bool) -> ModelFile:
        size = await self._blobs.size(parse_digest(digest))
        if size is None:
            raise NotFound(f"There is no blob {digest[:80]} for {path[:80]}. Upload the file first.")
        if safe:
            async for chunk in self._blobs.open(Digest(digest)):
                check_content(format, path, chunk[:8])
                break
        return ModelFile(digest, size)
