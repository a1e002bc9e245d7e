"""Either kind of model over the columns of a dataset."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from twinloop.core.errors import InvalidInput
from twinloop.ml.deployment.loading import Loader
from twinloop.ml.deployment.package_inputs import column
from twinloop.ml.deployment.package_outputs import PackageOutputs
from twinloop.ml.deployment.ports import PREDICTION, PROBABILITIES, LoadedModel, LoadedPackage
from twinloop.ml.training.encoding import Encoder
from twinloop.ml.training.fields import Field
from twinloop.ml.training.kind import AnyModel
from twinloop.ml.training.model import ModelManifest
from twinloop.ml.training.packages import PackageManifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from twinloop.ml.deployment.ports import Arrays

_HALF = 0.5


class Applied(Protocol):
    """A loaded model. ``answers`` and ``chances`` block; ``columns`` map each of ``inputs`` to ``rows`` values."""

    @property
    def inputs(self) -> tuple[str, ...]: ...

    @property
    def chunk(self) -> int:
        """How many rows to give it at once."""
        ...

    @property
    def threshold(self) -> float:
        """From which probability on it says true."""
        ...

    def answers(self, columns: Arrays, rows: int) -> dict[str, NDArray[np.generic]]:
        """One array with a value per row for each output."""
        ...

    def chances(self, columns: Arrays, rows: int) -> NDArray[np.float64]:
        """The probability of true in every row. Raises InvalidInput for a model that has none."""
        ...

    async def aclose(self) -> None: ...


async def open_model(ref: str, model: AnyModel, loader: Loader) -> Applied:
    """Load a model to apply it. Raises as ``Loader.load``; close it after use."""
    if isinstance(model, PackageManifest):
        return _Packaged(ref, model, await loader.load_package(ref, model))
    return _Native(ref, model, await loader.load(ref, model))


class _Native:
    chunk = 50_000

    def __init__(self, ref: str, model: ModelManifest, loaded: LoadedModel) -> None:
        self._ref = ref
        self._model = model
        self._loaded = loaded
        self._encoder = Encoder(model.inputs)

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(item.name for item in self._model.inputs)

    @property
    def threshold(self) -> float:
        return self._model.threshold

    def answers(self, columns: Arrays, rows: int) -> dict[str, NDArray[np.generic]]:
        scores = self._loaded.predict(self._encoder.matrix(columns, rows))
        if self._model.task == "binary":
            return {"probability": scores, self._model.label: scores >= self._model.threshold}
        return {self._model.label: scores}

    def chances(self, columns: Arrays, rows: int) -> NDArray[np.float64]:
        if self._model.task != "binary":
            raise InvalidInput(
                f"{self._ref} is a {self._model.task} model; evaluations are of binary models. Choose another."
            )
        return self._loaded.predict(self._encoder.matrix(columns, rows))

    async def aclose(self) -> None:
        return None


class _Packaged:
    threshold = _HALF
    chunk = 10_000

    def __init__(self, ref: str, package: PackageManifest, loaded: LoadedPackage) -> None:
        self._ref = ref
        self._loaded = loaded
        self._outputs = PackageOutputs(package.outputs)
        for field in loaded.inputs:
            if field.shape:
                raise InvalidInput(
                    f"{ref} takes {field.name!r} as {field}, and a dataset has one value in a cell. Ask its endpoint instead."
                )

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(field.name for field in self._loaded.inputs)

    def answers(self, columns: Arrays, rows: int) -> dict[str, NDArray[np.generic]]:
        found = self._outputs.arrays(self._loaded.predict(self._given(columns)), rows)
        flat: dict[str, NDArray[np.generic]] = {}
        for name, values in found.items():
            if values.ndim == 1:
                flat[name] = values
                continue
            wide = values.reshape(rows, -1)
            names = self._loaded.classes if name == PROBABILITIES else None
            for place in range(wide.shape[1]):
                label = names[place] if names is not None and len(names) == wide.shape[1] else place
                flat[f"{'probability' if name == PROBABILITIES else name}_{label}"] = wide[:, place]
        return flat

    def chances(self, columns: Arrays, rows: int) -> NDArray[np.float64]:
        import numpy as np

        found = self._loaded.predict(self._given(columns))
        both = found.get(PROBABILITIES)
        if both is not None and both.ndim == 2 and both.shape[1] == 2:
            return both[:, 1].astype(np.float64)
        alone = found.get(PREDICTION)
        if both is None and alone is not None and alone.ndim == 1 and alone.dtype.kind == "f":
            chances = alone.astype(np.float64)
            if ((chances >= 0) & (chances <= 1)).all():
                return chances
        raise InvalidInput(
            f"{self._ref} does not answer the probability of one of two classes; evaluations are of binary models."
        )

    def _given(self, columns: Arrays) -> dict[str, NDArray[np.generic]]:
        return {field.name: _cells(field, columns[field.name]) for field in self._loaded.inputs}

    async def aclose(self) -> None:
        await asyncio.to_thread(self._loaded.close)


def _cells(field: Field, values: NDArray[np.generic]) -> NDArray[np.generic]:
    """A column of a dataset in the type of an input. What NumPy cannot convert is checked value by value."""
    if field.type.startswith("float") and values.dtype.kind in "iuf":
        return values.astype(field.type)
    found = values.tolist()
    if field.type.startswith("float"):
        found = [None if value is None or value != value else value for value in found]
    return column(field, found)


def join(parts: list[Mapping[str, NDArray[np.generic]]]) -> dict[str, NDArray[np.generic]]:
    """Answers for consecutive rows as one."""
    import numpy as np

    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
