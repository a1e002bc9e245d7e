"""From a model revision to a model in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from twinloop.control.store.ports import Blobs
from twinloop.core.digests import Digest
from twinloop.core.errors import NotOffered
from twinloop.ml.deployment.ports import LoadedModel, ModelEngine
from twinloop.ml.training.formats import require_safe
from twinloop.ml.training.model import ModelManifest

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

    def __init__(self, blobs: Blobs, engines: Iterable[ModelEngine]) -> None:
        self._blobs = blobs
        self._engines = {format: engine for engine in (ConstantEngine(), *engines) for format in engine.formats}

    async def load(self, ref: str, manifest: ModelManifest) -> LoadedModel:
        """Raises Refused for an unsafe format, NotOffered when no engine reads it, InvalidInput for damaged files."""
        require_safe(ref, manifest.format, manifest.safe)
        engine = self._engines.get(manifest.format)
        if engine is None:
            raise NotOffered(
                f"No engine here loads {manifest.format}. Save {ref} as one of: {', '.join(self._engines)}."
            )
        files = {path: await self._blobs.local_path(Digest(file.digest)) for path, file in manifest.files.items()}
        return await asyncio.to_thread(engine.load, manifest, files)
