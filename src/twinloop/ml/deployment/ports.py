"""What deployment needs of an engine that runs models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from twinloop.ml.training.fields import Field
from twinloop.ml.training.model import ModelManifest
from twinloop.ml.training.packages import PackageManifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[np.generic]]


PREDICTION = "prediction"
"""The output that holds what a packaged model's own ``predict`` answers."""

PROBABILITIES = "probabilities"
"""The output that holds a classifier's probability of each class, in the order of its classes."""


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


class LoadedPackage(Protocol):
    """A packaged model in memory. ``predict`` and ``close`` block and are called from one thread at a time."""

    @property
    def inputs(self) -> tuple[Field, ...]:
        """What it takes: as its author declared it, else as the model itself says."""
        ...

    @property
    def classes(self) -> Sequence[Any] | None:
        """A classifier's classes, in the order of its probabilities; None for another model or when it does not say."""
        ...

    def predict(self, inputs: Arrays) -> Arrays:
        """The outputs for arrays of shape (rows, …), one for each input, each output with as many rows.

        ``prediction`` and a classifier's ``probabilities``; a model with named outputs answers those instead.

        Raises:
            InvalidInput: the model refuses these values.
            UpstreamError, Unavailable: the model failed; other rows may do better, or the same later.
        """
        ...

    def close(self) -> None: ...


class PackageEngine(Protocol):
    """Loads packaged models of some formats."""

    @property
    def formats(self) -> Sequence[str]: ...

    def load_package(self, package: PackageManifest, files: Mapping[str, Path]) -> LoadedPackage:
        """Read the files and check that the model takes the inputs that the package declares. Blocks.

        Args:
            files: local paths by the package's own, the main file first.

        Raises:
            InvalidInput: the files are damaged, or the model takes other inputs than declared.
            Refused: the model holds something that is not loaded.
            MissingDependency: the engine's package is not installed.
        """
        ...
