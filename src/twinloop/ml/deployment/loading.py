"""From a model revision to a model in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from twinloop.control.store.ports import Blobs
from twinloop.core.digests import Digest
from twinloop.core.errors import NotOffered, Refused
from twinloop.ml.deployment.ports import LoadedModel, LoadedPackage, ModelEngine, PackageEngine
from twinloop.ml.training.formats import require_safe
from twinloop.ml.training.kind import AnyModel
from twinloop.ml.training.model import ModelManifest
from twinloop.ml.training.packages import PackageManifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Constant:
    """Always answers the same number: the base-rate model that every other must beat."""

    def __init__(self, value: float) -> None:
        self._value = value

    def predict(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        import numpy as np

        return np.full(matrix.shape[0], self._value)


class ConstantEngine:
    formats = ("constant",)

    def load(self, manifest: ModelManifest, files: Mapping[str, Path]) -> LoadedModel:
        return Constant(float(manifest.params["value"]))


class Loader:
    """Chooses the engine for a model's format."""

    def __init__(
        self, blobs: Blobs, engines: Iterable[ModelEngine], package_engines: Iterable[PackageEngine] = ()
    ) -> None:
        self._blobs = blobs
        self._engines = {format: engine for engine in (ConstantEngine(), *engines) for format in engine.formats}
        self._package_engines = {format: engine for engine in package_engines for format in engine.formats}

    async def load(self, ref: str, manifest: ModelManifest) -> LoadedModel:
        """Raises Refused for an unsafe format, NotOffered when no engine reads it, InvalidInput for damaged files."""
        check_loadable(ref, manifest)
        engine = self._engines.get(manifest.format)
        if engine is None:
            raise _no_engine(ref, manifest.format, self._engines)
        return await asyncio.to_thread(engine.load, manifest, await self._local(manifest, list(manifest.files)))

    async def load_package(self, ref: str, package: PackageManifest) -> LoadedPackage:
        """As ``load``, for a folder in MLflow's format."""
        check_loadable(ref, package)
        engine = self._package_engines.get(package.format)
        if engine is None:
            raise _no_engine(ref, package.format, self._package_engines)
        return await asyncio.to_thread(engine.load_package, package, await self._local(package, package.load))

    async def read(self, digest: str, limit: int) -> bytes:
        """The first ``limit`` bytes of a model's file."""
        return b"".join([chunk async for chunk in self._blobs.open(Digest(digest), 0, limit)])

    async def _local(self, model: AnyModel, paths: Sequence[str]) -> dict[str, Path]:
        return {path: await self._blobs.local_path(Digest(model.files[path].digest)) for path in paths}


def check_loadable(ref: str, model: AnyModel) -> None:
    """Raises Refused, saying why and what to do, for a model that may not or cannot be loaded."""
    if isinstance(model, ModelManifest):
        require_safe(ref, model.format, model.safe)
    elif not model.safe:
        raise Refused(f"{ref} is kept and not loaded. {model.reason}")


def _no_engine(ref: str, format: str, known: Mapping[str, object]) -> NotOffered:
    return NotOffered(f"No engine here loads {format}. Save {ref} as one of: {', '.join(known)}.")
