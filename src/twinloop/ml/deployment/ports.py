"""What deployment needs of an engine that runs models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from twinloop.ml.training.model import ModelManifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class LoadedModel(Protocol):
    """A model in memory. ``predict`` blocks and is called from one thread at a time."""

    def predict(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """One number per row of ``matrix`` (rows, inputs): the probability of a binary label, or the value."""
        ...


class ModelEngine(Protocol):
    """Loads models of some formats."""

    @property
    def formats(self) -> Sequence[str]: ...

    def load(self, manifest: ModelManifest, files: Mapping[str, Path]) -> LoadedModel:
        """Read the files and check that the model takes the manifest's inputs. Blocks.

        Raises:
            InvalidInput: the files are damaged, or the model has another number of inputs.
            MissingDependency: the engine's package is not installed.
        """
        ...
