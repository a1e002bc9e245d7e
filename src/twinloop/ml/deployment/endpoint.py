"""The endpoint type ``predict``: one model, with the feature views it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twinloop.control.registry.model import Revision
from twinloop.control.releases.answers import EndpointKind
from twinloop.control.releases.ports import Target
from twinloop.core.errors import InvalidInput, Refused
from twinloop.ml.deployment.loading import Loader, check_loadable
from twinloop.ml.deployment.package_trial import open_package
from twinloop.ml.deployment.target import PredictTarget
from twinloop.ml.features import model as features
from twinloop.ml.features.kind import read_view
from twinloop.ml.features.online import BoundView
from twinloop.ml.features.ports import OnlineStore
from twinloop.ml.training import model as training
from twinloop.ml.training.kind import read_manifest
from twinloop.ml.training.packages import PackageManifest

ROLE = "model"


class PredictEndpoint:
    """Implements EndpointType. Its only pin is ``model``; the model's views are pinned as what it requires."""

    @property
    def name(self) -> EndpointKind:
        return "predict"

    def __init__(self, loader: Loader, online: OnlineStore) -> None:
        self._loader = loader
        self._online = online

    def check(self, pins: Mapping[str, Revision]) -> None:
        """Raises InvalidInput for other pins than one model, Refused for a model that is not loaded."""
        if set(pins) != {ROLE}:
            raise InvalidInput(
                f"A predict endpoint pins exactly one revision, as {ROLE!r}; got {sorted(pins) or 'none'}."
            )
        revision = pins[ROLE]
        if revision.kind != training.KIND:
            raise InvalidInput(f"The role {ROLE!r} needs a model and {revision.ref} is a {revision.kind}.")
        check_loadable(revision.ref, read_manifest(revision.manifest))

    def gate_subject(self, pins: Mapping[str, Revision]) -> Revision:
        return pins[ROLE]

    async def activate(self, tenant: str, pins: Mapping[str, Revision], required: Sequence[Revision]) -> Target:
        """Load the model and bind its views, or try a packaged model on the example that was logged with it.

        Raises:
            Refused: a view was never materialised, so every prediction would be made of missing values; or a packaged
                model does not do what its signature and example say.
            InvalidInput, NotOffered, MissingDependency: the model cannot be loaded.
        """
        self.check(pins)
        revision = pins[ROLE]
        manifest = read_manifest(revision.manifest)
        if isinstance(manifest, PackageManifest):
            return await open_package(revision.ref, manifest, self._loader)
        views = _views(manifest, required)
        for bound in views:
            if await self._online.generation(tenant, bound.digest) is None:
                raise Refused(
                    f"{revision.ref} reads {bound.ref}, which has no online values yet. Materialise the view and try again."
                )
        loaded = await self._loader.load(revision.ref, manifest)
        return PredictTarget(revision.ref, manifest, loaded, views, self._online, tenant)


def _views(manifest: training.ModelManifest, required: Sequence[Revision]) -> list[BoundView]:
    by_digest = {revision.digest: revision for revision in required if revision.kind == features.KIND}
    found = []
    for digest in manifest.views:
        revision = next((held for key, held in by_digest.items() if key == digest), None)
        if revision is None:
            raise InvalidInput(f"The release does not hold the feature view {digest[:19]} that its model reads.")
        found.append(BoundView(read_view(revision.manifest), revision.digest, revision.ref))
    return found
