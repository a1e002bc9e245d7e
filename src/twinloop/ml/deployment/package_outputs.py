"""What a packaged model answers, held against the outputs that its signature declares."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twinloop.core.errors import UpstreamError
from twinloop.ml.deployment.ports import PREDICTION
from twinloop.ml.training.fields import Field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from twinloop.ml.deployment.ports import Arrays


class PackageOutputs:
    """Names, types and shapes of a model's answers.

    The declared outputs come first, converted to their declared types; what else the model answers (a classifier's
    ``probabilities``) follows as it is.
    """

    def __init__(self, declared: Sequence[Field] | None) -> None:
        self._declared = None if declared is None else tuple(declared)

    def arrays(self, found: Arrays, rows: int) -> dict[str, NDArray[np.generic]]:
        """Raises UpstreamError, saying what was declared and what came, when an answer does not fit."""
        for name, values in found.items():
            if values.ndim == 0 or len(values) != rows:
                raise UpstreamError(f"The model answers {name!r} with the shape {list(values.shape)} for {rows} rows.")
        if self._declared is None:
            return dict(found)
        made, used = self._matched(found)
        return made | {name: values for name, values in found.items() if name not in used and name not in made}

    def _matched(self, found: Arrays) -> tuple[dict[str, NDArray[np.generic]], set[str]]:
        """The declared outputs, and which of the model's own they were made of."""
        declared = self._declared or ()
        if all(field.name in found for field in declared):
            return {field.name: _fitted(field, found[field.name]) for field in declared}, {f.name for f in declared}
        main = found.get(PREDICTION)
        if len(declared) == 1:
            [field] = declared
            for name in [PREDICTION] if main is not None else found:
                fitting = _fit(field, found[name])
                if fitting is not None:
                    return {field.name: fitting}, {name}
        elif main is not None and main.ndim == 2 and main.shape[1] == len(declared):
            return {field.name: _fitted(field, main[:, place]) for place, field in enumerate(declared)}, {PREDICTION}
        wanted = ", ".join(f"{field.name}: {field}" for field in declared)
        got = ", ".join(f"{name}: {_told(values)}" for name, values in found.items())
        raise UpstreamError(f"The model's signature declares the outputs {wanted} and the model answers {got}.")


def described(outputs: Arrays) -> list[dict[str, Any]]:
    """The outputs as an endpoint's metadata lists them."""
    found = []
    for name, values in outputs.items():
        kind = "string" if values.dtype.kind in "OUSM" else values.dtype.name
        field = Field(name, kind, tuple(values.shape[1:]))
        if field.servable:
            found.append(field.described())
    return found


def columns(outputs: Arrays) -> dict[str, list[Any]]:
    """The outputs as one value, or one list, per row. A number that is not finite becomes None."""
    return {name: _values(values) for name, values in outputs.items()}


def _values(values: NDArray[np.generic]) -> list[Any]:
    import numpy as np

    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return [_finite(value) for value in values.tolist()]
    if values.dtype.kind == "M":
        return [None if value == "NaT" else value for value in values.astype(str).tolist()]
    if values.dtype.kind in "OS":
        return [_plain(value) for value in values.tolist()]
    found: list[Any] = values.tolist()
    return found


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value if math.isfinite(value) else None


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return [_plain(item) for item in value] if isinstance(value, list) else str(value)


def _fitted(field: Field, values: NDArray[np.generic]) -> NDArray[np.generic]:
    made = _fit(field, values)
    if made is None:
        raise UpstreamError(
            f"The model's signature declares the output {field.name!r} as {field} and the model answers {_told(values)}."
        )
    return made


def _fit(field: Field, values: NDArray[np.generic]) -> NDArray[np.generic] | None:
    """``values`` in the declared type and shape, or None when they are something else."""
    import numpy as np

    rows, shape = len(values), tuple(values.shape[1:])
    if not _same(field.shape, shape):
        if (field.shape or (1,)) != (1,) or (shape or (1,)) != (1,):
            return None
        values = values.reshape((rows, *field.shape))
    if not field.numeric:
        return values if values.dtype.kind in "OUSM" else None
    if values.dtype.kind == "O" or not np.can_cast(values.dtype, np.dtype(field.type), "same_kind"):
        return None
    return values.astype(field.type, copy=False)


def _same(declared: tuple[int, ...], found: tuple[int, ...]) -> bool:
    return len(declared) == len(found) and all(a in (-1, b) for a, b in zip(declared, found, strict=True))


def _told(values: NDArray[np.generic]) -> str:
    return f"{values.dtype.name}{list(values.shape[1:]) or ''}"
