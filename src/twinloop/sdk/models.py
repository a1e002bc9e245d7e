"""Models from a program: encode training data as serving will, register what was trained, predict in batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from twinloop.core.errors import InvalidInput
from twinloop.ml.training.model import Draft, Input, Task
from twinloop.sdk import tables
from twinloop.sdk.client import Client
from twinloop.sdk.definitions import current_run_id

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

Json = dict[str, Any]


class Models:
    def __init__(self, client: Client) -> None:
        self._client = client

    def inputs(self, table: Any, numbers: Sequence[str], categories: Sequence[str] = ()) -> tuple[Input, ...]:
        """Describe a model's inputs: ``numbers``, then ``categories`` with the values that occur in ``table``."""
        from twinloop.ml.training.encoding import fit

        found = tables.arrow(table)
        return fit({name: found[name].unique().to_pylist() for name in categories}, numbers, categories)

    def encode(self, table: Any, inputs: Sequence[Input]) -> NDArray[np.float32]:
        """The matrix (rows, inputs) that the model eats, made by the code that also serves; NaN where a value is missing."""
        from twinloop.ml.training.encoding import Encoder

        found = tables.arrow(table)
        missing = [item.name for item in inputs if item.name not in found.column_names]
        if missing:
            raise InvalidInput(f"The table has no column {missing[0]!r}. Join the feature view that gives it.")
        return Encoder(inputs).matrix({item.name: _values(found[item.name]) for item in inputs}, found.num_rows)

    def log(
        self,
        name: str,
        model: Any,
        *,
        label: str,
        inputs: Sequence[Input] = (),
        views: Sequence[str] = (),
        task: Task = "binary",
        training_set: str | None = None,
        threshold: float = 0.5,
        params: Mapping[str, Any] | None = None,
        format: str | None = None,
        run_id: str | None = None,
    ) -> Json:
        """Register a trained model and return its revision.

        Args:
            model: an ``xgboost.Booster`` (or a wrapper with ``get_booster``), a number (a model that always answers it),
                or the path of a model file, with its ``format``.
            label: name of the answer; a binary model answers ``probability`` and this as true or false.
            views: feature views that give inputs when it serves, in the order to look them up.
            run_id: the run it came out of; unless given, the one whose block or pipeline step this is in.

        Raises:
            InvalidInput: a model of another kind; save it to a file and give its path and format.
        """
        known, files, extra = self._files(model, format)
        draft = Draft(
            format=known,
            task=task,
            label=label,
            inputs=tuple(inputs),
            files=files,
            views=tuple(views),
            threshold=threshold,
            training_set=training_set,
            params={**(params or {}), **extra},
        )
        body = {"name": name, "model": msgspec.to_builtins(draft), "run_id": run_id or current_run_id()}
        return self._client.call("POST", "/api/v1/models", body)["revision"]

    def batch(self, model: str, dataset: str, name: str, at: str | None = None, prefix: str = "") -> Json:
        """Predict every row of ``dataset`` and return the revision of the dataset ``name`` that was written.

        Inputs the dataset lacks are joined from the model's views as known at each row's time in column ``at``.
        ``prefix`` goes before the names of the model's outputs.
        """
        body = {
            "model": model,
            "dataset": dataset,
            "name": name,
            "at": at,
            "prefix": prefix,
            "run_id": current_run_id(),
        }
        return self._client.call("POST", "/api/v1/predictions", body)["revision"]

    def _files(self, model: Any, format: str | None) -> tuple[str, dict[str, str], Json]:
        if isinstance(model, int | float) and not isinstance(model, bool):
            return "constant", {}, {"value": float(model)}
        if isinstance(model, str | Path):
            path = Path(model)
            if format is None or not path.is_file():
                raise InvalidInput(f"Give the format of the model file {path}, and a path that exists.")
            return format, {path.name: self._client.blobs.upload(path)["digest"]}, {}
        booster = model.get_booster() if hasattr(model, "get_booster") else model
        if not hasattr(booster, "save_raw"):
            raise InvalidInput(
                f"A {type(model).__name__} cannot be logged as it is. Save it in a safe format, such as ONNX, and give the path."
            )
        content = bytes(booster.save_raw("ubj"))
        return "xgboost-ubj", {"model.ubj": self._client.blobs.upload(content)["digest"]}, {}


def _values(column: pa.ChunkedArray) -> Any:
    import pyarrow as pa

    if pa.types.is_floating(column.type) or (pa.types.is_integer(column.type) and column.null_count == 0):
        return column.to_numpy()
    return column.to_pylist()
